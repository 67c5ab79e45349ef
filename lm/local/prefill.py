"""Prompts are read: behind what they share, in forward passes with little padding, into one cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from lm.local.forward import Forward
from lm.local.key_value_cache import KeysAndValues, Room, cache_of, n_layers

PASS_TOKENS = {"cpu": 96}
"""Tokens that take as long to read as one more forward pass takes to start, by kind of device."""

_PASS_TOKENS_ELSEWHERE = 8_192


def pass_tokens(device: torch.device) -> int:
    """What one more forward pass costs on a device, in tokens read."""
    return PASS_TOKENS.get(device.type, _PASS_TOKENS_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Unread:
    """A prompt to be read.

    Attributes:
        path: What it shares with others and was read already, in order.
        ids: The tokens that follow; at least one.
    """

    path: tuple[KeysAndValues, ...]
    ids: Sequence[int]

    @property
    def n_read(self) -> int:
        """Tokens of the path."""
        return sum(run[0][0].shape[-2] for run in self.path)


@dataclass(frozen=True, slots=True)
class Read:
    """What comes of reading prompts.

    Attributes:
        cache: Keys and values; all prompts end at its last position.
        mask: (prompts, positions), 0 where nothing was read.
        logits: (prompts, vocabulary), after the last token of each.
        rooms: The memory of the cache, a layer each; none where it is of the model's own kind.
    """

    cache: Cache
    mask: Tensor
    logits: Tensor
    rooms: Sequence[Room] = ()

    def run(self, prompt: int, n_tokens: int) -> KeysAndValues:
        """Keys and values of a prompt's last tokens."""
        end = self.mask.shape[1]
        return [room.read(prompt, end - n_tokens, end) for room in self.rooms]


def read_prompts(forward: Forward, prompts: Sequence[Unread], n_more: int) -> Read:
    """Read prompts into a cache with room for `n_more` tokens.

    Args:
        prompts: Longest first. Where the model cannot share, none has a path, and all are read in one pass.
    """
    device = forward.module.device
    if not forward.can_share:
        ids, mask = left_padded([prompt.ids for prompt in prompts], forward.pad_id, device)
        cache = DynamicCache(config=forward.module.config)
        return Read(cache, mask, forward(ids, mask, cache))
    parts = cut_by_length([len(prompt.ids) for prompt in prompts], pass_tokens(device))
    widths = [len(prompts[part.start].ids) for part in parts]
    behind = [max(prompt.n_read for prompt in prompts[part]) for part in parts]
    end = max(map(add, behind, widths))
    rooms = [Room(len(prompts), end + n_more) for _ in range(n_layers(forward.module.config))]
    mask = torch.zeros((len(prompts), end), dtype=torch.long, device=device)
    logits = []
    for part, width, n_behind in zip(parts, widths, behind, strict=True):
        start, middle = end - width - n_behind, end - width
        for i in range(part.start, part.stop):
            mask[i, middle - prompts[i].n_read : middle] = 1
        _write_paths(rooms, prompts, part, middle)
        ids, mask[part, middle:] = left_padded([prompt.ids for prompt in prompts[part]], forward.pad_id, device)
        cache = cache_of(rooms, part, starts_at=start, n_positions=n_behind)
        logits.append(forward(ids, mask[part, start:], cache))
    whole = cache_of(rooms, slice(0, len(prompts)), n_positions=end)
    return Read(whole, mask, torch.cat(logits), rooms)


def _write_paths(rooms: Sequence[Room], prompts: Sequence[Unread], part: slice, ends_at: int) -> None:
    """Give each prompt of a part what it shares, up to a position."""
    rows_by_path: dict[tuple[int, ...], list[int]] = {}
    for i in range(part.start, part.stop):
        rows_by_path.setdefault(tuple(map(id, prompts[i].path)), []).append(i)
    for rows in rows_by_path.values():
        run_ends_at = ends_at
        for run in reversed(prompts[rows[0]].path):
            for room, (keys, values) in zip(rooms, run, strict=True):
                room.write(rows, run_ends_at, keys, values)
            run_ends_at -= run[0][0].shape[-2]


def cut_by_length(lengths: Sequence[int], pass_tokens: int) -> list[slice]:
    """Parts of rows, each padded to its longest, so that all are read with the least work.

    Args:
        lengths: Tokens of each row, longest first.
        pass_tokens: What another part costs, in tokens.
    """
    # By number of rows: the least work of reading the first so many, and where their last part starts.
    least: list[tuple[int, int]] = [(0, 0)]
    for stop in range(1, len(lengths) + 1):
        least.append(
            min((least[start][0] + lengths[start] * (stop - start) + pass_tokens, start) for start in range(stop))
        )
    parts = []
    stop = len(lengths)
    while stop:
        start = least[stop][1]
        parts.append(slice(start, stop))
        stop = start
    return parts[::-1]


def left_padded(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids, (rows, longest), filled up on the left, and their mask."""
    width = max(map(len, rows))
    ids = [[pad_id] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
