"""Every arm of a comparison against a straightforward script: transformers' `generate`, and peft in a plain loop.

    python -m benchmarks.whole_comparison --dataset ticket-triage --limit 48 --train-limit 96 --dtype float32

Both sides load the same weights in the same dtype, read the same prompts, decode greedily, and train the same LoRA on
the same rows in the same order. They take turns (ours, script, script, ours), so that a slow moment hits both. The
script reads prompts in batches of 16 in the order of the file; nothing is shared between them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from advisor.data.dataset import Dataset, Split
from advisor.data.files import load_dataset
from advisor.data.prompt import FewShot, QuestionOnly
from advisor.data.splitting import limit_dataset
from advisor.evidence.statistics import paired_bootstrap
from advisor.metrics.registry import metric
from advisor.results.score import ScoringResources
from finetune.methods import METHODS
from finetune.recipe import TuningRecipe
from finetune.rows import build_rows, question_messages
from finetune.tuned_model import train_adapter
from lm.completion import GenerationConfig, Messages
from lm.language_model import LanguageModel
from lm.local.huggingface import HuggingFaceModel
from lm.registry import LoadOptions, load_language_model
from rag.chunk import Chunking
from rag.embedder import load_embedder
from rag.index import build_index, open_index
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever
from service.store.bundled_datasets import BUNDLED_DATASETS

SCRIPT_BATCH = 16
TURNS = ("ours", "script", "script", "ours")


@dataclass
class Part:
    """One arm, or tuning, timed on both sides.

    Attributes:
        seconds: By side, one entry a turn.
        texts: Answers by side, of the last turn.
    """

    name: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "script": []})
    texts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times longer the script takes."""
        return sum(self.seconds["script"]) / sum(self.seconds["ours"])


def script_answers(
    module: Any, model: HuggingFaceModel, prompts: Sequence[Messages], config: GenerationConfig
) -> list[str]:
    """What anyone would write: left padding, batches of 16, `generate`."""
    texts: list[str] = []
    encoded = [model.encode(prompt) for prompt in prompts]
    for start in range(0, len(encoded), SCRIPT_BATCH):
        batch = encoded[start : start + SCRIPT_BATCH]
        width = max(map(len, batch))
        pad = model.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        with torch.inference_mode():
            output = module.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=config.max_output_tokens, do_sample=False
            )
        texts += [text.strip() for text in model.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)]
    return texts


def script_tuning(model: HuggingFaceModel, dataset: Dataset, recipe: TuningRecipe, seed: int = 0) -> list[str]:
    """A plain loop over padded batches, loss on the answers, all logits."""
    import peft

    base = type(model.module).from_pretrained(model.folder, dtype=model.module.dtype)
    adapted = peft.get_peft_model(base, METHODS[recipe.method].configure(recipe))
    view = dataset.training_view()
    rows, _ = build_rows(view.train, question_messages(view.card.instruction), model, recipe.max_length)
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    adapted.train()
    for _ in range(recipe.max_epochs):
        order = torch.randperm(len(rows), generator=generator).tolist()
        for start in range(0, len(order), recipe.batch_size):
            batch = [rows[i] for i in order[start : start + recipe.batch_size]]
            width = max(len(row.token_ids) for row in batch)
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            labels = torch.full_like(ids, -100)
            for i, row in enumerate(batch):
                n = len(row.token_ids)
                ids[i, :n], mask[i, :n] = torch.tensor(row.token_ids), 1
                labels[i, row.n_prompt_tokens : n] = ids[i, row.n_prompt_tokens : n]
            logits = adapted(input_ids=ids, attention_mask=mask).logits.float()
            loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
    return []


def measure(parts: dict[str, Part], name: str, side: str, act: Callable[[], list[str]]) -> None:
    """Time one part of one side's turn."""
    part = parts.setdefault(name, Part(name))
    started = time.perf_counter()
    part.texts[side] = act()
    part.seconds[side].append(time.perf_counter() - started)
    print(f"  {side:6} {name:10} {part.seconds[side][-1]:7.1f} s", flush=True)


TUNED_READS = {"fine-tuned": "base", "hybrid": "rag"}
"""The tuned arms, and the arm whose prompts they read."""


def our_turn(
    parts: dict[str, Part],
    model: HuggingFaceModel,
    prompts: Mapping[str, Sequence[Messages]],
    config: GenerationConfig,
    dataset: Dataset,
    recipe: TuningRecipe,
    folder: Path,
) -> None:
    """All arms as a comparison runs them; the adapter is left in `folder`."""

    def answers(answering: LanguageModel, asked: Sequence[Messages]) -> list[str]:
        return [completion.text for completion in answering.generate(asked, config)]

    def tuning() -> list[str]:
        train_adapter(model, dataset.training_view(), recipe, folder)
        return []

    for name, asked in prompts.items():
        measure(parts, name, "ours", partial(answers, model, asked))
    measure(parts, "tuning", "ours", tuning)
    adapted = model.with_adapter(folder, "tuned")
    for name, arm in TUNED_READS.items():
        measure(parts, name, "ours", partial(answers, adapted, prompts[arm]))


def script_turn(
    parts: dict[str, Part],
    model: HuggingFaceModel,
    prompts: Mapping[str, Sequence[Messages]],
    config: GenerationConfig,
    dataset: Dataset,
    recipe: TuningRecipe,
    tuned_by: Path,
) -> None:
    """All arms by the script; tuned arms answer with our adapter, since what is compared is how they answer."""
    import peft

    module = type(model.module).from_pretrained(model.folder, dtype=model.module.dtype).eval()
    for name, asked in prompts.items():
        measure(parts, name, "script", partial(script_answers, module, model, asked, config))
    measure(parts, "tuning", "script", partial(script_tuning, model, dataset, recipe))
    tuned = peft.PeftModel.from_pretrained(module, tuned_by, autocast_adapter_dtype=False).eval()
    for name, arm in TUNED_READS.items():
        measure(parts, name, "script", partial(script_answers, tuned, model, prompts[arm], config))


def load_model(options: argparse.Namespace) -> HuggingFaceModel:
    """The model of both sides."""
    model = load_language_model(options.model, LoadOptions(dtype=options.dtype))
    assert isinstance(model, HuggingFaceModel)
    return model


def main() -> None:
    """Run both sides in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="ticket-triage")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--train-limit", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--top-k", type=int, default=2)
    options = parser.parse_args()

    model = load_model(options)
    whole = load_dataset(BUNDLED_DATASETS / options.dataset, task=None, seed=0)
    dataset = limit_dataset(whole, limit=options.limit, train_limit=options.train_limit, coverage=0.5, seed=0)
    card, test = dataset.card, dataset.split(Split.TEST)
    config = GenerationConfig(max_output_tokens=card.max_output_tokens)
    recipe = TuningRecipe(max_epochs=options.epochs, learning_rate=1e-3, precision=options.dtype)
    view = dataset.training_view()
    tuning_alone = Dataset(card, dataset.documents, view.train)
    with tempfile.TemporaryDirectory() as scratch:
        embedder = load_embedder("minilm")
        build_index(dataset.documents, embedder, Path(scratch) / "index", chunking=Chunking(128, 0))
        index = open_index(Path(scratch) / "index", embedder)
        builders = {
            "base": QuestionOnly(card.instruction),
            "few-shot": FewShot.from_training(view, n_shots=6, seed=0),
            "rag": RetrievedPrompt(Retriever(index, embedder), card.instruction, options.top_k),
        }
        questions = [example.question for example in test]
        prompts = {
            name: [prompt.messages for prompt in builder.build(questions, model, card.max_output_tokens)]
            for name, builder in builders.items()
        }
        parts: dict[str, Part] = {}
        tuned_by = Path(scratch) / "adapter-0"
        for turn, side in enumerate(TURNS):
            if side == "ours":
                folder = Path(scratch) / f"adapter-{turn}"
                our_turn(parts, load_model(options), prompts, config, tuning_alone, recipe, folder)
            else:
                script_turn(parts, model, prompts, config, tuning_alone, recipe, tuned_by)
        index.close()
    _report(parts, dataset, options)


def _report(parts: dict[str, Part], dataset: Dataset, options: argparse.Namespace) -> None:
    test = dataset.split(Split.TEST)
    print(f"\n{options.dataset}, {options.model}, {options.dtype}: {len(test)} questions, turns {', '.join(TURNS)}")
    print("| part | ours s | script s | times faster | same answers | score ours - script |\n|---|--:|--:|--:|--:|--:|")
    deciding = metric(dataset.card.metrics[0])
    clusters = [dataset.cluster_of(example) for example in test]
    for part in parts.values():
        same, difference = "", ""
        if part.texts["ours"]:
            same = f"{np.mean([a == b for a, b in zip(part.texts['ours'], part.texts['script'], strict=True)]):.1%}"
            scores = {side: _scores(texts, dataset, deciding) for side, texts in part.texts.items()}
            interval, _ = paired_bootstrap(scores["ours"], scores["script"], clusters)
            difference = f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
        ours, script = (np.mean(part.seconds[side]) for side in ("ours", "script"))
        print(f"| {part.name} | {ours:.1f} | {script:.1f} | {part.ratio:.2f} | {same} | {difference} |")
    total = {side: sum(sum(part.seconds[side]) for part in parts.values()) / 2 for side in ("ours", "script")}
    print(f"| all | {total['ours']:.1f} | {total['script']:.1f} | {total['script'] / total['ours']:.2f} | | |")


def _scores(texts: Sequence[str], dataset: Dataset, deciding: Any) -> np.ndarray:
    from advisor.results.answer import Answer
    from lm.completion import FinishReason, Usage

    answers = [Answer(text, Usage(), FinishReason.STOP, (), "") for text in texts]
    scores = deciding.score(dataset.split(Split.TEST), answers, ScoringResources(dataset.card))
    return np.array([score.value if score.value is not None else np.nan for score in scores])


if __name__ == "__main__":
    main()
