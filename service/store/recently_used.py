"""What was read last and is likely to be asked for again, within a bound of memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass
class _Place(Generic[T]):
    """Where a value stands or is being made.

    Attributes:
        making: Held while it is made, so that who asks meanwhile waits for it.
    """

    value: T | None = None
    n_bytes: int = 0
    making: threading.Lock = field(default_factory=threading.Lock)


class RecentlyUsed(Generic[K, T]):
    """Values by key, each made once; those not asked for the longest go when all together are too large."""

    def __init__(self, max_bytes: int, n_bytes: Callable[[T], int]) -> None:
        """Keep about so much; the value asked for last stays however large it is.

        Args:
            n_bytes: About how much memory a value takes.
        """
        self._max_bytes = max_bytes
        self._n_bytes = n_bytes
        self._lock = threading.Lock()
        self._places: OrderedDict[K, _Place[T]] = OrderedDict()

    def find(self, key: K, make: Callable[[], T]) -> T:
        """The value of a key. Who asks for another one does not wait while this one is made.

        Raises:
            Whatever `make` raises; the next call tries again.
        """
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.making:
            if place.value is None:
                place.value = make()
                place.n_bytes = self._n_bytes(place.value)
            value = place.value
        with self._lock:
            self._drop_old()
        return value

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._places.clear()

    def _drop_old(self) -> None:
        total = sum(place.n_bytes for place in self._places.values())
        for key in list(self._places)[:-1]:
            if total <= self._max_bytes:
                return
            total -= self._places.pop(key).n_bytes
