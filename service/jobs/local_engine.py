"""The engine of one machine: looks at the rows of comparisons, and starts a process for what nobody works on.

The rows are the truth. Nothing else says what waits, runs or was interrupted, so that after any crash the next look
knows what is left.
"""

import logging
import math
import threading
import time

from sqlalchemy import Engine, select

from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import held_keys, lock_key
from service.jobs.supervisor import Supervisor
from service.json_log import about
from service.store.comparisons.comparison_store import set_state
from service.store.database import writing
from service.store.tables import comparisons

LOOK_INTERVAL_S = 0.5
ADOPTION_S = 10.0
"""A running comparison of a shared database is taken up when its lock was free for so long: its own job may be about
to take it, at its start or after a restart of the server."""

RETRY_S = 5.0
"""After a process could not be started."""

_LOG = logging.getLogger("tuning_fork.jobs")


class LocalEngine:
    """Works on the comparisons of a database, the oldest first, so many at a time."""

    def __init__(
        self,
        engine: Engine,
        supervisor: Supervisor,
        *,
        n_jobs: int = 1,
        adoption_s: float = ADOPTION_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._engine = engine
        self._supervisor = supervisor
        self._n_jobs = n_jobs
        # A file belongs to one service: what runs there and is not ours was left by a dead one.
        self._adoption_s = adoption_s if engine.dialect.name == "postgresql" else 0.0
        self._retry_s = retry_s
        self._working: dict[str, threading.Thread] = {}
        self._free_since: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._looking = threading.Thread(target=self._look_until_ended, name="comparisons", daemon=True)

    def start(self) -> None:
        """Take up what waits or was interrupted, and from now on what comes."""
        self._looking.start()

    def submit(self, comparison_id: str) -> None:
        """Look at the rows at once, since there is a new one."""
        self._woken.set()

    def stop(self, grace_s: float) -> None:
        """Park the jobs: they go on when an engine is there again."""
        self._ended.set()
        self._woken.set()
        self._looking.join()
        self._supervisor.park(grace_s)
        for thread in self._working.values():
            thread.join()

    def _look_until_ended(self) -> None:
        while not self._ended.is_set():
            self._woken.clear()
            try:
                self._look()
            except Exception:
                # A database that restarts must not end the looking.
                _LOG.exception("the comparisons could not be looked through")
            self._woken.wait(LOOK_INTERVAL_S)

    def _look(self) -> None:
        self._working = {name: thread for name, thread in self._working.items() if thread.is_alive()}
        for comparison_id in self._unattended():
            if len(self._working) >= self._n_jobs:
                return
            if self._claim(comparison_id):
                thread = threading.Thread(target=self._work_on, args=(comparison_id,), name="comparison")
                self._working[comparison_id] = thread
                thread.start()

    def _unattended(self) -> list[str]:
        """What waits, and what runs although nobody works on it; the oldest first."""
        now = time.monotonic()
        states = [ComparisonState.QUEUED, ComparisonState.RUNNING]
        query = select(comparisons.c.id, comparisons.c.state).where(comparisons.c.state.in_(states))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(comparisons.c.created_at)).all()
        held = held_keys(self._engine)
        running = [i for i, state in rows if state == ComparisonState.RUNNING and lock_key(i) not in held]
        self._free_since = {i: self._free_since.get(i, now) for i in running if i not in self._working}
        return [
            i
            for i, state in rows
            if i not in self._working
            and now >= self._not_before.get(i, now)
            and (state == ComparisonState.QUEUED or now - self._free_since.get(i, math.inf) >= self._adoption_s)
        ]

    def _claim(self, comparison_id: str) -> bool:
        """Whether it is ours to start: of several services that see it wait, one moves it on."""
        with writing(self._engine) as connection:
            is_moved = set_state(connection, comparison_id, ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        return is_moved or comparison_id in self._free_since

    def _work_on(self, comparison_id: str) -> None:
        try:
            self._supervisor.run(comparison_id)
        except Exception:
            self._not_before[comparison_id] = time.monotonic() + self._retry_s
            _LOG.exception("not worked on now, but again later", extra=about(comparison_id))
