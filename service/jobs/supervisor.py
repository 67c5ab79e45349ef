"""Starts a process for a comparison, watches over it, and knows what to do however it ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock, OwnedElsewhereError
from service.jobs.job import JobEnd
from service.jobs.ray_engine.ray_settings import RaySettings
from service.jobs.stage_budget import STAGE_BUDGETS, START, StageBudget
from service.json_log import about
from service.run.process_limits import job_environment
from service.store.comparisons.comparison_store import ComparisonNotFoundError, find_comparison, set_state
from service.store.data_directory import DataDirectory
from service.store.database import patiently, writing
from service.store.tables import answer_blocks, comparisons

LOOK_INTERVAL_S = 0.5
LATEST_LOOK_S = 60.0
CANCEL_GRACE_S = 15.0
"""For a job that is not wanted any more to end by itself at the end of a block; then it is ended."""

MAX_CRASHES = 3
MAX_INTERRUPTIONS = 60
"""In a row, without a new block of answers: a disk that gets a little room now and then only delays a comparison."""

LONGEST_PAUSE_S = 1.0
"""Between two starts of a job that crashed."""

_IN_PROGRESS = (ComparisonState.QUEUED, ComparisonState.RUNNING)
_LOG = logging.getLogger("tuning_fork.jobs")

JobCommand = Callable[[str, int], Sequence[str | Path]]
"""What starts the job of a comparison, given its id and the descriptor on which it shows life."""


class Supervisor:
    """The jobs of one process."""

    def __init__(
        self,
        engine: Engine,
        directory: DataDirectory,
        *,
        inherited: Sequence[int] = (),
        ray: RaySettings | None = None,
        command: JobCommand | None = None,
        budgets: Mapping[str, StageBudget] = STAGE_BUDGETS,
        memory_bytes: int = 0,
    ) -> None:
        """Nothing runs yet.

        Args:
            inherited: File descriptors that jobs keep open: the directory stays locked until the last one ended.
            ray: The cluster on which jobs have their work done; without one they do it themselves.
            budgets: By stage, how long a job may show no life.
            memory_bytes: That a job may allocate, 0 for no bound.
        """
        self._engine = engine
        self._directory = directory
        self._inherited = tuple(inherited)
        self._ray = ray
        self._command = command or self._job_command
        self._budgets = budgets
        self._memory_bytes = memory_bytes
        self._running: dict[str, subprocess.Popen[bytes] | None] = {}
        self._guard = threading.Lock()
        self._parking = threading.Event()

    @property
    def running(self) -> frozenset[str]:
        """Ids of the comparisons that are worked on here."""
        with self._guard:
            return frozenset(self._running)

    def run(self, comparison_id: str) -> None:
        """Work on a comparison in a process of its own until it is over, another has it, or `park` is called."""
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
        n_crashes = n_interruptions = n_blocks = 0
        pause_s = 0.05
        while not self._parking.is_set() and not self._is_over(comparison_id):
            code = self._run_process(comparison_id)
            if code == JobEnd.OVER:
                continue
            if code == JobEnd.SUPERSEDED:
                return
            if code == JobEnd.PARKED:
                break
            if code == JobEnd.INTERRUPTED:
                n_blocks_before, n_blocks = n_blocks, patiently(self._n_blocks)
                n_interruptions = 1 if n_blocks > n_blocks_before else n_interruptions + 1
                if n_interruptions > MAX_INTERRUPTIONS:
                    self._fail(
                        comparison_id, "the disk is full or fails, or database or Ray cluster cannot be reached; fix it"
                    )
            elif code == JobEnd.DEFECT:
                self._fail(comparison_id, "an internal error stopped it")
            elif not self._parking.is_set():
                n_crashes += 1
                name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                _LOG.warning("the job was ended by %s", name, extra=about(comparison_id))
                if n_crashes > MAX_CRASHES:
                    self._fail(
                        comparison_id, f"its process was ended {n_crashes} times, last by {name}; is memory short?"
                    )
            self._parking.wait(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
        if self._parking.is_set():
            self._queue_again(comparison_id)

    def _run_process(self, comparison_id: str) -> int:
        """Exit code of one start, negative for a signal."""
        log_file = self._directory.log(comparison_id)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        life, shows_life = os.pipe()
        try:
            with log_file.open("ab") as log:
                process = subprocess.Popen(
                    list(self._command(comparison_id, shows_life)),
                    env=job_environment(self._settings_of(comparison_id), os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(*self._inherited, shows_life),
                )
            with self._guard:
                self._running[comparison_id] = process
            return self._watch_over(comparison_id, process, SignsOfLife(life, self._budgets))
        finally:
            with self._guard:
                self._running[comparison_id] = None
            os.close(life)
            os.close(shows_life)

    def _watch_over(self, comparison_id: str, process: subprocess.Popen[bytes], signs: "SignsOfLife") -> int:
        cancelled_at = None
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(LOOK_INTERVAL_S)
                break
            if (overrun := signs.look()) is not None:
                process.kill()
                code = process.wait()
                # What is cancelled or parked meanwhile is no failure.
                if cancelled_at is None and not self._parking.is_set():
                    self._fail(comparison_id, overrun.overrun())
                break
            if cancelled_at is None and self._is_cancelled(comparison_id):
                cancelled_at = time.monotonic()
            if cancelled_at is not None and time.monotonic() > cancelled_at + CANCEL_GRACE_S:
                process.kill()
        if cancelled_at is not None:
            patiently(lambda: self._end_cancelled(comparison_id))
        return code

    def _job_command(self, comparison_id: str, shows_life: int) -> Sequence[str | Path]:
        options: list[str | Path] = ["--home", self._directory.root, "--parent", str(os.getpid())]
        module = "service.jobs.job_process" if self._ray is None else "service.jobs.ray_engine.driver"
        options += ["--memory", str(self._memory_bytes)]
        options += ["--life", str(shows_life), *(self._ray.options if self._ray is not None else ())]
        return [sys.executable, "-m", module, comparison_id, *options]

    def _n_blocks(self) -> int:
        """Blocks of answers of all comparisons; what else moves meanwhile only puts the giving up off."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(answer_blocks)).scalar_one()

    def _settings_of(self, comparison_id: str) -> Mapping[str, Any]:
        """Those that name the models: of a run on a comparison, the comparison's."""
        with suppress(ComparisonNotFoundError):
            own = patiently(lambda: find_comparison(self._engine, comparison_id)).settings
            return self._settings_of(str(own["comparison_id"])) if "comparison_id" in own else own
        return {}

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
        _LOG.error("failed: %s; see %s", what, self._directory.log(comparison_id), extra=about(comparison_id))
        message = f"{what}; the operator finds more in the log of its job; then resume it: what was measured is kept"
        self._move(comparison_id, ComparisonState.FAILED, _IN_PROGRESS, message)

    def _queue_again(self, comparison_id: str) -> None:
        self._move(comparison_id, ComparisonState.QUEUED, [ComparisonState.RUNNING])

    def _move(
        self,
        comparison_id: str,
        state: ComparisonState,
        expected: Sequence[ComparisonState],
        error: str | None = None,
    ) -> None:
        """Change the state, unless another service took the comparison over."""

        def write() -> None:
            with writing(self._engine) as connection:
                set_state(connection, comparison_id, state, expected=expected, error=error)

        try:
            with ComparisonLock(self._engine, comparison_id):
                patiently(write)
        except OwnedElsewhereError:
            _LOG.warning("another service runs it and continues", extra=about(comparison_id))


class SignsOfLife:
    """What a job shows on a pipe: the name of its stage, a line whenever something moved."""

    def __init__(
        self, descriptor: int, budgets: Mapping[str, StageBudget], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._budgets = budgets
        self._clock = clock
        self._stage = START
        self._looked_at = clock()
        self._silent_s = 0.0

    def look(self) -> StageBudget | None:
        """The budget that is overrun, if one is."""
        now = self._clock()
        # Who looks was frozen too, if a look came late, and the job had no time to move in.
        self._silent_s += min(now - self._looked_at, LATEST_LOOK_S)
        self._looked_at = now
        with suppress(BlockingIOError):
            if lines := os.read(self._descriptor, 2**16).splitlines():
                self._stage, self._silent_s = lines[-1].decode(), 0.0
        budget = self._budgets.get(self._stage, self._budgets[START])
        return budget if self._silent_s > budget.seconds else None
