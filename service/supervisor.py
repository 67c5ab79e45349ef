"""Starts a process for each comparison, watches over it, and knows what to do however it ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine, select

from service.comparison_state import ComparisonState
from service.comparison_store import ComparisonNotFoundError, find_comparison, set_state
from service.data_directory import DataDirectory
from service.database import patiently, writing
from service.job import JobEnd
from service.lease import held_units, pauses, release_all
from service.tables import comparisons

LOOK_INTERVAL_S = 0.5
CANCEL_GRACE_S = 15.0
"""For a cancelled job to end by itself at the end of a block; then it is ended."""

MAX_CRASHES = 3
MAX_INTERRUPTIONS = 60

_IN_PROGRESS = (ComparisonState.QUEUED, ComparisonState.RUNNING)
_LOG = logging.getLogger("tuning_fork.jobs")

JobCommand = Callable[[str], Sequence[str | Path]]


class Supervisor:
    """The jobs of one process."""

    def __init__(
        self,
        engine: Engine,
        directory: DataDirectory,
        *,
        inherited: Sequence[int] = (),
        command: JobCommand | None = None,
    ) -> None:
        """`inherited`: file descriptors that jobs keep open: the directory stays locked until the last one ended."""
        self._engine = engine
        self._directory = directory
        self._inherited = tuple(inherited)
        self._command = command or self._job_command
        self._running: dict[str, subprocess.Popen[bytes] | None] = {}
        self._guard = threading.Lock()
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
        """Work on a comparison in a process of its own until it is over, or until `park` is called."""
        with self._guard:
            if comparison_id in self._running:
                return
            self._running[comparison_id] = None
        try:
            self._run(comparison_id)
        finally:
            with self._guard:
                del self._running[comparison_id]

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
            return [process for process in self._running.values() if process is not None]

    def _run(self, comparison_id: str) -> None:
        n_crashes = n_interruptions = 0
        waits = pauses()
        while not self._parking.is_set() and not self._is_over(comparison_id):
            code = self._run_process(comparison_id)
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
                _LOG.warning("the job of %s was ended by signal %s", comparison_id, -code)
                if n_crashes > MAX_CRASHES:
                    name = signal.Signals(-code).name
                    self._fail(
                        comparison_id, f"its process was ended {n_crashes} times, last by {name}; is memory short?"
                    )
            self._parking.wait(next(waits))
        if self._parking.is_set():
            patiently(lambda: self._queue_again(comparison_id))

    def _run_process(self, comparison_id: str) -> int:
        """Exit code of one start, negative for a signal."""
        log_file = self.log_file(comparison_id)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                list(self._command(comparison_id)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherited,
            )
        with self._guard:
            self._running[comparison_id] = process
        code = None
        cancelled_at: float | None = None
        while code is None:
            try:
                code = process.wait(LOOK_INTERVAL_S)
            except subprocess.TimeoutExpired:
                if cancelled_at is None and self._is_cancelled(comparison_id):
                    cancelled_at = time.monotonic()
                if cancelled_at is not None and time.monotonic() > cancelled_at + CANCEL_GRACE_S:
                    process.kill()
        with self._guard:
            self._running[comparison_id] = None
        patiently(lambda: release_all(self._engine, f"{self._directory.identity}/{process.pid}/"))
        if cancelled_at is not None:
            patiently(lambda: self._end_cancelled(comparison_id))
        return code

    def _job_command(self, comparison_id: str) -> Sequence[str | Path]:
        options: list[str | Path] = ["--home", self._directory.root, "--parent", str(os.getpid())]
        return [sys.executable, "-m", "service.job", comparison_id, *options]

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
        log_file = self.log_file(comparison_id)
        message = f"{what}; see the log {log_file}, then resume it: what was measured is kept"

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
