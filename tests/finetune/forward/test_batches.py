import random

import pytest
import torch

from finetune.forward.batches import (
    IGNORED,
    collate,
    drop_prompt_tokens,
    optimiser_steps,
    pack,
    packs,
    shared_beginning,
)
from finetune.forward.packed_attention import PackedLayout
from finetune.rows import TrainingRow

ROWS = [TrainingRow(str(i), tuple(range(10, 10 + random.Random(i).randint(4, 60))), 3) for i in range(203)]


def ids(steps: list[list[list[TrainingRow]]]) -> list[str]:
    return [row.example_id for parts in steps for part in parts for row in part]


def test_every_row_comes_once_an_epoch() -> None:
    steps = optimiser_steps(ROWS, 16, 1, seed=0, epoch=1)
    assert sorted(ids(steps)) == sorted(row.example_id for row in ROWS)
    assert len(steps) == 13


def test_order_is_decided_by_seed_and_epoch() -> None:
    first = ids(optimiser_steps(ROWS, 16, 1, seed=0, epoch=1))
    assert ids(optimiser_steps(ROWS, 16, 1, seed=0, epoch=1)) == first
    assert ids(optimiser_steps(ROWS, 16, 1, seed=0, epoch=2)) != first
    assert ids(optimiser_steps(ROWS, 16, 1, seed=1, epoch=1)) != first


def test_accumulation_splits_the_same_steps() -> None:
    whole = optimiser_steps(ROWS, 16, 1, seed=0, epoch=1)
    split = optimiser_steps(ROWS, 16, 4, seed=0, epoch=1)
    assert [[row for part in parts for row in part] for parts in split] == [parts[0] for parts in whole]
    assert max(len(part) for parts in split for part in parts) == 4


def test_rows_of_like_length_share_a_batch() -> None:
    def padding(batches: list[list[TrainingRow]]) -> int:
        return sum(max(len(r.token_ids) for r in b) * len(b) - sum(len(r.token_ids) for r in b) for b in batches)

    grouped = [parts[0] for parts in optimiser_steps(ROWS, 16, 1, seed=0, epoch=1)]
    assert padding(grouped) < 0.3 * padding([ROWS[i : i + 16] for i in range(0, len(ROWS), 16)])


def prompt_of(row: TrainingRow) -> tuple[int, ...]:
    return row.token_ids[: row.n_prompt_tokens]


def test_prompt_dropout_leaves_out_other_ordinary_prompt_tokens_each_epoch() -> None:
    rows = [TrainingRow("a", (1, *range(10, 110), 2, 7, 8, 2), 102), TrainingRow("b", (1, 9, 2, 8, 2), 3)]
    first, again, other = (
        drop_prompt_tokens(rows, 0.3, frozenset({1, 2}), seed=0, epoch=epoch)[0] for epoch in (1, 1, 2)
    )
    assert first == again != other
    assert first.token_ids[first.n_prompt_tokens :] == (7, 8, 2)
    prompt = prompt_of(first)
    assert (prompt[0], prompt[-1]) == (1, 2)
    assert 55 < len(prompt) < 87
    assert list(prompt[1:-1]) == sorted(prompt[1:-1])


def test_prompt_dropout_keeps_what_all_prompts_begin_and_end_with() -> None:
    start, end = tuple(range(100, 130)), tuple(range(130, 140))
    rows = [TrainingRow(str(i), (*start, *range(i, i + 20), *end, 7, 2), 60) for i in (200, 300, 400)]
    thinned = drop_prompt_tokens([*rows, TrainingRow("text", (5, 6, 7), 1)], 0.9, frozenset(), seed=0, epoch=1)
    assert thinned[-1] == TrainingRow("text", (5, 6, 7), 1)
    for row in thinned[:-1]:
        prompt = prompt_of(row)
        assert prompt[:30] == start
        assert prompt[-10:] == end
        assert 40 < len(prompt) < 60


def test_prompt_dropout_never_empties_a_prompt() -> None:
    thinned = drop_prompt_tokens(ROWS, 0.99, frozenset(), seed=0, epoch=1)
    assert min(row.n_prompt_tokens for row in thinned) >= 1
    assert [row.n_answer_tokens for row in thinned] == [row.n_answer_tokens for row in ROWS]


def test_shared_beginning_ends_before_the_last_prompt_token() -> None:
    rows = [TrainingRow("a", (1, 2, 3, 4, 9), 4), TrainingRow("b", (1, 2, 3, 4, 8, 9), 4)]
    assert shared_beginning(rows) == 3
    assert shared_beginning([*rows, TrainingRow("c", (1, 2, 5, 4, 9), 4)]) == 2
    assert shared_beginning([*rows, TrainingRow("text", (1, 2, 3), 1)]) == 0
    assert shared_beginning([]) == 0


def test_packs_are_of_like_size_and_keep_texts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.forward.batches.PACK_TOKENS", 100)
    questions = [TrainingRow(f"q{i}", (*range(20), 50 + i, *range(i % 3 + 9)), 22) for i in range(17)]
    texts = [TrainingRow(f"t{i}", tuple(range(30)), 1) for i in range(2)]
    parts = packs([questions[0], *texts, *questions[1:]])
    assert [{row.is_text for row in part} for part in parts] == [{False}, {False}, {False}, {True}]
    assert [row for part in parts for row in part] == [*questions, *texts]
    sizes = [20 + sum(len(row.token_ids) - 20 for row in part) for part in parts[:-1]]
    assert max(sizes) < 115
    assert max(sizes) - min(sizes) < 25


def test_a_row_longer_than_a_pack_is_packed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.forward.batches.PACK_TOKENS", 8)
    rows = [TrainingRow(str(i), (1, 2, *range(i, i + 20)), 5) for i in (30, 60)]
    assert packs(rows) == [[rows[0]], [rows[1]]]
    assert packs([]) == []


def test_pack_writes_the_shared_beginning_once_and_pads_to_a_multiple_of_32() -> None:
    rows = [TrainingRow("a", (5, 6, 7, 8, 2), 3), TrainingRow("b", (5, 6, 9, 10, 11, 2), 4)]
    batch = pack(rows, 3, torch.device("cpu"))
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 2, 9, 10, 11, 2] + [3] * 23]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 4, 5] + [0] * 23]
    none = IGNORED
    assert batch.target_ids.tolist() == [[none, none, 8, 2, none, none, 11, 2, none] + [none] * 23]
    assert batch.row_of_target.tolist() == [0, 0, 1, 1]
    assert batch.inputs["packed_rows"] == PackedLayout(2, (3, 4))


def test_collate_pads_right_to_a_multiple_of_8_and_scores_answers_only() -> None:
    rows = [TrainingRow("a", (5, 6, 7, 8, 2), 3), TrainingRow("b", (5, 6, 7, 8, 9, 10, 11, 12, 2), 8)]
    batch = collate(rows, 0, torch.device("cpu"))
    assert batch.input_ids.shape == (2, 16)
    assert batch.input_ids[0].tolist() == [5, 6, 7, 8, 2] + [0] * 11
    assert batch.inputs["attention_mask"].sum(1).tolist() == [5, 9]
    assert batch.row_of_target.tolist() == [0, 0, 1]
    assert batch.target_ids[0].tolist() == [IGNORED, IGNORED, 8, 2] + [IGNORED] * 12
    assert batch.target_ids[1].tolist() == [IGNORED] * 7 + [2] + [IGNORED] * 8
    assert batch.scored.sum().item() == 3
