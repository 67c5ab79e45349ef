"""What each tuning method costs and brings: score, seconds, peak memory, trainable share, bytes, on the same rows.

    python -m benchmarks.tuning_methods
    python -m benchmarks.tuning_methods --methods lora,qlora --n-rows 64 --epochs 1 --n-questions 50

Each method has a process of its own, so that its peak memory is its own: the growth of the resident set over what
libraries and the serving copy of the base take before training begins. Rate, rank and the rest are the defaults. CPU
seconds are of all threads and do not count what others do on the machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset, Split, TrainingView
from advisor.data.files import load_dataset
from advisor.data.prompt import QuestionOnly
from advisor.evidence.statistics import wilson_interval

DATASETS = Path(__file__).parents[1] / "datasets"


def main() -> None:
    from finetune.methods import METHODS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dataset", default="ticket-triage")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--n-rows", type=int, default=313)
    parser.add_argument("--n-questions", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lora-r", type=int, default=16)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given)))
        return
    print("| method | right of asked, 95 % | training, CPU | by the clock | peak memory | trainable | on disk |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for method in given.methods.split(","):
        command = [sys.executable, "-m", "benchmarks.tuning_methods", *sys.argv[1:], "--one", method]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(table_row(json.loads(done.stdout.splitlines()[-1])), flush=True)


def measure(method: str, given: argparse.Namespace) -> dict[str, Any]:
    from finetune.memory import peak_memory_bytes, reset_peak_memory
    from finetune.recipe import TuningRecipe
    from finetune.tuned_model import train_adapter
    from lm.completion import GenerationConfig
    from lm.local.huggingface import HuggingFaceModel
    from lm.registry import load_language_model

    dataset = load_dataset(DATASETS / given.dataset)
    model = load_language_model(given.model)
    assert isinstance(model, HuggingFaceModel)
    view = dataset.training_view()
    view = TrainingView(view.card, view.documents, view.train[: given.n_rows], view.validation[: given.n_rows // 8])
    recipe = TuningRecipe(method=method, max_epochs=given.epochs, r=given.lora_r, learning_rate=given.learning_rate)
    reset_peak_memory(model.device)
    before = peak_memory_bytes(model.device)
    started_cpu = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        record = train_adapter(model, view, recipe, Path(folder) / "tuned")
        cpu_s = time.process_time() - started_cpu
        tuned = model.with_adapter(Path(folder) / "tuned", method)
        asked = questions(dataset)[: given.n_questions]
        builder = QuestionOnly(dataset.card.instruction)
        prompts = builder.build([e.question for e in asked], tuned, dataset.card.max_output_tokens)
        answers = tuned.generate(
            [prompt.messages for prompt in prompts], GenerationConfig(max_output_tokens=dataset.card.max_output_tokens)
        )
    right = sum(answer.text in example.answers for answer, example in zip(answers, asked, strict=True))
    assert record.peak_memory_bytes is not None
    assert record.n_parameters is not None
    return {
        "method": method,
        "right": right,
        "asked": len(asked),
        "cpu_s": cpu_s,
        "wall_s": record.build_usage.wall_s,
        "peak": record.peak_memory_bytes - before,
        "share": record.n_trainable_parameters / record.n_parameters,
        "bytes": record.n_bytes,
        "probability": record.epochs[record.best_epoch - 1].validation_probability,
    }


def questions(dataset: Dataset) -> list[Any]:
    """Test questions in an order of their ids' hashes, so that the first are of all kinds."""
    from lm.files import sha256

    return sorted(dataset.split(Split.TEST), key=lambda example: sha256(example.id))


def table_row(one: dict[str, Any]) -> str:
    interval = wilson_interval(one["right"], one["asked"])
    cells = (
        f"`{one['method']}`",
        f"{100 * interval.estimate:.0f} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]",
        f"{one['cpu_s']:.0f} s",
        f"{one['wall_s']:.0f} s",
        f"{one['peak'] / 1e6:,.0f} MB",
        f"{one['share']:.2%}",
        f"{one['bytes'] / 1e6:,.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
