import random

import torch

from finetune.batches import IGNORED, collate, drop_prompt_tokens, optimiser_steps
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


def test_prompt_dropout_leaves_out_other_ordinary_prompt_tokens_each_epoch() -> None:
    row = TrainingRow("a", (1, *range(10, 110), 2, 7, 8, 2), 102)
    first, again, other = (
        drop_prompt_tokens([row], 0.3, frozenset({1, 2}), seed=0, epoch=epoch)[0] for epoch in (1, 1, 2)
    )
    assert first == again != other
    assert first.token_ids[first.n_prompt_tokens :] == (7, 8, 2)
    prompt = first.token_ids[: first.n_prompt_tokens]
    assert (prompt[0], prompt[-1]) == (1, 2)
    assert 55 < len(prompt) < 87
    assert list(prompt[1:-1]) == sorted(prompt[1:-1])


def test_prompt_dropout_never_empties_a_prompt() -> None:
    thinned = drop_prompt_tokens(ROWS, 0.99, frozenset(), seed=0, epoch=1)
    assert min(row.n_prompt_tokens for row in thinned) >= 1
    assert [row.n_answer_tokens for row in thinned] == [row.n_answer_tokens for row in ROWS]


def test_collate_pads_right_to_a_multiple_of_8_and_scores_answers_only() -> None:
    rows = [TrainingRow("a", (5, 6, 7, 8, 2), 3), TrainingRow("b", (5, 6, 7, 8, 9, 10, 11, 12, 2), 8)]
    batch = collate(rows, 0, torch.device("cpu"))
    assert batch.input_ids.shape == (2, 16)
    assert batch.input_ids[0].tolist() == [5, 6, 7, 8, 2] + [0] * 11
    assert batch.attention_mask.sum(1).tolist() == [5, 9]
    assert batch.target_ids[0].tolist() == [IGNORED, IGNORED, 8, 2] + [IGNORED] * 12
    assert batch.target_ids[1].tolist() == [IGNORED] * 7 + [2] + [IGNORED] * 8
    assert batch.scored.sum().item() == 3
