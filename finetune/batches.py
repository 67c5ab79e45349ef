"""Batches: rows of like length together, another order each epoch, everything decided by seed and epoch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from finetune.rows import TrainingRow

LENGTH_POOL_BATCHES = 8
"""Batches that are sorted by length together: little padding, and the order of rows still varies."""

PADDING_MULTIPLE = 8
IGNORED = -100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right, which a causal model never looks at.

    Attributes:
        input_ids: (batch, seq).
        attention_mask: (batch, seq), 0 on padding.
        target_ids: (batch, seq): the token to predict at each position, `IGNORED` where nothing is scored.
    """

    input_ids: Tensor
    attention_mask: Tensor
    target_ids: Tensor

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
    """The rows with a random share of their prompt tokens left out; answers and special tokens stay.

    Source:
        Word dropout as in Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 3.
    """
    generator = random.Random(f"prompt/{seed}/{epoch}")
    thinned = []
    for row in rows:
        prompt, answer = row.token_ids[: row.n_prompt_tokens], row.token_ids[row.n_prompt_tokens :]
        kept = tuple(token for token in prompt if token in special_ids or generator.random() >= share) or prompt[-1:]
        thinned.append(TrainingRow(row.example_id, kept + answer, len(kept)))
    return thinned


def collate(rows: Sequence[TrainingRow], pad_token_id: int, device: torch.device) -> Batch:
    """Pad rows to one length, a multiple of 8."""
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
    return Batch(input_ids.to(device), attention_mask.to(device), target_ids.to(device))


def _chunks(items: Sequence[T], size: int) -> list[list[T]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
