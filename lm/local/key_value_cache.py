"""Keys and values of tokens already read, with room for those to come."""

from collections.abc import Sequence

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

KeysAndValues = Sequence[tuple[Tensor, Tensor]]
"""A layer each: keys and values, (1, heads, tokens, size)."""


class Room:
    """Memory of one layer for the keys and values of a batch; transformers' own cache copies all with every token.

    It is zero where nothing was written, since masked positions must be numbers.
    """

    def __init__(self, n_rows: int, n_positions: int) -> None:
        self._n_rows = n_rows
        self._n_positions = n_positions
        self._kept: tuple[Tensor, Tensor] | None = None

    def hold(self, keys: Tensor, values: Tensor, n_positions: int) -> tuple[Tensor, Tensor]:
        """Keys and values of all rows, (rows, heads, at least `n_positions`, size), of the same kind as the given."""
        if self._kept is None or n_positions > self._kept[0].shape[-2]:
            n_positions = max(n_positions, self._n_positions)
            grown = tuple(
                new.new_zeros(self._n_rows, new.shape[1], n_positions, new.shape[-1]) for new in (keys, values)
            )
            if self._kept is not None:
                for to, old in zip(grown, self._kept, strict=True):
                    to[:, :, : old.shape[-2]] = old
            self._kept = grown[0], grown[1]
        return self._kept

    def write(self, rows: Sequence[int], ends_at: int, keys: Tensor, values: Tensor) -> None:
        """Give some rows the same keys and values, (1, heads, tokens, size), up to a position."""
        for kept, new in zip(self.hold(keys, values, ends_at), (keys, values), strict=True):
            kept[list(rows), :, ends_at - new.shape[-2] : ends_at] = new

    def read(self, row: int, starts_at: int, ends_at: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a row between two positions, (1, heads, tokens, size), in memory of their own."""
        assert self._kept is not None
        keys, values = (kept[row : row + 1, :, starts_at:ends_at].clone() for kept in self._kept)
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keep these rows alone."""
        self._n_rows = len(rows)
        if self._kept is not None:
            self._kept = self._kept[0][rows], self._kept[1][rows]


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Some rows of a room, between two positions, as transformers' models write and read them.

    Args:
        rows: The rows.
        starts_at: The first position that these rows use.
        n_positions: Positions from there on that are written already.
    """

    def __init__(self, room: Room, rows: slice, starts_at: int, n_positions: int) -> None:
        super().__init__()
        self._room = room
        self._rows = rows
        self._starts_at = starts_at
        self._n_positions = n_positions

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Note of what kind the keys are; there is nothing to set up."""
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True

    def get_seq_length(self) -> int:
        """Positions written so far."""
        return self._n_positions

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Add new tokens, (rows, heads, new, size); all keys and values of these rows so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self._starts_at + self._n_positions
        self._n_positions += key_states.shape[-2]
        after = self._starts_at + self._n_positions
        keys, values = self._room.hold(key_states, value_states, after)
        keys[self._rows, :, before:after] = key_states
        values[self._rows, :, before:after] = value_states
        self.keys, self.values = (part[self._rows, :, self._starts_at : after] for part in (keys, values))
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows alone; for a layer of all rows."""
        self._room.select(indices)


def is_plain(config: object) -> bool:
    """Whether every layer keeps keys and values of every token: no sliding windows, no recurrent states."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def n_layers(config: object) -> int:
    """Layers that keep keys and values."""
    return len(DynamicCache(config=config).layers)


def cache_of(rooms: Sequence[Room], rows: slice, *, starts_at: int = 0, n_positions: int = 0) -> Cache:
    """A cache of some rows, a room a layer; see `RoomyLayer`."""
    return Cache(layers=[RoomyLayer(room, rows, starts_at, n_positions) for room in rooms])
