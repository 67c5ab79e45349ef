"""A tuned arm of a tiny model, opened: trained once a session on the labels of a dozen tickets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset, DatasetCard, Example, Split, Task
from advisor.data.prompt import FewShot, PromptBuilder, QuestionOnly
from advisor.results.answer import Pipeline
from advisor.results.comparison import Comparison
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.completion import GenerationConfig
from lm.local.huggingface import AdaptedModel, HuggingFaceModel, load_huggingface_model
from service.handover.winner import Winner
from service.run.settings import ComparisonSettings

CARD = DatasetCard(
    name="Tickets & more",
    task=Task.CLASSIFICATION,
    language="en",
    licence="CC0-1.0",
    metrics=("accuracy",),
    description="Tickets.",
    instruction='Name the queue: billing or "shipping".',
    max_output_tokens=6,
    labels=("billing", 'the "shipping" queue'),
)


def examples(split: Split, n: int) -> tuple[Example, ...]:
    return tuple(
        Example(f"{split}{i}", f"Ticket {split} {i}: {{where}} is it?", (CARD.labels[i % 2],), (), f"{split}{i}", split)
        for i in range(n)
    )


@pytest.fixture(scope="session")
def tickets() -> Dataset:
    return Dataset(CARD, (), examples(Split.TRAIN, 12) + examples(Split.VALIDATION, 4) + examples(Split.TEST, 5))


@pytest.fixture(scope="session")
def tiny(tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    """The tiny reader with heads of 16 numbers, the fewest that ONNX Runtime takes, and with milder weights."""
    config = transformers.AutoConfig.from_pretrained(tiny_reader_folder, head_dim=16)
    torch.manual_seed(0)
    module = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.15)
    folder = tmp_path_factory.mktemp("tiny")
    module.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_reader_folder).save_pretrained(folder)
    return load_huggingface_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def adapters(tiny: HuggingFaceModel, tickets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two, the second taught the other of both labels."""
    folders = {f"questions-{seed}": tmp_path_factory.mktemp("trained") / "adapter" for seed in (0, 1)}
    recipe = TuningRecipe(max_epochs=2, r=4, lora_alpha=8, learning_rate=0.02, batch_size=4)
    view = tickets.training_view()
    turned = tuple(replace(e, answers=(CARD.labels[e.answers[0] == CARD.labels[0]],)) for e in view.train)
    train_adapter(tiny, view, recipe, folders["questions-0"])
    train_adapter(tiny, replace(view, train=turned), replace(recipe, seed=1), folders["questions-1"])
    return folders


@pytest.fixture(scope="session")
def tuned(tiny: HuggingFaceModel, adapters: dict[str, Path]) -> AdaptedModel:
    return tiny.with_adapter(adapters["questions-0"], "tuned")


@pytest.fixture(scope="session")
def opened(tickets: Dataset, comparison: Comparison) -> Callable[..., Winner]:
    def open_arm(kind: str, model: HuggingFaceModel | AdaptedModel, *, constrained: bool = True) -> Winner:
        builder: PromptBuilder = QuestionOnly(CARD.instruction)
        if kind == "few-shot":
            builder = FewShot.from_training(tickets.training_view(), n_shots=2)
        generation = GenerationConfig(
            max_output_tokens=12, batch_size=1, constraint=constraint_of(tickets) if constrained else None
        )
        base = model.base if isinstance(model, AdaptedModel) else model
        measured = replace(comparison, arms=(replace(comparison.arms[0], kind=kind, id=kind),))
        settings = ComparisonSettings("tickets", model=f"hf:{base.source}", arms=(kind,))
        return Winner(measured, settings, tickets, Pipeline(kind, model, builder, generation))

    return open_arm


@pytest.fixture(scope="session")
def winner(opened: Callable[..., Winner], tuned: AdaptedModel, adapters: dict[str, Path]) -> Winner:
    return replace(opened("fine-tuned", tuned), adapters=adapters)
