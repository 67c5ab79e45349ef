"""The comparisons that are open at a time: the ones asked last, each opened once however many ask."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from service.serving.errors import ClosingError
from service.serving.served_arm import ServedArm


class Opened(Protocol):
    """An open comparison."""

    def open_arm(self, kind: str) -> ServedArm:
        """The arm of that kind."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Lease:
    """One caller's use of a comparison: it is not closed before the caller is done."""

    def __init__(self, comparison_id: str) -> None:
        self.comparison_id = comparison_id
        self.n_users = 0
        self.opened: Opened | None = None
        self.arms: dict[str, Future[ServedArm]] = {}


class OpenComparisons:
    """At most so many comparisons in memory; those in use are never closed, even where they are more.

    Args:
        open_comparison: Reads and opens one, cheaply: arms are loaded when they are asked for.
    """

    def __init__(self, capacity: int, open_comparison: Callable[[str], Opened]) -> None:
        self._capacity = capacity
        self._open = open_comparison
        self._lock = Lock()
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        # One thread: models are loaded one after the other, and what is being loaded is not closed.
        self._is_closed = False
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loads arms")

    @contextmanager
    def lease(self, comparison_id: str) -> Iterator[Lease]:
        """Use of a comparison, from now to the end of the block. Loads nothing yet.

        Raises:
            ClosingError: all are being closed.
        """
        with self._lock:
            self._refuse_when_closed()
            lease = self._leases.setdefault(comparison_id, Lease(comparison_id))
            self._leases.move_to_end(comparison_id)
            lease.n_users += 1
        try:
            yield lease
        finally:
            with self._lock:
                lease.n_users -= 1
                self._close_surplus()

    def arm(self, lease: Lease, kind: str) -> "Future[ServedArm]":
        """An arm of a leased comparison, loaded by our thread; what failed or is gone is loaded when asked again.

        Raises:
            ClosingError: all are being closed.
        """
        with self._lock:
            self._refuse_when_closed()
            known = lease.arms.get(kind)
            if known is None or not _is_loaded(known):
                known = lease.arms[kind] = self._loader.submit(self._load, lease, kind)
            return known

    def close(self) -> None:
        """Close all, the ones in use among them."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            leases, self._leases = list(self._leases.values()), OrderedDict()
        for lease in leases:
            self._loader.submit(_close, lease)
        self._loader.shutdown(wait=True)

    @property
    def ids(self) -> list[str]:
        """Comparisons that are open or being opened, the one asked longest ago first."""
        with self._lock:
            return list(self._leases)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise ClosingError("the service is being stopped; ask again when it is back")

    def _load(self, lease: Lease, kind: str) -> ServedArm:
        if lease.opened is None:
            lease.opened = self._open(lease.comparison_id)
        return lease.opened.open_arm(kind)

    def _close_surplus(self) -> None:
        unused = [lease for lease in self._leases.values() if not lease.n_users]
        empty = [lease for lease in unused if not any(_is_loaded(arm) for arm in lease.arms.values())]
        surplus = [lease for lease in unused if lease not in empty]
        n_too_many = len(self._leases) - len(empty) - self._capacity
        for lease in [*empty, *surplus[: max(0, n_too_many)]]:
            del self._leases[lease.comparison_id]
            self._loader.submit(_close, lease)


def _is_loaded(arm: "Future[ServedArm]") -> bool:
    """A load under way counts: whoever asked may have gone, the next one will be glad of it."""
    return not arm.done() or (arm.exception() is None and not arm.result().pipeline.arms.is_gone)


def _close(lease: Lease) -> None:
    if lease.opened is not None:
        lease.opened.close()
