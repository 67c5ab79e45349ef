"""Logits where an answer token is predicted, and nowhere else: all of them cost a small model a third more time."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from finetune.forward.batches import Batch, collate, pack, packs
from finetune.forward.float32 import computed_in_float32
from finetune.forward.packed_attention import NAME
from finetune.rows import TrainingRow

_REFUSALS = (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError)
"""What models raise that do not know a keyword, or take it for something else."""

_MAX_RELATIVE_ERROR = 1e-3
"""In float32 rounding stays well below; rows that see each other and positions that are not heeded lie well above."""


@dataclass(frozen=True, slots=True)
class AnswerLogits:
    """A model's forward pass over training rows, cut down to what is needed.

    Attributes:
        model: A causal language model, or one with adapters.
        autocast_dtype: What matrix products are computed in; None leaves the model's own type.
        pad_token_id: What rows are padded with.
        packed: Whether rows are packed and the beginning they share is computed once; otherwise they are padded.
        in_forward: Whether the model itself applies its output layer to the scored positions alone; otherwise all
            logits are computed and the scored ones chosen, which gives the same numbers.
    """

    model: Any
    autocast_dtype: torch.dtype | None
    pad_token_id: int
    packed: bool = False
    in_forward: bool = False

    @classmethod
    def of(
        cls, model: Any, autocast_dtype: torch.dtype | None, rows: Sequence[TrainingRow], pad_token_id: int
    ) -> "AnswerLogits":
        """Try on the shortest and the longest rows what the model takes; it must be in evaluation mode.

        Packing is kept where it gives the logits that padding gives. It does not with convolutions over the sequence,
        with recurrent layers, windows shorter than the rows, or positions that the model counts for itself.
        """
        by_length = sorted(rows, key=lambda row: len(row.token_ids))
        questions = [row for row in by_length if not row.is_text]
        probe = list(dict.fromkeys([*questions[:1], *questions[-1:], by_length[0], by_length[-1]]))
        logits = cls(model, None, pad_token_id)
        with torch.no_grad(), computed_in_float32(model):
            if logits._chooses(probe):
                logits = replace(logits, in_forward=True)
            attention = getattr(getattr(model, "config", None), "_attn_implementation", None)
            if logits._packs(probe):
                logits = replace(logits, packed=True)
            elif attention is not None:
                model.set_attn_implementation(attention)
        return replace(logits, autocast_dtype=autocast_dtype)

    def batches(self, rows: Sequence[TrainingRow]) -> list[Batch]:
        """The forward passes over some rows; their losses add up."""
        if self.packed:
            return [pack(part, self.pad_token_id, self._device) for part in packs(rows)]
        return [collate(rows, self.pad_token_id, self._device)]

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of shape (n_scored, vocabulary), rows of the batch one after the other."""
        choice = {"logits_to_keep": batch.scored} if self.in_forward else {}
        with self._autocast():
            logits: Tensor = self.model(input_ids=batch.input_ids, use_cache=False, **batch.inputs, **choice).logits
        return logits if self.in_forward else logits[batch.scored]

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.autocast_dtype is None else torch.autocast(self._device.type, self.autocast_dtype)

    def _chooses(self, rows: Sequence[TrainingRow]) -> bool:
        """Whether the model takes a mask of positions as `logits_to_keep`."""
        batch = collate(rows, self.pad_token_id, self._device)
        try:
            kept = replace(self, in_forward=True)(batch)
        except _REFUSALS:
            return False
        return kept.shape[:-1] == batch.row_of_target.shape

    def _packs(self, rows: Sequence[TrainingRow]) -> bool:
        """Whether packed rows give the logits of padded ones, up to rounding; the model is left to pack."""
        parts = packs(rows)
        expected = torch.cat([self(collate(part, self.pad_token_id, self._device)) for part in parts])
        try:
            self.model.set_attn_implementation(NAME)
            found = torch.cat([self(pack(part, self.pad_token_id, self._device)) for part in parts])
        except _REFUSALS:
            return False
        spread = expected - expected.mean(dim=-1, keepdim=True)  # (n_scored, vocabulary)
        return bool((found - expected).norm() <= _MAX_RELATIVE_ERROR * spread.norm())
