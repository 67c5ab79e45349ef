"""What a job takes of its machine, measured beside its work and told as events of its comparison."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.events import append_event
from service.store.database import writing
from service.store.tables import comparisons, events

EVENT_TYPE = "resources"
LOOK_INTERVAL_S = 2.0
POINTS_PER_INTERVAL = 60
"""After as many points the time between two doubles: ten minutes make 150 points, a day 565, a month 860."""

_PROC = Path("/proc")
_LOG = logging.getLogger("tuning_fork.jobs")


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process and, on Linux, those that it started hold now.

    Attributes:
        cpu_s: Seconds of processor time so far, over all threads.
        resident_bytes: Memory that is not swapped out; None where the system does not tell.
        gpu_bytes: Memory of all GPUs that torch keeps for this process; None while it uses none.
    """

    cpu_s: float
    resident_bytes: int | None
    gpu_bytes: int | None


class ResourceWatch:
    """A thread that measures every two seconds, writes ever more rarely, and ends with the job.

    A point is lost rather than waited for: nothing here may hold up the work or end it.
    """

    def __init__(
        self,
        engine: Engine,
        comparison_id: str,
        process: str,
        *,
        look_interval_s: float = LOOK_INTERVAL_S,
        read: Callable[[], Usage] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`process` tells the points of this job from those of others."""
        self._engine = engine
        self._comparison_id = comparison_id
        self._process = process
        self._look_interval_s = look_interval_s
        self._read = read or read_usage
        self._clock = clock
        self._n_points = 0
        self._peaks: dict[str, int | None] = {}
        self._told_at = 0.0
        self._cpu_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="resources", daemon=True)

    def __enter__(self) -> Self:
        self.begin()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def begin(self) -> None:
        """Count from now on; points that earlier jobs of the comparison wrote count towards their number."""
        try:
            with self._engine.connect() as connection:
                self._n_points = connection.execute(self._points_so_far()).scalar_one()
        except SQLAlchemyError as error:
            _LOG.info("earlier measurements of resources were not counted: %s", error)
        self._start_interval(self._read())

    def look(self) -> None:
        """Measure, and tell of it where the time for the next point has come."""
        usage = self._read()
        self._note_peaks(usage)
        elapsed_s = self._clock() - self._told_at
        # Half a look early is nearer to the wanted time than half a look late.
        if elapsed_s < self._interval_s - self._look_interval_s / 2:
            return
        point = {
            "process": self._process,
            "interval_s": round(elapsed_s, 2),
            # The time of a process that was killed with what had started it is counted nowhere any more.
            "cores_busy": round(max(0.0, usage.cpu_s - self._cpu_s) / elapsed_s, 3),
            "n_cores": usable_cores(),
            **self._peaks,
        }
        try:
            if self._write(point):
                self._n_points += 1
        except SQLAlchemyError as error:
            _LOG.info("a measurement of resources was not written: %s", error)
        self._start_interval(usage)

    @property
    def _interval_s(self) -> float:
        return float(self._look_interval_s * 2 ** (self._n_points // POINTS_PER_INTERVAL))

    def _start_interval(self, usage: Usage) -> None:
        self._told_at, self._cpu_s, self._peaks = self._clock(), usage.cpu_s, {}
        self._note_peaks(usage)

    def _note_peaks(self, usage: Usage) -> None:
        for name in ("resident_bytes", "gpu_bytes"):
            known = [value for value in (self._peaks.get(name), getattr(usage, name)) if value is not None]
            self._peaks[name] = max(known, default=None)

    def _write(self, point: Mapping[str, Any]) -> bool:
        with writing(self._engine) as connection:
            # Whoever finished or cancelled it has the last word.
            if not self._is_running(connection):
                return False
            append_event(connection, self._comparison_id, EVENT_TYPE, point)
            return True

    def _is_running(self, connection: Connection) -> bool:
        query = select(comparisons.c.state).where(comparisons.c.id == self._comparison_id).with_for_update()
        return connection.execute(query).scalar() == ComparisonState.RUNNING

    def _points_so_far(self) -> Any:
        mine = (events.c.comparison_id == self._comparison_id) & (events.c.type == EVENT_TYPE)
        return select(func.count()).select_from(events).where(mine)

    def _watch(self) -> None:
        while not self._ended.wait(self._look_interval_s):
            self.look()


def read_usage() -> Usage:
    """What is held now. Cheap: small files, no library is loaded for it."""
    ended = os.times()
    cpu_s, resident = time.process_time() + ended.children_user + ended.children_system, resident_bytes()
    for pid in started_processes(os.getpid()):
        with suppress(OSError, IndexError):  # it has just ended
            fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
            cpu_s += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            resident = (resident or 0) + int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(cpu_s, resident, gpu_bytes(sys.modules.get("torch")))


def started_processes(pid: int) -> Iterator[int]:
    """The processes that a process started, and those that they started, as Linux tells them."""
    for of_thread in _PROC.glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            for child in map(int, of_thread.read_text().split()):
                yield child
                yield from started_processes(child)


def resident_bytes(statm: Path = _PROC / "self/statm") -> int | None:
    """Memory of this process that is not swapped out, as Linux tells it."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def gpu_bytes(torch: Any) -> int | None:
    """Memory that torch has taken on all GPUs; None where it is not loaded or has used no GPU yet."""
    cuda = getattr(torch, "cuda", None)
    # A module that is just being imported has not all of its names.
    if cuda is None or not hasattr(cuda, "is_initialized") or not hasattr(cuda, "memory_reserved"):
        return None
    # Asking for memory would otherwise start CUDA, which takes time and memory itself.
    if not cuda.is_initialized():
        return None
    return sum(int(cuda.memory_reserved(device)) for device in range(cuda.device_count()))


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
