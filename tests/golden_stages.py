"""What the makers of stages make of a small fixed input, recorded beside the format numbers it was made with.

Inputs are files of an older home, weights included, so that nothing random comes in. `python -m tests.golden_stages`
records anew the kinds of stage whose format numbers were raised, and refuses where they should be.
"""

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset, Split
from advisor.data.files import load_dataset
from advisor.data.prompt import FewShot, PromptBuilder, QuestionOnly
from advisor.results.answer import Pipeline
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.completion import GenerationConfig
from lm.constraint import OneOf
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model
from rag.chunk import Chunking
from rag.embedder import load_embedder
from rag.index import build_index, open_index
from rag.known_questions.nearest_few_shot import NearestFewShot
from rag.known_questions.training_questions import embed_training_questions
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever
from service.store.stages.stage_key import STAGE_KINDS, formats
from tests.old_home import OldHome, unpack_old_home

FOLDER = Path(__file__).parent / "fixtures" / "golden-stages"
COMMAND = "python -m tests.golden_stages"
N_QUESTIONS = 4


def golden_index(home: OldHome, workplace: Path) -> Any:
    """Chunks, the beginnings of their vectors, and what is found."""
    dataset, embedder = _dataset(home), load_embedder("minilm", device="cpu")
    build_index(dataset.documents[:4], embedder, workplace / "index", chunking=Chunking(64, 16))
    with open_index(workplace / "index", embedder) as index:
        vectors = embedder.embed(_questions(dataset))
        found = [[[c.chunk_id, c.score] for c in chunks] for chunks in index.query(vectors, 2)]
    rows = [json.loads(line) for line in (workplace / "index" / "chunks.jsonl").read_text("utf-8").splitlines()]
    chunks = [[row["id"], row["start"], row["end"], row["n_tokens"], row["embedded_text"]] for row in rows]
    return {"chunks": chunks, "vectors": vectors[:, :4].tolist(), "found": found}


def golden_adapter(home: OldHome, workplace: Path) -> Any:
    """Rows, losses and the size of the weights after two epochs on questions and text."""
    dataset = _dataset(home)
    recipe = TuningRecipe(r=4, lora_alpha=8, max_epochs=2, prompt_dropout=0.3, precision="float32")
    texts = [document.text[:200] for document in dataset.documents[:4]]
    record = train_adapter(_model(home), dataset.training_view(), recipe, workplace / "adapter", texts=texts)
    return {
        "recipe": record.recipe.hash,
        "rows": [record.train_rows_hash, record.validation_rows_hash],
        "learning_rate": record.learning_rate,
        "losses": [[epoch.train_loss, epoch.validation_loss] for epoch in record.epochs],
        "norm": _norm(workplace / "adapter" / "adapter_model.safetensors"),
    }


def golden_answers(home: OldHome, workplace: Path) -> Any:
    """Prompts, answers and tokens of base and adapted model, freely and within labels."""
    dataset, embedder = _dataset(home), load_embedder("minilm", device="cpu")
    model = _model(home)
    (adapter,) = (home.directory.root / "stages" / "adapters").iterdir()
    build_index(dataset.documents, embedder, workplace / "index")
    instruction = dataset.card.instruction
    known = embed_training_questions(dataset.split(Split.TRAIN), embedder)
    with open_index(workplace / "index", embedder) as index:
        builders: dict[str, PromptBuilder] = {
            "question": QuestionOnly(instruction),
            "few-shot": FewShot.from_training(dataset.training_view(), n_shots=3, seed=0),
            "retrieved": RetrievedPrompt(Retriever(index, embedder), instruction, 2),
            "nearest": NearestFewShot(instruction, known, 2),
        }
        made = {}
        for name, builder in builders.items():
            free = GenerationConfig(max_output_tokens=8)
            made[name] = _ask(Pipeline("", model, builder, free), dataset)
        labels = GenerationConfig(max_output_tokens=8, constraint=OneOf(("two years", "kettle", "no")))
        made["labels"] = _ask(Pipeline("", model, builders["question"], labels), dataset)
        tuned = model.with_adapter(adapter, "tuned")
        made["adapted"] = _ask(Pipeline("", tuned, builders["question"], free), dataset)
    return made


MAKERS: dict[str, Callable[[OldHome, Path], Any]] = {
    "indexes": golden_index,
    "adapters": golden_adapter,
    "answers": golden_answers,
}


def recorded(kind: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def differs(made: Any, then: Any, where: str = "") -> str:
    """The first place where two results differ by more than rounding; "" where they do not."""
    if isinstance(made, float) and isinstance(then, float):
        return "" if math.isclose(made, then, rel_tol=2e-3, abs_tol=2e-4) else f"{where}: {then} was, {made} is"
    if isinstance(made, dict) and isinstance(then, dict) and made.keys() == then.keys():
        return next((d for k in made if (d := differs(made[k], then[k], f"{where}.{k}"))), "")
    if isinstance(made, list) and isinstance(then, list) and len(made) == len(then):
        return next(
            (d for i, pair in enumerate(zip(made, then, strict=True)) if (d := differs(*pair, f"{where}[{i}]"))), ""
        )
    return "" if made == then else f"{where}: {then!r} was, {made!r} is"


def numbers(kind: str) -> dict[str, object]:
    """The format numbers of a kind; versions of libraries differ by machine."""
    return {name: number for name, number in formats(kind).items() if name in STAGE_KINDS[kind].packages}


def remedy(kind: str) -> str:
    packages = ", ".join(STAGE_KINDS[kind].packages)
    return (
        f"if that is meant, raise FORMAT in the package that changed (of {packages}), then run `{COMMAND}`; if only a "
        f"library is another, delete {kind}.json in {FOLDER.name} and run that"
    )


def _dataset(home: OldHome) -> Dataset:
    (folder,) = (home.directory.root / "datasets").iterdir()
    return load_dataset(folder)


def _model(home: OldHome) -> HuggingFaceModel:
    return load_huggingface_model(home.model_folder, device="cpu", dtype="float32")


def _questions(dataset: Dataset) -> list[str]:
    return [example.question for example in dataset.split(Split.TEST)[:N_QUESTIONS]]


def _ask(pipeline: Pipeline, dataset: Dataset) -> list[list[Any]]:
    return [
        [a.text, a.usage.input_tokens, a.usage.output_tokens, a.finish_reason, a.prompt_hash]
        for a in pipeline.answer(_questions(dataset))
    ]


def _norm(weights: Path) -> float:
    from safetensors.torch import load_file

    return math.sqrt(sum(float((tensor**2).sum()) for tensor in load_file(weights).values()))


def main() -> None:
    """Record what changed together with a format number."""
    FOLDER.mkdir(exist_ok=True)
    for kind, make in MAKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            made = json.loads(json.dumps(make(unpack_old_home(Path(folder)), Path(folder))))
        path, now = FOLDER / f"{kind}.json", numbers(kind)
        if (
            path.is_file()
            and (difference := differs(made, recorded(kind)["made"]))
            and recorded(kind)["formats"] == now
        ):
            sys.exit(f"{kind} differ at {difference}; {remedy(kind)}")
        if not path.is_file() or recorded(kind)["formats"] != now:
            path.write_text(json.dumps({"formats": now, "made": made}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
