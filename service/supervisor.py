"""Starts a process for each comparison, watches over it, and knows what to do however it ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, select

from service.comparison_state import ComparisonState
from service.comparison_store import ComparisonNotFoundError, find_comparison, set_state
from service.data_directory import DataDirectory
from service.database import patiently, writing
from service.job import JobEnd
from service.json_log import about
from service.lease import held_units, pauses, release_all
from service.tables import comparisons

LOOK_INTERVAL_S = 0.5
CANCEL_GRACE_S = 15.0
"""For a job that is not wanted any more to end by itself at the end of a block; then it is ended."""

MAX_CRASHES = 3
MAX_INTERRUPTIONS = 60

_IN_PROGRESS = (ComparisonState.QUEUED, ComparisonState.RUNNING)
_LOG = logging.getLogger("tuning_fork.jobs")

JobCommand = Callable[[str, bool], Sequence[str | Path]]
"""What starts the job of a comparison, given its id and whether it only helps."""


@dataclass(eq=False)
class _Work:
    """What this process does for a comparison.

    Attributes:
        helps: Others have the comparison, and this process only joins in.
        process: The job, while there is one.
        is_unwanted: Set where a help has to make room.
    """

    helps: bool = False
    process: subprocess.Popen[bytes] | None = None
    is_unwanted: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """The jobs of one process."""

    def __init__(
        self,
        engine: Engine,
        directory: DataDirectory,
        *,
        inherited: Sequence[int] = (),
        command: JobCommand | None = None,
        n_jobs: int = 1,
    ) -> None:
        """Nothing runs yet.

        Args:
            inherited: File descriptors that jobs keep open: the directory stays locked until the last one ended.
            n_jobs: Jobs at a time, beside which there is no room for helping others.
        """
        self._engine = engine
        self._directory = directory
        self._inherited = tuple(inherited)
        self._command = command or self._job_command
        self._n_jobs = n_jobs
        self._running: dict[str, _Work] = {}
        self._not_helped: set[str] = set()
        self._guard = threading.Condition()
        self._parking = threading.Event()

    @property
    def running(self) -> frozenset[str]:
        """Ids of the comparisons that are worked on here."""
        with self._guard:
            return frozenset(self._running)

    def log_file(self, comparison_id: str) -> Path:
        """Where a job writes what only an operator needs."""
        return self._directory.root / "logs" / f"{comparison_id}.log"

    def run(self, comparison_id: str) -> None:
        """Work on a comparison in a process of its own until it is over, or until `park` is called.

        Helps to others end first where there is no room beside them.
        """
        work = _Work()
        with self._guard:
            while (there := self._running.get(comparison_id)) is not None:
                if not there.helps:
                    return
                there.is_unwanted.set()
                self._guard.wait()
            self._running[comparison_id] = work
        try:
            self._make_room()
            self._run(comparison_id, work)
        finally:
            self._forget(comparison_id)

    def can_help(self, comparison_id: str) -> bool:
        """Whether there is room to join others in a comparison, and nothing that was in the way before."""
        with self._guard:
            return (
                len(self._running) < self._n_jobs
                and comparison_id not in self._running
                and comparison_id not in self._not_helped
            )

    def help(self, comparison_id: str) -> None:
        """Join others in a comparison, where that can be done.

        Whatever fails here is no failure of the comparison, which those who have it go on with: it is logged, and this
        process leaves that comparison to them.
        """
        work = _Work(helps=True)
        with self._guard:
            if not self.can_help(comparison_id):
                return
            self._running[comparison_id] = work
        try:
            code = self._run_process(comparison_id, work)
            is_left = work.is_unwanted.is_set() or self._parking.is_set()
            if is_left or code in (JobEnd.OVER, JobEnd.PARKED, JobEnd.INTERRUPTED) or self._is_over(comparison_id):
                return
            self._not_helped.add(comparison_id)
            log_file = self.log_file(comparison_id)
            _LOG.warning("help ended with code %s, others go on; see %s", code, log_file, extra=about(comparison_id))
        except Exception:
            self._not_helped.add(comparison_id)
            _LOG.exception("help broke off, others go on", extra=about(comparison_id))
        finally:
            self._forget(comparison_id)

    def park(self, grace_s: float) -> None:
        """Stop all jobs at the end of what they are at, and after the grace wherever they are. They go on later."""
        self._parking.set()
        gives_up_at = time.monotonic() + grace_s
        signals = [signal.SIGTERM, signal.SIGKILL]
        while self.running:
            is_late = time.monotonic() > gives_up_at
            for process in self._processes():
                process.send_signal(signals[is_late])
            time.sleep(0.1)

    def _processes(self) -> list[subprocess.Popen[bytes]]:
        with self._guard:
            return [work.process for work in self._running.values() if work.process is not None]

    def _make_room(self) -> None:
        """End as many helps as there are jobs too many, and wait until they have ended."""
        with self._guard:
            n_too_many = max(0, len(self._running) - self._n_jobs)
            helps = [work for work in self._running.values() if work.helps]
            for work in helps[:n_too_many]:
                work.is_unwanted.set()
            self._guard.wait_for(lambda: not any(work.is_unwanted.is_set() for work in self._running.values()))

    def _forget(self, comparison_id: str) -> None:
        with self._guard:
            del self._running[comparison_id]
            self._guard.notify_all()

    def _run(self, comparison_id: str, work: _Work) -> None:
        n_crashes = n_interruptions = 0
        waits = pauses()
        while not self._parking.is_set() and not self._is_over(comparison_id):
            code = self._run_process(comparison_id, work)
            if code == JobEnd.OVER:
                continue
            if code == JobEnd.PARKED:
                break
            if code == JobEnd.INTERRUPTED:
                n_interruptions += 1
                if n_interruptions > MAX_INTERRUPTIONS:
                    self._fail(comparison_id, "the disk is full or the database cannot be reached; mend it")
            elif code > 0:
                self._fail(comparison_id, "an internal error stopped it")
            elif not self._parking.is_set():
                n_crashes += 1
                _LOG.warning("the job was ended by signal %s", -code, extra=about(comparison_id))
                if n_crashes > MAX_CRASHES:
                    name = signal.Signals(-code).name
                    self._fail(
                        comparison_id, f"its process was ended {n_crashes} times, last by {name}; is memory short?"
                    )
            self._parking.wait(next(waits))
        if self._parking.is_set():
            patiently(lambda: self._queue_again(comparison_id))

    def _run_process(self, comparison_id: str, work: _Work) -> int:
        """Exit code of one start, negative for a signal."""
        log_file = self.log_file(comparison_id)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                list(self._command(comparison_id, work.helps)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherited,
            )
        with self._guard:
            work.process = process
        code = None
        cancelled_at = unwanted_at = None
        while code is None:
            try:
                code = process.wait(LOOK_INTERVAL_S)
            except subprocess.TimeoutExpired:
                if cancelled_at is None and self._is_cancelled(comparison_id):
                    cancelled_at = time.monotonic()
                if unwanted_at is None and work.is_unwanted.is_set():
                    unwanted_at = time.monotonic()
                    process.terminate()
                ending = [at for at in (cancelled_at, unwanted_at) if at is not None]
                if ending and time.monotonic() > min(ending) + CANCEL_GRACE_S:
                    process.kill()
        with self._guard:
            work.process = None
        patiently(lambda: release_all(self._engine, f"{self._directory.identity}/{process.pid}/"))
        if cancelled_at is not None:
            patiently(lambda: self._end_cancelled(comparison_id))
        return code

    def _job_command(self, comparison_id: str, helps: bool) -> Sequence[str | Path]:
        options: list[str | Path] = ["--home", self._directory.root, "--parent", str(os.getpid())]
        return [sys.executable, "-m", "service.job", comparison_id, *options, *(["--helps"] if helps else [])]

    def _is_over(self, comparison_id: str) -> bool:
        try:
            return patiently(lambda: find_comparison(self._engine, comparison_id)).state.is_final
        except ComparisonNotFoundError:
            return True

    def _is_cancelled(self, comparison_id: str) -> bool:
        try:
            return patiently(lambda: find_comparison(self._engine, comparison_id)).cancel_requested
        except ComparisonNotFoundError:
            return True

    def _end_cancelled(self, comparison_id: str) -> None:
        """Say that it is cancelled, unless its job said so and it was resumed since."""
        wanted = select(comparisons.c.cancel_requested).where(comparisons.c.id == comparison_id).with_for_update()
        with writing(self._engine) as connection:
            if connection.execute(wanted).scalar():
                set_state(connection, comparison_id, ComparisonState.CANCELLED, expected=_IN_PROGRESS)

    def _fail(self, comparison_id: str, what: str) -> None:
        # Where files of this machine are is nothing for callers.
        _LOG.error("failed: %s; see %s", what, self.log_file(comparison_id), extra=about(comparison_id))
        message = f"{what}; the operator finds more in the log of its job; then resume it: what was measured is kept"

        def write() -> None:
            with writing(self._engine) as connection:
                set_state(connection, comparison_id, ComparisonState.FAILED, expected=_IN_PROGRESS, error=message)

        patiently(write)

    def _queue_again(self, comparison_id: str) -> None:
        """Back into the queue, unless other workers are at it."""
        if held_units(self._engine, f"job/{comparison_id}/"):
            return
        with writing(self._engine) as connection:
            set_state(connection, comparison_id, ComparisonState.QUEUED, expected=[ComparisonState.RUNNING])
