"""The beginning that prompts share is read once: system turn, instruction and worked examples of an arm."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch

from lm.decoding import Forward
from lm.key_value_cache import KeysAndValues, empty_cache, start_cache

LEAST_SHARED_TOKENS = 8
"""Shorter beginnings cost more in bookkeeping than reading them again."""

KEPT_TOKENS = 16_384
"""Tokens of all beginnings kept, of the base and every adapter together; the one used longest ago goes first."""

_LARGEST_DEVIATION = {torch.float32: 1e-3}
_LARGEST_DEVIATION_ROUNDED = 0.05


class SharedBeginnings:
    """Keys and values of beginnings already read, by adapter.

    Args:
        forward: Of the module whose cache is plain.
        ends_line: Whether a token ends a line.
    """

    def __init__(self, forward: Forward, ends_line: Callable[[int], bool]) -> None:
        self._forward = forward
        self._ends_line = ends_line
        self._kept: OrderedDict[tuple[str | None, tuple[int, ...]], KeysAndValues] = OrderedDict()
        self._latest: dict[str | None, list[int]] = {}
        self._can_share: bool | None = None

    def of(self, adapter: str | None, prompts: Sequence[list[int]]) -> tuple[int, ...]:
        """The beginning by which to read these prompts; empty where none pays.

        That of several prompts is what all of them begin with, up to the end of a line, so that it hangs on no chance
        likeness of the questions. A prompt alone begins with what is kept, or like the one that was alone before it.
        """
        if not self._is_possible():
            return ()
        if len(prompts) > 1:
            return self._whole_lines(prompts[0], _n_common(prompts))
        prompt = prompts[0]
        kept = [ids for key, ids in self._kept if key == adapter and len(ids) < len(prompt)]
        fitting = [ids for ids in kept if tuple(prompt[: len(ids)]) == ids]
        before, self._latest[adapter] = self._latest.get(adapter), prompt
        if fitting:
            return max(fitting, key=len)
        return self._whole_lines(prompt, _n_common([prompt, before])) if before else ()

    def read(self, adapter: str | None, ids: tuple[int, ...]) -> tuple[KeysAndValues, bool]:
        """Keys and values of a beginning, and whether they were there already. The adapter is active."""
        key = (adapter, ids)
        was_kept = key in self._kept
        if not was_kept:
            self._kept[key] = _keys_and_values(self._forward, list(ids))
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(len(kept) for _, kept in self._kept) > KEPT_TOKENS:
            self._kept.popitem(last=False)
        return self._kept[key], was_kept

    def forget(self, adapter: str) -> None:
        """Let go of all that was read with an adapter."""
        self._latest.pop(adapter, None)
        for key in [key for key in self._kept if key[0] == adapter]:
            del self._kept[key]

    def _whole_lines(self, ids: Sequence[int], n_shared: int) -> tuple[int, ...]:
        by_line = next((n for n in range(n_shared, 0, -1) if self._ends_line(ids[n - 1])), 0)
        n = by_line if by_line >= LEAST_SHARED_TOKENS else n_shared
        return tuple(ids[:n]) if n >= LEAST_SHARED_TOKENS else ()

    def _is_possible(self) -> bool:
        """Tried once: families differ in what their forward pass makes of padding behind a cache."""
        if self._can_share is None:
            self._can_share = self._forward.is_plain and _reads_alike(self._forward)
        return self._can_share


def _n_common(prompts: Sequence[list[int]]) -> int:
    """How many first tokens are the same in all prompts; at least one token of each stays out of it."""
    # Of sorted lists the first and last differ most.
    first, last = min(prompts), max(prompts)
    shortest = min(len(ids) for ids in prompts) - 1
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b or i >= shortest), shortest)


def _keys_and_values(forward: Forward, ids: list[int]) -> KeysAndValues:
    device = forward.module.device
    cache = empty_cache(forward.module.config, len(ids))
    forward(torch.tensor([ids], device=device), torch.ones((1, len(ids)), dtype=torch.long, device=device), cache)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _reads_alike(forward: Forward) -> bool:
    """Whether rows behind a shared beginning, with padding between, give the logits they give alone."""
    device, config = forward.module.device, forward.module.config
    beginning, rests = [5, 6, 7, 5, 9], [[6, 8], [9, 5, 7, 6, 8, 7]]
    width = max(map(len, rests))
    try:
        alone = []
        for rest in rests:
            ids = torch.tensor([beginning + rest], device=device)
            alone.append(forward(ids, torch.ones_like(ids), empty_cache(config, ids.shape[1]))[0])
        cache = start_cache(_keys_and_values(forward, beginning), len(rests), len(beginning) + width)
        padded = torch.tensor([[0] * (width - len(rest)) + rest for rest in rests], device=device)
        mask = torch.tensor(
            [[1] * len(beginning) + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests], device=device
        )
        shared = forward(padded, mask, cache).float()
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError):
        return False
    expected = torch.stack(alone).float()
    largest = _LARGEST_DEVIATION.get(forward.module.dtype, _LARGEST_DEVIATION_ROUNDED)
    return bool((shared - expected).norm() <= largest * expected.norm())
