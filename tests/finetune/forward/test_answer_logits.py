from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from finetune.forward.answer_logits import AnswerLogits
from finetune.forward.batches import collate, pack
from finetune.forward.packed_attention import NAME
from finetune.methods import METHODS
from finetune.recipe import TuningRecipe
from finetune.rows import TrainingRow, build_rows, question_messages
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model
from tests.finetune.conftest import example, write_base

CPU = torch.device("cpu")
PACKING = {"llama": True, "mistral": True, "gpt2": True}
PADDING = {"lfm2": False, "short-window": False, "gemma2": False, "bloom": False}


def rows_of(model: HuggingFaceModel) -> tuple[TrainingRow, ...]:
    return build_rows([example(0), example(1, wording=1), example(2, answer="")], question_messages(""), model, 64)[0]


def loaded(folder: Path, architecture: str, dtype: str = "float32") -> HuggingFaceModel:
    return load_huggingface_model(write_base(folder, architecture=architecture), device="cpu", dtype=dtype)


def logits_of(answer_logits: AnswerLogits, rows: tuple[TrainingRow, ...]) -> Tensor:
    return torch.cat([answer_logits(batch) for batch in answer_logits.batches(rows)])


class Wrapped(nn.Module):
    """A model that takes no `logits_to_keep`, or answers whatever it is asked with zeros."""

    def __init__(self, module: Any, *, ignores: bool = False) -> None:
        super().__init__()
        self.module, self.ignores = module, ignores

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool, **choice: Any) -> Any:
        if self.ignores:
            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 5))
        if choice:
            raise TypeError("no such keyword")
        return self.module(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)


@pytest.mark.parametrize(("architecture", "packs"), (PACKING | PADDING).items())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_are_packed_where_that_gives_the_logits_of_each_row_alone(
    tmp_path: Path, architecture: str, packs: bool, dtype: str
) -> None:
    model = loaded(tmp_path, architecture, dtype)
    rows = rows_of(model)
    answer_logits = AnswerLogits.of(model.module, None, rows, 0)
    assert (answer_logits.packed, answer_logits.in_forward) == (packs, True)
    assert {p.dtype for p in model.module.parameters()} == {getattr(torch, dtype)}
    if dtype == "float32":
        plain = AnswerLogits(loaded(tmp_path, architecture).module, None, 0)
        alone = torch.cat([plain(collate([row], 0, CPU)) for row in rows])
        torch.testing.assert_close(logits_of(answer_logits, rows), alone, rtol=0, atol=1e-5)


def test_a_refused_packing_leaves_the_attention_as_it_was(tmp_path: Path) -> None:
    module = loaded(tmp_path, "lfm2").module
    before = module.config._attn_implementation
    assert not AnswerLogits.of(module, None, rows_of(loaded(tmp_path, "lfm2")), 0).packed
    assert module.config._attn_implementation == before != NAME


def test_model_without_choice_of_positions_computes_all_logits(model: HuggingFaceModel) -> None:
    rows = rows_of(model)
    slow = AnswerLogits.of(Wrapped(model.module), None, rows, 0)
    assert not slow.in_forward
    assert not slow.packed
    expected = AnswerLogits(model.module, None, 0, in_forward=True)(collate(rows, 0, CPU))
    torch.testing.assert_close(slow(collate(rows, 0, CPU)), expected, rtol=0, atol=1e-6)


def test_model_that_ignores_the_choice_computes_all_logits(model: HuggingFaceModel) -> None:
    assert not AnswerLogits.of(Wrapped(model.module, ignores=True), None, rows_of(model), 0).in_forward


def test_padding_does_not_change_logits(model: HuggingFaceModel) -> None:
    rows = rows_of(model)
    padded = AnswerLogits(model.module, None, 0, in_forward=True)
    alone = [padded(collate([row], 0, CPU)) for row in rows]
    torch.testing.assert_close(padded(collate(rows, 0, CPU)), torch.cat(alone), rtol=0, atol=1e-5)


def test_the_longest_row_decides_whether_a_window_is_long_enough(tmp_path: Path) -> None:
    model = loaded(tmp_path, "short-window")
    short = TrainingRow("short", (1, 3, 8, 20), 3)
    assert AnswerLogits.of(model.module, None, [short, short], 0).packed
    assert not AnswerLogits.of(loaded(tmp_path, "short-window").module, None, [short, *rows_of(model)], 0).packed
    with pytest.raises(ValueError, match="no sliding window"):
        AnswerLogits(model.module, None, 0, packed=True)(pack(rows_of(model), 0, CPU))


def row(*parts: int, answer: int, seed: int = 0) -> TrainingRow:
    """A row whose prompt is made of stretches of so many tokens; stretches of one length and seed are equal."""
    drawn = [torch.randint(6, 320, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in parts]
    own = torch.randint(6, 320, (answer,), generator=torch.Generator().manual_seed(seed + 100)).tolist()
    return TrainingRow(f"{parts}/{seed}", tuple(token for part in (*drawn, own) for token in part), sum(parts))


ROWS = {
    "several lengths": [row(20, 5, answer=2), row(20, 9, answer=4, seed=1), row(20, 31, answer=1, seed=2)],
    "no shared beginning": [row(5, answer=2), row(9, answer=3, seed=1), row(31, answer=2, seed=2)],
    "the whole prompt shared": [row(12, answer=2), row(12, answer=5, seed=1), row(12, answer=1, seed=2)],
    "one row": [row(20, 5, answer=3)],
    "texts among questions": [row(20, 5, answer=2), row(1, answer=30), row(20, 9, answer=4), row(1, answer=8, seed=3)],
}


@pytest.mark.parametrize("pack_tokens", [1024, 40])
@pytest.mark.parametrize("rows", ROWS.values(), ids=list(ROWS))
def test_loss_and_gradients_of_packed_rows_equal_those_of_each_row_alone(
    tiny_model_folder: Path, rows: list[TrainingRow], pack_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.forward.batches.PACK_TOKENS", pack_tokens)

    def loss_and_gradients(*, packed: bool) -> dict[str, Tensor]:
        model = adapted(tiny_model_folder)
        answer_logits = AnswerLogits.of(model, None, rows, 0)
        assert answer_logits.packed
        if not packed:
            model.set_attn_implementation("sdpa")
            answer_logits = AnswerLogits(model, None, 0)
        parts = [rows] if packed else [[row] for row in rows]
        total = torch.zeros(())
        for batch in (batch for part in parts for batch in answer_logits.batches(part)):
            loss = cross_entropy(answer_logits(batch), batch.target_ids[batch.scored], reduction="sum")
            loss.backward()
            total += loss.detach()
        return {"loss": total} | {n: w.grad for n, w in model.named_parameters() if w.grad is not None}

    alone, together = loss_and_gradients(packed=False), loss_and_gradients(packed=True)
    assert len(alone) > 20
    for name, expected in alone.items():
        torch.testing.assert_close(
            together[name], expected, rtol=1e-5, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


def adapted(folder: Path) -> Any:
    """A model with a LoRA adapter that already changes its answers."""
    torch.manual_seed(0)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), METHODS["lora"].configure(TuningRecipe(r=4)))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return model
