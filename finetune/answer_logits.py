"""Logits where an answer token is predicted, and nowhere else: all of them cost a small model a third more time."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finetune.batches import Batch


@dataclass(frozen=True, slots=True)
class AnswerLogits:
    """A model's forward pass, cut down to the scored positions.

    Attributes:
        autocast_dtype: What matrix products are computed in; None leaves the model's own type.
        in_forward: Whether the model itself applies its output layer to the scored positions alone; otherwise all
            logits are computed and the scored ones chosen, which gives the same numbers.
    """

    model: Any
    autocast_dtype: torch.dtype | None
    in_forward: bool

    @classmethod
    def of(cls, model: Any, autocast_dtype: torch.dtype | None, probe: Batch) -> "AnswerLogits":
        """Try on one batch whether the model takes a mask of positions as `logits_to_keep`."""
        whole = cls(model, autocast_dtype, in_forward=False)
        with torch.no_grad():
            try:
                kept = cls(model, autocast_dtype, in_forward=True)(probe)
            except (TypeError, ValueError, IndexError, RuntimeError):
                return whole
        return cls(model, autocast_dtype, in_forward=kept.shape[:-1] == probe.target_ids[probe.scored].shape)

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of shape (n_scored, vocabulary), rows of the batch one after the other."""
        choice = {"logits_to_keep": batch.scored} if self.in_forward else {}
        with self._autocast(batch):
            logits: Tensor = self.model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **choice
            ).logits
        return logits if self.in_forward else logits[batch.scored]

    def _autocast(self, batch: Batch) -> AbstractContextManager[Any]:
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(batch.input_ids.device.type, self.autocast_dtype)
