"""Batches: rows of like length together, another order each epoch, everything decided by seed and epoch."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any, TypeVar

import torch
from torch import Tensor

from finetune.forward.packed_attention import NAME, PackedLayout
from finetune.rows import TrainingRow
from lm.local.prefix_tree import n_common

LENGTH_POOL_BATCHES = 8
"""Batches that are sorted by length together: little padding, and the order of rows still varies."""

PACK_TOKENS = 768
"""Tokens packed into one sequence at most, unless a single row has more.

It bounds memory, 1 to 2 MB a token on a model of 135 million parameters; matrix products gain little from more.
"""

PACK_MULTIPLE = 32
"""Packed sequences are padded to a multiple of it.

oneDNN makes and keeps kernels for every shape that occurs: with lengths of all kinds they take 500 MB and, scattered
over the heap, keep another gigabyte from being used again.
"""

PADDING_MULTIPLE = 8
IGNORED = -100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as a causal model reads them in one forward pass: padded or packed.

    Attributes:
        input_ids: (batch, seq).
        target_ids: (batch, seq): the token to predict at each position, `IGNORED` where nothing is scored.
        row_of_target: (n_scored,): the row each scored position belongs to; rows come one after the other.
        inputs: What else the model is given, by keyword.
    """

    input_ids: Tensor
    target_ids: Tensor
    row_of_target: Tensor
    inputs: Mapping[str, Any]

    @property
    def scored(self) -> Tensor:
        """(batch, seq) boolean: the positions that predict an answer token."""
        return self.target_ids != IGNORED


def optimiser_steps(
    rows: Sequence[TrainingRow], batch_size: int, gradient_accumulation: int, *, seed: int, epoch: int
) -> list[list[list[TrainingRow]]]:
    """The rows of each optimiser step of an epoch, split into the forward passes whose gradients add up.

    Every row comes once an epoch; the last step may be smaller.
    """
    generator = random.Random(f"{seed}/{epoch}")
    shuffled = generator.sample(list(rows), len(rows))
    steps: list[list[TrainingRow]] = []
    for pool in _chunks(shuffled, batch_size * LENGTH_POOL_BATCHES):
        steps += _chunks(sorted(pool, key=lambda row: len(row.token_ids)), batch_size)
    generator.shuffle(steps)
    return [_chunks(step, batch_size // gradient_accumulation) for step in steps]


def drop_prompt_tokens(
    rows: Sequence[TrainingRow], share: float, special_ids: frozenset[int], *, seed: int, epoch: int
) -> list[TrainingRow]:
    """The rows with a random share of their prompt tokens left out.

    Answers and special tokens stay, and so does what all prompts begin and end with: instruction and chat template are
    no wording of a question, and a beginning that stays whole is computed once.

    Source:
        Word dropout as in Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 3.
    """
    generator = random.Random(f"prompt/{seed}/{epoch}")
    questions = [row for row in rows if not row.is_text]
    start = shared_beginning(questions)
    n_end = n_common([row.token_ids[start : row.n_prompt_tokens][::-1] for row in questions])
    thinned = []
    for row in rows:
        if row.is_text:
            thinned.append(row)
            continue
        end = row.n_prompt_tokens - n_end
        drawn = row.token_ids[start:end]
        kept = tuple(token for token in drawn if token in special_ids or generator.random() >= share) or drawn[-1:]
        n_prompt_tokens = start + len(kept) + n_end
        thinned.append(
            replace(row, token_ids=row.token_ids[:start] + kept + row.token_ids[end:], n_prompt_tokens=n_prompt_tokens)
        )
    return thinned


def shared_beginning(rows: Sequence[TrainingRow]) -> int:
    """How many tokens all prompts begin with, short of the last token: what that one predicts is the row's own."""
    return n_common([row.token_ids[: row.n_prompt_tokens - 1] for row in rows])


def packs(rows: Sequence[TrainingRow]) -> list[list[TrainingRow]]:
    """The rows of each packed sequence, about `PACK_TOKENS` long at most and of like size.

    Rows that are read as plain text share no beginning and are packed apart.
    """
    parts: list[list[TrainingRow]] = []
    for alike in ([row for row in rows if not row.is_text], [row for row in rows if row.is_text]):
        n_shared = shared_beginning(alike)
        own_tokens = [len(row.token_ids) - n_shared for row in alike]
        n_parts = math.ceil(sum(own_tokens) / max(PACK_TOKENS - n_shared, 1))
        middles = [before + own / 2 for before, own in zip(accumulate(own_tokens, initial=0), own_tokens, strict=False)]
        places = [int(middle * n_parts / sum(own_tokens)) for middle in middles]
        parts += [[row for _, row in group] for _, group in groupby(zip(places, alike, strict=True), lambda x: x[0])]
    return parts


def pack(rows: Sequence[TrainingRow], pad_token_id: int, device: torch.device) -> Batch:
    """One sequence of what the rows begin with and of what each has beside it; positions go on from the beginning."""
    n_shared = shared_beginning(rows)
    token_ids, positions = list(rows[0].token_ids[:n_shared]), list(range(n_shared))
    targets, row_of_target = [IGNORED] * n_shared, []
    for i, row in enumerate(rows):
        token_ids += row.token_ids[n_shared:]
        positions += range(n_shared, len(row.token_ids))
        targets += [IGNORED] * (row.n_prompt_tokens - 1 - n_shared) + [*row.token_ids[row.n_prompt_tokens :], IGNORED]
        row_of_target += [i] * row.n_answer_tokens
    n_padding = -len(token_ids) % PACK_MULTIPLE
    token_ids += [pad_token_id] * n_padding
    positions += [0] * n_padding
    targets += [IGNORED] * n_padding
    return Batch(
        input_ids=torch.tensor([token_ids], device=device),
        target_ids=torch.tensor([targets], device=device),
        row_of_target=torch.tensor(row_of_target, device=device),
        inputs={
            "position_ids": torch.tensor([positions], device=device),
            NAME: PackedLayout(n_shared, tuple(len(row.token_ids) - n_shared for row in rows)),
        },
    )


def collate(rows: Sequence[TrainingRow], pad_token_id: int, device: torch.device) -> Batch:
    """Pad rows on the right, where a causal model never looks, to one length, a multiple of 8."""
    longest = max(len(row.token_ids) for row in rows)
    n_positions = -(-longest // PADDING_MULTIPLE) * PADDING_MULTIPLE
    input_ids = torch.full((len(rows), n_positions), pad_token_id)
    attention_mask = torch.zeros((len(rows), n_positions), dtype=torch.long)
    target_ids = torch.full((len(rows), n_positions), IGNORED)
    for i, row in enumerate(rows):
        n_tokens = len(row.token_ids)
        input_ids[i, :n_tokens] = torch.tensor(row.token_ids)
        attention_mask[i, :n_tokens] = 1
        target_ids[i, row.n_prompt_tokens - 1 : n_tokens - 1] = input_ids[i, row.n_prompt_tokens : n_tokens]
    return Batch(
        input_ids=input_ids.to(device),
        target_ids=target_ids.to(device),
        row_of_target=(target_ids != IGNORED).nonzero()[:, 0].to(device),
        inputs={"attention_mask": attention_mask.to(device)},
    )


def _chunks(items: Sequence[T], size: int) -> list[list[T]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
