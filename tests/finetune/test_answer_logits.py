from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from finetune.answer_logits import AnswerLogits
from finetune.batches import Batch, collate
from finetune.rows import build_rows, question_messages
from lm.huggingface import HuggingFaceModel, load_huggingface_model
from tests.finetune.conftest import example, write_base


def batch_of(model: HuggingFaceModel) -> Batch:
    examples = [example(0), example(1, wording=1), example(2, answer="")]
    rows, _ = build_rows(examples, question_messages(""), model, 64)
    return collate(rows, 0, torch.device("cpu"))


@pytest.mark.parametrize("architecture", ["lfm2", "llama"])
def test_scored_positions_alone_equal_the_same_of_all(tmp_path: Path, architecture: str) -> None:
    model = load_huggingface_model(write_base(tmp_path, architecture=architecture), device="cpu", dtype="float32")
    batch = batch_of(model)
    fast = AnswerLogits.of(model.module, None, batch)
    assert fast.in_forward
    whole = AnswerLogits(model.module, None, in_forward=False)
    torch.testing.assert_close(fast(batch), whole(batch), rtol=0, atol=1e-6)
    assert fast(batch).shape[0] == 2 + 2 + 4


def test_model_without_that_choice_computes_all_logits(model: HuggingFaceModel) -> None:
    def forward(input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> Any:
        return model.module(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    batch = batch_of(model)
    slow = AnswerLogits.of(forward, None, batch)
    assert not slow.in_forward
    torch.testing.assert_close(slow(batch), AnswerLogits.of(model.module, None, batch)(batch), rtol=0, atol=1e-6)


def test_model_that_ignores_the_choice_computes_all_logits(model: HuggingFaceModel) -> None:
    def forward(**inputs: Any) -> Any:
        return SimpleNamespace(logits=torch.zeros(*inputs["input_ids"].shape, 5))

    assert not AnswerLogits.of(forward, None, batch_of(model)).in_forward


def test_padding_does_not_change_logits(model: HuggingFaceModel) -> None:
    rows, _ = build_rows([example(0), example(1, answer="")], question_messages(""), model, 64)
    together = AnswerLogits(model.module, None, in_forward=True)(collate(rows, 0, torch.device("cpu")))
    alone = [AnswerLogits(model.module, None, in_forward=True)(collate([row], 0, torch.device("cpu"))) for row in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
