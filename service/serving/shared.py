"""Things that several comparisons use and that are held in memory once."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Values by key, made when first taken and let go when the last who took them gives them back.

    Args:
        let_go: What to do with a value that nobody uses any more.
    """

    def __init__(self, let_go: Callable[[T], None] = lambda _: None) -> None:
        self._let_go = let_go
        self._lock = Lock()
        self._values: dict[Hashable, tuple[T, int]] = {}

    def take(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; `give_back` once for each time it was taken."""
        with self._lock:
            value, n_users = self._values.get(key) or (make(), 0)
            self._values[key] = (value, n_users + 1)
            return value

    def give_back(self, key: Hashable) -> None:
        """One user less."""
        with self._lock:
            value, n_users = self._values.pop(key)
            if n_users > 1:
                self._values[key] = (value, n_users - 1)
                return
        self._let_go(value)

    def __len__(self) -> int:
        return len(self._values)


class Taken:
    """What one user takes of shared things when it first needs them, to be given back at its end."""

    def __init__(self) -> None:
        self._taken: dict[tuple[Shared[Any], Hashable], Any] = {}

    def take(self, shared: Shared[T], key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, which is ours until we give everything back."""
        if (shared, key) not in self._taken:
            self._taken[shared, key] = shared.take(key, make)
        value: T = self._taken[shared, key]
        return value

    def give_back(self) -> None:
        """Nothing is needed any more."""
        for shared, key in self._taken:
            shared.give_back(key)
        self._taken.clear()
