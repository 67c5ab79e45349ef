"""The queue of comparisons: DBOS decides which process takes which, and a look at the rows mends what it missed.

The rows of `comparisons` are the truth. A workflow of DBOS says only who is at it: it is made after the row, may be
lost with a dead machine, and is then made again (docs/adr/0009-blocks-are-rows.md).
"""

import logging
import math
import threading
import time
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.engine import make_url

from service.comparison_state import ComparisonState
from service.data_directory import DataDirectory
from service.json_log import about
from service.lease import LEASE_S, Leases, held_units
from service.supervisor import Supervisor
from service.tables import comparisons

QUEUE = "comparisons"
APPLICATION = "tuning-fork"
APPLICATION_VERSION = "1"
"""Fixed: DBOS passes over workflows of another version, and ours only name a comparison."""

DATABASE_FILE = "dbos.db"
SCHEMA = "dbos"
POLL_S = 0.5
LOOK_INTERVAL_S = 5.0
HELP_INTERVAL_S = 1.0

_LIVE = ["ENQUEUED", "DELAYED", "PENDING"]
_LOG = logging.getLogger("tuning_fork.jobs")


class ComparisonQueue:
    """DBOS in this process, of which there can be one."""

    def __init__(
        self,
        engine: Engine,
        directory: DataDirectory,
        supervisor: Supervisor,
        *,
        n_jobs: int = 1,
        look_interval_s: float = LOOK_INTERVAL_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._supervisor = supervisor
        self._n_jobs = n_jobs
        self._look_interval_s = look_interval_s
        self._executor = directory.identity
        self._leases = Leases(engine, f"{self._executor}/executor", lease_s=lease_s)
        self._ended = threading.Event()
        self._orphans: frozenset[str] = frozenset()
        self._looking = threading.Thread(target=self._look_until_ended, name="comparisons", daemon=True)
        self._helping: list[threading.Thread] = []

    def start(self) -> None:
        """Take up what waits or was interrupted, and from now on what is submitted."""
        from dbos import DBOS

        self._leases.__enter__()
        self._leases.claim(self._executor_unit)
        DBOS(
            config={
                "name": APPLICATION,
                "application_version": APPLICATION_VERSION,
                "executor_id": self._executor,
                "system_database_url": self._system_database_url,
                "dbos_system_schema": SCHEMA,
                "run_admin_server": False,
                "enable_otlp": False,
                "log_level": "WARNING",
            }  # type: ignore[typeddict-unknown-key]
        )
        supervisor = self._supervisor

        @DBOS.workflow(name="comparison")
        def work_on(comparison_id: str) -> None:
            supervisor.run(comparison_id)

        self._workflow = work_on
        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=self._n_jobs, polling_interval_sec=POLL_S, on_conflict="always_update"
        )
        self._looking.start()

    def stop(self, grace_s: float) -> None:
        """Park the jobs and let go of the queue."""
        from dbos import DBOS

        self._ended.set()
        self._supervisor.park(grace_s)
        self._looking.join()
        for thread in self._helping:
            thread.join()
        # The workflows of parked jobs end as done; the rows say that something is left to do.
        DBOS.destroy(workflow_completion_timeout_sec=2)
        self._leases.__exit__(None, None, None)

    def submit(self, comparison_id: str) -> None:
        """Put a comparison whose row is committed into the queue; what cannot be queued now is found later."""
        try:
            self._enqueue_if_orphaned(comparison_id)
        except Exception:
            _LOG.exception("not queued now, but at the next look", extra=about(comparison_id))

    @property
    def _executor_unit(self) -> str:
        return f"executor/{self._executor}"

    @property
    def _system_database_url(self) -> str:
        if self._engine.dialect.name == "sqlite":
            return f"sqlite:///{self._directory.root / DATABASE_FILE}"
        return make_url(self._engine.url).render_as_string(hide_password=False)

    def _look_until_ended(self) -> None:
        looked_at = -math.inf
        while not self._ended.is_set():
            try:
                if time.monotonic() - looked_at >= self._look_interval_s:
                    looked_at = time.monotonic()
                    self._look()
                self._help()
            except Exception:
                # The next look may do better: a database that restarts must not end the looking.
                _LOG.exception("the queue could not be looked through")
            self._ended.wait(min(HELP_INTERVAL_S, self._look_interval_s))

    def _look(self) -> None:
        """Queue what nobody cares for."""
        # Lost while this process was frozen, it is taken again; while it is held this does nothing.
        self._leases.claim(self._executor_unit)
        for comparison_id in self._in_state(ComparisonState.QUEUED, ComparisonState.RUNNING):
            self._enqueue_if_orphaned(comparison_id)

    def _help(self) -> None:
        """Join others in the oldest comparison that runs, while there is nothing of one's own to do."""
        self._helping = [thread for thread in self._helping if thread.is_alive()]
        if self._engine.dialect.name == "sqlite":
            return
        for comparison_id in self._in_state(ComparisonState.RUNNING):
            if self._supervisor.can_help(comparison_id):
                thread = threading.Thread(target=self._supervisor.help, args=(comparison_id,), name="helper")
                self._helping.append(thread)
                thread.start()
                return

    def _in_state(self, *states: ComparisonState) -> list[str]:
        """Ids of comparisons, the oldest first."""
        query = select(comparisons.c.id).where(comparisons.c.state.in_(states)).order_by(comparisons.c.created_at)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def _enqueue_if_orphaned(self, comparison_id: str) -> None:
        """Queue a comparison that nobody works on or waits for."""
        from dbos import DBOS, SetWorkflowID

        workflows = DBOS.list_workflows(workflow_id_prefix=f"{comparison_id}/", load_input=False, load_output=False)
        live = [workflow for workflow in workflows if workflow.status in _LIVE]
        executors = {unit.removeprefix("executor/") for unit in held_units(self._engine, "executor/")}
        if any(self._is_cared_for(workflow, comparison_id, executors) for workflow in live):
            return
        if held_units(self._engine, f"job/{comparison_id}/"):
            return
        for workflow in live:
            DBOS.cancel_workflow(workflow.workflow_id)
        with SetWorkflowID(f"{comparison_id}/{len(workflows) + 1}"):
            DBOS.enqueue_workflow(QUEUE, self._workflow, comparison_id)

    def _is_cared_for(self, workflow: Any, comparison_id: str, executors: set[str]) -> bool:
        """Whether a process that lives has the workflow, or will get it."""
        if workflow.status != "PENDING":
            return True
        if workflow.executor_id != self._executor:
            return workflow.executor_id in executors
        if comparison_id in self._supervisor.running:
            self._orphans -= {workflow.workflow_id}
            return True
        # Just taken, or lost by a recovery that failed: the next look knows.
        is_lost = workflow.workflow_id in self._orphans
        self._orphans |= {workflow.workflow_id}
        return not is_lost
