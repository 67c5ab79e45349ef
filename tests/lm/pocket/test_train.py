from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lm.pocket.conversations import ConversationSource
from lm.pocket.optimizer import MuonAdamW
from lm.pocket.packing import ANSWER, Packer
from lm.pocket.real_text import read_real_text
from lm.pocket.tokenizer import train_tokenizer
from lm.pocket.train import (
    Recipe,
    build_model,
    exact_match,
    fast_convolutions,
    first_exchange,
    loss_of,
    next_stage,
    rate_at,
    train,
)

TINY = Recipe(
    vocabulary_size=400,
    hidden_size=32,
    n_heads=2,
    intermediate_size=48,
    layers="ca",
    batch_tokens=256,
    row_tokens=(64, 64, 64),
    semantic=False,
    compiled=False,
)


def test_packed_rows_hold_what_the_chat_template_gives(text_folder: Path, tmp_path: Path) -> None:
    real = read_real_text(text_folder)
    source = ConversationSource(0, real)
    tokenizer = train_tokenizer((f" {text}" for _ in range(50) for _, text in source.conversation(0, 60)), 500)
    tokenizer.save_pretrained(tmp_path)
    packer = Packer(tmp_path / "tokenizer.json", 1, real)
    turns = packer.source.invented_reading(2, 40)
    ids, classes = packer.encode(turns)
    chat = [{"role": role, "content": text} for role, text in turns]
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(chat, tokenize=False)
    answers = tokenizer.decode([i for i, kind in zip(ids, classes, strict=True) if kind == ANSWER])
    assert answers == "".join(f" {text}<|end|>" for role, text in turns if role == "assistant")
    rows, kinds = packer.rows(3, 64, 1)
    assert rows.shape == kinds.shape == (3, 65)


def test_shifted_convolution_equals_the_stock_one() -> None:
    torch.manual_seed(0)
    model: Any = build_model(TINY).eval()
    ids = torch.randint(6, 400, (2, 20))
    stock = model(ids).logits
    with fast_convolutions():
        assert torch.allclose(model(ids).logits, stock, atol=1e-5)


def test_a_tiny_model_learns_a_batch_by_heart(text_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    real = read_real_text(text_folder)
    source = ConversationSource(0, real)
    train_tokenizer((text for _ in range(50) for _, text in source.conversation(0, 60)), 400).save_pretrained(tmp_path)
    packer = Packer(tmp_path / "tokenizer.json", 1, real)
    rows = [packer.encode(first_exchange(packer.source.tasks.lookups(4))) for _ in range(4)]
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (length - len(row)) for row, _ in rows])
    classes = torch.tensor([kinds + [0] * (length - len(kinds)) for _, kinds in rows])
    model: Any = build_model(TINY)
    optimizer = MuonAdamW(model, embedding_scale=1.0)
    for _ in range(200):
        loss, answer_loss = loss_of(model, model.model, ids, classes, 0.3)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(1.0)
    assert answer_loss < 0.1
    assert exact_match(model, rows) == 1.0


@pytest.mark.slow
def test_training_stops_and_goes_on(text_folder: Path, tmp_path: Path) -> None:
    stopped = train(text_folder, tmp_path, recipe=TINY, minutes=10, max_steps=3)
    first = torch.load(tmp_path / "state.pt")
    train(text_folder, tmp_path, recipe=TINY, minutes=10, resume=True, max_steps=5, n_row_processes=2)
    second = torch.load(tmp_path / "state.pt")
    assert (first["step"], second["step"]) == (3, 5)
    assert second["optimizer"]["n_steps"] == 5
    assert second["n_tokens"] == 5 * 256
    assert second["spent_s"] > first["spent_s"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        p.name for p in stopped.iterdir()
    }


@pytest.mark.slow
def test_a_sitting_that_ends_before_the_run_saves_a_latest_and_no_final_checkpoint(
    text_folder: Path, tmp_path: Path
) -> None:
    saved = train(text_folder, tmp_path, recipe=TINY, minutes=10, until_minutes=1e-6)
    assert saved == tmp_path / "latest"
    finished = train(text_folder, tmp_path, recipe=TINY, minutes=1e-6, resume=True)
    assert finished == tmp_path / "final"


@pytest.mark.slow
def test_a_run_planned_by_steps_ends_with_them(text_folder: Path, tmp_path: Path) -> None:
    assert train(text_folder, tmp_path, recipe=TINY, n_steps=3) == tmp_path / "final"
    assert torch.load(tmp_path / "state.pt")["step"] == 3


def test_rates_warm_up_and_fall_to_nearly_nothing() -> None:
    recipe = Recipe()
    assert rate_at(0, 0.0, recipe) < 0.02
    assert rate_at(1000, 0.4, recipe) == 1.0
    assert rate_at(1000, 1.0, recipe) == pytest.approx(0.01)
    assert rate_at(1000, 0.4, replace(recipe, peak=0.3)) == pytest.approx(0.3)


def test_rows_lengthen_once_the_model_copies() -> None:
    recipe = Recipe()
    assert next_stage(0, 0.1, 2.0, recipe) == 0
    assert next_stage(0, 0.1, 0.5, recipe) == 1
    assert next_stage(0, recipe.first_stage_until + 0.01, 2.0, recipe) == 1
    assert next_stage(1, recipe.second_stage_until + 0.01, 2.0, recipe) == 2
    assert next_stage(1, 0.1, 0.1, replace(recipe, second_stage_until=0.5)) == 1
