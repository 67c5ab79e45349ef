"""Keys and values of tokens already read, with room for those to come."""

from collections.abc import Sequence

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

KeysAndValues = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""A layer each: keys and values, (1, heads, tokens, size)."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer that is written into memory set aside for it; transformers' own copies all it holds with every token."""

    def __init__(self, n_positions: int) -> None:
        super().__init__()
        self._n_positions = n_positions
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add new tokens, (batch, heads, new, size); all keys and values so far."""
        n_before = self.get_seq_length()
        n_after = n_before + key_states.shape[-2]
        if self._room is None or n_after > self._room[0].shape[-2]:
            self._make_room(key_states, value_states, max(n_after, self._n_positions))
        keys, values = self._room  # type: ignore[misc]
        keys[:, :, n_before:n_after] = key_states
        values[:, :, n_before:n_after] = value_states
        self.keys, self.values = keys[:, :, :n_after], values[:, :, :n_after]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows alone."""
        n_tokens = self.get_seq_length()
        if self._room is not None:
            self._room = (self._room[0][indices], self._room[1][indices])
            self.keys, self.values = (part[:, :, :n_tokens] for part in self._room)

    def _make_room(self, keys: torch.Tensor, values: torch.Tensor, n_positions: int) -> None:
        old = (self.keys, self.values)
        n_before = self.get_seq_length()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._room = tuple(  # type: ignore[assignment]
            new.new_empty(new.shape[0], new.shape[1], n_positions, new.shape[-1]) for new in (keys, values)
        )
        for room, before in zip(self._room, old, strict=True):  # type: ignore[arg-type]
            if n_before:
                room[:, :, :n_before] = before


def is_plain(config: object) -> bool:
    """Whether every layer keeps keys and values of every token: no sliding windows, no recurrent states."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def start_cache(beginning: KeysAndValues, n_rows: int, n_positions: int) -> Cache:
    """A cache of `n_rows` rows that have all read the same beginning.

    Args:
        n_positions: Tokens a row will hold in the end, the beginning included.
    """
    layers = []
    for keys, values in beginning:
        layer = RoomyLayer(n_positions)
        layer.update(keys.expand(n_rows, -1, -1, -1), values.expand(n_rows, -1, -1, -1))
        layers.append(layer)
    return Cache(layers=layers)


def empty_cache(config: object, n_positions: int) -> Cache:
    """A cache that has read nothing; of the model's own kind where it is not plain."""
    if not is_plain(config):
        return DynamicCache(config=config)
    return Cache(layers=[RoomyLayer(n_positions) for _ in DynamicCache(config=config).layers])
