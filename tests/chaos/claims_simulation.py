"""Claims and commits under a scheduler that a seed decides: services, jobs and callers on one database in memory.

The functions are the product's own: the engine's look and claim, the supervisor, `run_job`, the watch, the lock,
events, answers, publishing. Simulated are the clock, threads and processes (greenlets that switch before every
transaction), the connection that holds an advisory lock, and what a job computes. A seed decides delays, kills, frozen
processes, steps of the wall clock, commits of which the reply is lost, duplicated requests, cancelling and resuming.
"""

import heapq
import itertools
import logging
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import greenlet
from sqlalchemy import Engine, delete, event, func, select

from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage
from lm.errors import TuningForkError
from service.contract.comparison_state import ComparisonState
from service.jobs import comparison_lock, job, job_watch, local_engine, supervisor
from service.jobs.comparison_lock import SILENCE_S, ComparisonLock
from service.jobs.job import JobEnd, run_job
from service.jobs.job_watch import JobWatch
from service.jobs.local_engine import LocalEngine
from service.jobs.supervisor import Supervisor
from service.run.progress import Progress
from service.store import database as store_database
from service.store.comparisons import comparison_store
from service.store.comparisons import events as events_module
from service.store.comparisons.comparison_store import (
    ComparisonConflictError,
    create_comparison,
    find_comparison,
    request_cancel,
    resume_comparison,
)
from service.store.comparisons.events import read_events
from service.store.data_directory import DataDirectory
from service.store.database import open_database, patiently, writing
from service.store.migrations.upgrade import migrate
from service.store.stages import answer_log
from service.store.stages.answer_log import AnswerLog
from service.store.tables import answer_blocks, comparisons, events, report_files

COMPARISON = "simulated"
BLOCKS = tuple((f"q{2 * i}", f"q{2 * i + 1}") for i in range(3))
LOOK_S = 6.0
"""Between two looks of engine and supervisor: longer than in earnest, so that a seed takes milliseconds."""
TROUBLE_S = 45.0
"""After so long nothing more is done to anybody."""
HORIZON_S = 4 * 3600.0


@dataclass
class Process:
    """What is killed or frozen together. A job dies with its service."""

    name: str
    parent: "Process | None" = None
    is_dead: bool = False
    frozen_until: float = 0.0
    clock_step_s: float = 0.0
    code: int | None = None
    watch: JobWatch | None = None

    @property
    def is_gone(self) -> bool:
        return self.is_dead or (self.parent is not None and self.parent.is_gone)


@dataclass
class Simulation:
    """One seed."""

    engine: Engine
    root: Path
    lot: random.Random
    now: float = 0.0
    due: list[tuple[float, int, Process, Any]] = field(default_factory=list)
    locks: dict[int, "LockConnection"] = field(default_factory=dict)
    acknowledged: dict[tuple[str, ...], str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    greenlets: list[Any] = field(default_factory=list)
    current: Process = field(default_factory=lambda: Process("scheduler"))
    numbers: Any = field(default_factory=itertools.count)
    hub: Any = field(default_factory=greenlet.getcurrent)

    def spawn(self, process: Process, run: Callable[[], object], after_s: float = 0.0) -> Any:
        made = greenlet.greenlet(lambda: self._life(run), self.hub)
        self.greenlets.append(made)
        self._put(after_s, process, made)
        return made

    def _life(self, run: Callable[[], object]) -> None:
        try:
            run()
        except greenlet.GreenletExit:
            pass
        except Exception as error:
            self.faults.append(f"{self.current.name}: {type(error).__name__} {error}")

    def sleep(self, seconds: float) -> None:
        if greenlet.getcurrent() is self.hub:
            return
        process = self.current
        if process.is_gone:
            raise greenlet.GreenletExit
        self._put(seconds, process, greenlet.getcurrent())
        self.hub.switch()
        if process.is_gone:
            raise greenlet.GreenletExit

    def _put(self, after_s: float, process: Process, made: Any) -> None:
        heapq.heappush(self.due, (self.now + after_s, next(self.numbers), process, made))

    def run(self) -> None:
        """Until nobody has anything to do, or the horizon."""
        while self.due:
            at, _, process, made = heapq.heappop(self.due)
            if process.is_gone or made.dead:
                continue
            if (until := max(process.frozen_until, process.parent.frozen_until if process.parent else 0)) > at:
                heapq.heappush(self.due, (until, next(self.numbers), process, made))
                continue
            self.now = max(self.now, at)
            if self.now > HORIZON_S:
                return
            self.current = process
            made.switch()

    def end(self) -> None:
        for process in self.processes:
            process.is_dead = True
        self.current.is_dead = True
        for made in self.greenlets:
            if not made.dead:
                made.throw(greenlet.GreenletExit)

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1e9 + self.now + self.current.clock_step_s

    def before_transaction(self, _: Any) -> None:
        """Others may do whatever they want before it."""
        if greenlet.getcurrent() is not self.hub:
            self.sleep(self.lot.choice((0.0, 0.001, 0.01, 0.5)))

    def after_commit(self) -> None:
        """The reply to a commit may be lost: the caller does not know that it happened."""
        if self.now < TROUBLE_S and greenlet.getcurrent() is not self.hub and self.lot.random() < 0.03:
            lost = sqlite3.OperationalError("the reply was lost")
            lost.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise lost

    def kill(self, process: Process) -> None:
        process.is_dead = True
        process.code = -signal.SIGKILL
        for connection in list(self.locks.values()):
            if connection.process.is_gone:
                connection.close()


class Event:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._is_set = simulation, False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        if not self._is_set:
            self._simulation.sleep(seconds)
        return self._is_set


class Lock:
    """Its holder may sleep, and others of the process then wait by this clock."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._is_held = simulation, False

    def __enter__(self) -> bool:
        while self._is_held:
            self._simulation.sleep(0.1)
        self._is_held = True
        return True

    def __exit__(self, *_: object) -> None:
        self._is_held = False


class Thread:
    def __init__(
        self,
        simulation: Simulation,
        target: Callable[..., object],
        args: Any = (),
        name: str = "",
        daemon: bool = False,
    ) -> None:
        self._simulation, self._run, self._made = simulation, lambda: target(*args), None

    def start(self) -> None:
        self._made = self._simulation.spawn(self._simulation.current, self._run)

    def is_alive(self) -> bool:
        return self._made is not None and not self._made.dead

    def join(self) -> None:
        while self.is_alive():
            self._simulation.sleep(0.1)


class LockConnection:
    """A connection to a server that has advisory locks, and ends it where its process is gone or silent for long."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation, self.process, self.is_closed = simulation, simulation.current, False
        self.heard_at = simulation.now

    def execution_options(self, **_: Any) -> "LockConnection":
        return self

    def detach(self) -> None:
        pass

    def execute(self, statement: Any, values: Any = None) -> Any:
        from sqlalchemy.exc import OperationalError

        if self.is_silent or self.is_closed:
            self.close()
            raise OperationalError(str(statement), None, Exception("the server closed the connection"))
        self.heard_at = self.simulation.now
        taken = True
        if values is not None:
            holder = self.simulation.locks.get(values["key"])
            if holder is not None and holder.is_silent:
                holder.close()
            taken = self.simulation.locks.setdefault(values["key"], self) is self
        return SimpleNamespace(scalar=lambda: taken)

    @property
    def is_silent(self) -> bool:
        return self.simulation.now - self.heard_at > SILENCE_S

    def close(self) -> None:
        self.is_closed = True
        for key in [key for key, holder in self.simulation.locks.items() if holder is self]:
            del self.simulation.locks[key]


class JobProcess:
    """What `subprocess.Popen` is to the supervisor."""

    def __init__(self, simulation: Simulation, _: Any, **__: Any) -> None:
        self._simulation = simulation
        self._process = Process(f"job {next(simulation.numbers)}", parent=simulation.current)
        simulation.processes.append(self._process)
        simulation.spawn(self._process, self._run, after_s=simulation.lot.choice((0.0, 1.0, 8.0)))

    def _run(self) -> None:
        simulation, process = self._simulation, self._process
        process.watch = JobWatch(simulation.engine, COMPARISON)
        code: int = JobEnd.DEFECT
        try:
            directory = DataDirectory(simulation.root)
            code = run_job(simulation.engine, directory, COMPARISON, None, None, watch=process.watch)  # type: ignore[arg-type]
        finally:
            process.code = code if process.code is None else process.code

    def wait(self, seconds: float | None = None) -> int:
        if self._process.code is None:
            self._simulation.sleep(seconds or 0.1)
        if self._process.code is None:
            raise subprocess.TimeoutExpired("job", seconds or 0.1)
        return self._process.code

    def poll(self) -> int | None:
        return self._process.code

    def kill(self) -> None:
        self._simulation.kill(self._process)

    def send_signal(self, number: int) -> None:
        if number == signal.SIGTERM and self._process.watch is not None:
            self._process.watch.park()
        elif number == signal.SIGKILL:
            self.kill()


def work(
    simulation: Simulation, settings: Any, *_: Any, on_progress: Any, database: Engine, on_finished: Any, **__: Any
) -> None:
    """What `run_comparison` is to a job: blocks are asked and committed, then the report is handed over."""
    lot, name = simulation.lot, simulation.current.name
    log = AnswerLog(database, "stage")
    for done, ids in enumerate(log.unanswered(BLOCKS)):
        on_progress(Progress("answer", "base", done, len(BLOCKS)))
        simulation.sleep(lot.choice((0.1, 2.0, 10.0)))
        if simulation.now < TROUBLE_S and lot.random() < 0.05:
            raise TuningForkError("the endpoint says no")
        log.append(ids, [Answer(f"{name} {i}", Usage(1, 1), FinishReason.STOP, (), "0" * 64) for i in ids], 1.0)
        kept = log.answers[ids[0]].text
        if simulation.acknowledged.setdefault(ids, kept) != kept:
            simulation.faults.append(f"{ids} was {simulation.acknowledged[ids]} and is {kept}")
        on_progress(Progress("answer", "base", done + 1, len(BLOCKS), key="stage", score=0.5))
    on_finished(simulation.root / "report")


def service(simulation: Simulation, name: str) -> None:
    """A service as it runs until it is killed or told to stop; then another one is started in its place."""
    process = Process(name, clock_step_s=simulation.lot.choice((0.0, 0.0, -7200.0, 86400.0)))
    simulation.processes.append(process)

    def life() -> None:
        watched = Supervisor(simulation.engine, DataDirectory(simulation.root))
        engine = LocalEngine(simulation.engine, watched, adoption_s=10.0)
        engine._adoption_s = 10.0
        engine.start()
        while simulation.now < HORIZON_S:
            simulation.sleep(LOOK_S)
            found = patiently(lambda: find_comparison(simulation.engine, COMPARISON))
            if found.state is ComparisonState.SUCCEEDED and not watched.running:
                engine.stop(5.0)
                return
            if simulation.now < TROUBLE_S and simulation.lot.random() < 0.02:
                engine.stop(5.0)
                simulation.spawn(Process("restart"), lambda: service(simulation, name), 1.0)
                return

    simulation.spawn(process, life, simulation.lot.uniform(0, 2))


def trouble(simulation: Simulation) -> None:
    """Kills, freezes, and steps clocks."""
    lot = simulation.lot
    while simulation.now < TROUBLE_S:
        simulation.sleep(lot.expovariate(1 / 5))
        alive = [process for process in simulation.processes if not process.is_gone and process.code is None]
        if not alive:
            continue
        hit = lot.choice(alive)
        match lot.randrange(4):
            case 0:
                simulation.kill(hit)
                if hit.parent is None:
                    simulation.spawn(
                        Process("restart"), lambda name=hit.name: service(simulation, name), lot.uniform(0, 20)
                    )
            case 1:
                hit.frozen_until = simulation.now + lot.choice((3.0, 20.0, 50.0))
            case 2:
                hit.clock_step_s += lot.choice((-3600.0, 3600.0))
            case 3:
                pass


def caller(simulation: Simulation) -> None:
    """Creates it, perhaps twice at a time; cancels it now and then; resumes it until it has succeeded."""
    lot, engine = simulation.lot, simulation.engine

    def create() -> None:
        made, _ = create_comparison(
            engine,
            comparison_id=COMPARISON,
            name="x",
            dataset="tiny",
            settings={},
            idempotency_key="k",
            request={"dataset": "tiny"},
        )
        assert made.id == COMPARISON

    patiently(create)
    if lot.random() < 0.3:
        patiently(create)
    while True:
        simulation.sleep(lot.uniform(1, 15))
        state = patiently(lambda: find_comparison(engine, COMPARISON)).state
        if state is ComparisonState.SUCCEEDED:
            return
        with suppress(ComparisonConflictError):
            if state.is_final:
                patiently(lambda: resume_comparison(engine, COMPARISON))
            elif simulation.now < TROUBLE_S and lot.random() < 0.1:
                patiently(lambda: request_cancel(engine, COMPARISON))


def faults_of(simulation: Simulation) -> list[str]:
    """What must not be, when all is over."""
    engine, found = simulation.engine, list(simulation.faults)
    with engine.connect() as connection:
        blocks = {tuple(sorted(row.answers)) for row in connection.execute(select(answer_blocks.c.answers))}
        n_blocks = connection.execute(select(func.count()).select_from(answer_blocks)).scalar_one()
        n_files = connection.execute(select(func.count()).select_from(report_files)).scalar_one()
        n_comparisons = connection.execute(select(func.count()).select_from(comparisons)).scalar_one()
    told = read_events(engine, COMPARISON, limit=100_000)
    states = [one.data["state"] for one in told if one.type == "state"]
    if find_comparison(engine, COMPARISON).state is not ComparisonState.SUCCEEDED:
        found.append(f"it did not end: {states}")
    if [one.sequence for one in told] != list(range(1, len(told) + 1)):
        found.append("events have a gap")
    if states.count("succeeded") > 1 or "succeeded" in states[:-1]:
        found.append(f"it went on after its end: {states}")
    if (n_blocks, n_files, n_comparisons) != (len(BLOCKS), 1, 1) or len(blocks) != n_blocks:
        found.append(f"{n_blocks} blocks, {n_files} report files, {n_comparisons} comparisons")
    kept = AnswerLog(engine, "stage").answers
    found += [
        f"{ids} was acknowledged and is gone"
        for ids, text in simulation.acknowledged.items()
        if kept[ids[0]].text != text
    ]
    return found


@contextmanager
def simulated(simulation: Simulation) -> Any:
    """The product's modules with this clock, these threads and processes."""
    clock = SimpleNamespace(monotonic=simulation.monotonic, time=simulation.wall, sleep=simulation.sleep)
    threads = SimpleNamespace(
        Thread=lambda **given: Thread(simulation, **given),
        Event=lambda: Event(simulation),
        Lock=lambda: Lock(simulation),
    )
    processes = SimpleNamespace(
        Popen=lambda *given, **named: JobProcess(simulation, *given, **named),
        DEVNULL=None,
        TimeoutExpired=subprocess.TimeoutExpired,
    )
    lock_server = SimpleNamespace(
        dialect=SimpleNamespace(name="postgresql"),
        connect=lambda: LockConnection(simulation),
        execution_options=lambda **_: lock_server,
    )
    changed: list[tuple[Any, str, Any]] = [
        (module, "time", clock)
        for module in (comparison_lock, job_watch, local_engine, supervisor, store_database, comparison_store,
                       events_module, answer_log)
    ]  # fmt: skip
    changed += [(module, "threading", threads) for module in (comparison_lock, job_watch, local_engine, supervisor)]
    changed += [
        (supervisor, "subprocess", processes),
        (supervisor, "LOOK_INTERVAL_S", LOOK_S),
        (supervisor, "job_environment", lambda *_: {}),
        (local_engine, "LOOK_INTERVAL_S", LOOK_S),
        (local_engine, "held_keys", lambda _: frozenset(simulation.locks)),
        (supervisor, "ComparisonLock", lambda _, comparison_id: ComparisonLock(lock_server, comparison_id)),
        (job, "ComparisonLock", lambda _, comparison_id: ComparisonLock(lock_server, comparison_id)),
        (job, "job_settings", lambda *_: None),
        (job, "models_identity", lambda *_: ""),
        (job, "ResourceWatch", lambda *_: ExitStack()),
        (job, "run_comparison", lambda *given, **named: work(simulation, *given, **named)),
    ]
    with ExitStack() as stack:
        for module, name, value in changed:
            stack.enter_context(patch.object(module, name, value))
        defaults = {**(patiently.__kwdefaults__ or {}), "pause": simulation.sleep}
        stack.enter_context(patch.object(patiently, "__kwdefaults__", defaults))
        yield


class Simulator:
    """Runs seeds, each from an empty database."""

    def __init__(self, root: Path) -> None:
        logging.disable(logging.CRITICAL)
        (root / "report").mkdir(parents=True)
        (root / "report" / "report.json").write_text("{}", encoding="utf-8")
        self.root = root
        self.engine = open_database("sqlite://")
        migrate(self.engine)
        self.simulation: Simulation | None = None
        event.listen(self.engine, "engine_connect", lambda connection: self._before(connection))
        commit = self.engine.dialect.do_commit

        def commit_and_lose(connection: Any) -> None:
            commit(connection)
            if self.simulation is not None:
                self.simulation.after_commit()

        self.engine.dialect.do_commit = commit_and_lose  # type: ignore[method-assign]

    def _before(self, connection: Any) -> None:
        if self.simulation is not None:
            self.simulation.before_transaction(connection)

    def faults(self, seed: int) -> list[str]:
        """What went wrong under a seed."""
        with writing(self.engine) as connection:
            for table in (report_files, events, answer_blocks, comparisons):
                connection.execute(delete(table))
        self.simulation = simulation = Simulation(self.engine, self.root, random.Random(seed))
        with simulated(simulation):
            simulation.spawn(Process("caller"), lambda: caller(simulation))
            for name in ("first", "second"):
                simulation.spawn(Process("start"), partial(service, simulation, name), 1.0)
            simulation.spawn(Process("trouble"), lambda: trouble(simulation))
            try:
                simulation.run()
                return faults_of(simulation)
            finally:
                simulation.end()
                self.simulation = None

    def close(self) -> None:
        self.engine.dispose()
        logging.disable(logging.NOTSET)


def main() -> int:
    """Run seeds FIRST to LAST; print each that went wrong."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    started, n_wrong = time.perf_counter(), 0
    with TemporaryDirectory() as root:
        simulator = Simulator(Path(root))
        for seed in range(first, last):
            if found := simulator.faults(seed):
                n_wrong += 1
                sys.stdout.write(f"seed {seed}: {found}\n")
        simulator.close()
    took_s = time.perf_counter() - started
    sys.stdout.write(f"{last - first} seeds in {took_s:.0f} s, {n_wrong} went wrong\n")
    return min(n_wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
