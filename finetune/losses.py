"""What training minimises: a name and a function from logits to a loss a token. A new loss is one line in `LOSSES`.

Early stopping goes by the probability of the answers, whatever is minimised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lm.plugins import Table

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_LOSS = "cross-entropy"
SMOOTHING = 0.1
FOCUS = 2.0

Loss = Callable[["Tensor", "Tensor"], "Tensor"]
"""Logits in float32 (n_tokens, vocabulary) and target ids (n_tokens,) to the loss of each answer token (n_tokens,)."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p of the target."""
    from torch.nn import functional

    return functional.cross_entropy(logits, targets, reduction="none")


def label_smoothing(logits: Tensor, targets: Tensor) -> Tensor:
    """A tenth of the target's weight is spread over the vocabulary (Szegedy et al. 2016, arXiv:1512.00567)."""
    from torch.nn import functional

    return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=SMOOTHING)


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """-(1 - p)^2 log p: tokens that are known weigh less (Lin et al. 2017, arXiv:1708.02002)."""
    loss = cross_entropy(logits, targets)
    return (1 - (-loss).exp()) ** FOCUS * loss


LOSSES: Table[Loss] = Table(
    "tuning_fork.losses", {DEFAULT_LOSS: cross_entropy, "label-smoothing": label_smoothing, "focal": focal}
)
