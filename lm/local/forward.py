"""A forward pass of any family of models, and whether prompts can share what they have in common."""

import inspect
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from lm.local.key_value_cache import is_plain

_LARGEST_DEVIATION = {torch.float32: 1e-3}
_LARGEST_DEVIATION_ROUNDED = 0.05


class Forward:
    """A module's forward pass that gives the logits after the last token, whatever a family's own forward takes."""

    def __init__(self, module: Any, pad_id: int) -> None:
        self.module = module
        self.pad_id = pad_id
        self.is_plain = is_plain(module.config)
        names = inspect.signature(module.forward).parameters
        self._takes_positions = "position_ids" in names
        self._takes_logits_to_keep = "logits_to_keep" in names
        self._cache_name = "cache_params" if "cache_params" in names else "past_key_values"

    @cached_property
    def can_share(self) -> bool:
        """Whether prompts can be read behind a cache; tried, since families differ in what they make of padding."""
        return self.is_plain and _reads_alike(self)

    def __call__(self, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
        """Logits after the last position.

        Args:
            ids: (batch, new). mask: (batch, read before + new), 0 on padding. cache: gets the new tokens too.
        Returns:
            (batch, vocabulary).
        """
        options: dict[str, Any] = {self._cache_name: cache}
        if self._takes_positions:
            options["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if self._takes_logits_to_keep:
            # An index makes a whole copy of the last states. Of a mere slice of them, and weights without gradients as
            # adapters leave them, torch copies the output layer's weights once a row (seconds for 32 rows).
            options["logits_to_keep"] = torch.tensor([ids.shape[1] - 1], device=ids.device)
        logits: Tensor = self.module(input_ids=ids, attention_mask=mask, use_cache=True, **options).logits
        return logits[:, -1]

    def last_logits(self, ids: Tensor, n_positions: int) -> Tensor:
        """Logits after each of the last positions of one whole text.

        Args:
            ids: (1, seq).
        Returns:
            (n_positions, vocabulary).
        """
        options: dict[str, Any] = {}
        if self._takes_logits_to_keep:
            options["logits_to_keep"] = torch.arange(ids.shape[1] - n_positions, ids.shape[1], device=ids.device)
        logits: Tensor = self.module(input_ids=ids, use_cache=False, **options).logits
        return logits[0, -n_positions:]


def _reads_alike(forward: Forward) -> bool:
    """Whether rows behind a shared beginning, with padding between, give the logits they give alone."""
    device, config = forward.module.device, forward.module.config
    beginning, rests = [5, 6, 7, 5, 9], [[6, 8], [9, 5, 7, 6, 8, 7]]
    width = max(map(len, rests))
    try:
        alone = []
        for rest in rests:
            ids = torch.tensor([beginning + rest], device=device)
            alone.append(forward(ids, torch.ones_like(ids), DynamicCache(config=config))[0])
        read = DynamicCache(config=config)
        ids = torch.tensor([beginning], device=device)
        forward(ids, torch.ones_like(ids), read)
        read.batch_repeat_interleave(len(rests))
        padded = torch.tensor([[0] * (width - len(rest)) + rest for rest in rests], device=device)
        mask = torch.tensor(
            [[1] * len(beginning) + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests], device=device
        )
        shared = forward(padded, mask, read).float()
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError):
        return False
    expected = torch.stack(alone).float()
    largest = _LARGEST_DEVIATION.get(forward.module.dtype, _LARGEST_DEVIATION_ROUNDED)
    return bool((shared - expected).norm() <= largest * expected.norm())
