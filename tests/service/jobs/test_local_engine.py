import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock
from service.jobs.local_engine import LocalEngine
from service.jobs.supervisor import Supervisor
from service.store.comparisons.comparison_store import create_comparison, find_comparison, set_state
from service.store.data_directory import DataDirectory
from service.store.database import writing

IN_PROGRESS = [ComparisonState.QUEUED, ComparisonState.RUNNING]


class QuickSupervisor(Supervisor):
    """Finishes every comparison at once, or fails as it is told, and remembers which."""

    def __init__(self, engine: Engine, directory: DataDirectory) -> None:
        super().__init__(engine, directory)
        self._database = engine
        self.ran: list[str] = []
        self.fails = 0

    def run(self, comparison_id: str) -> None:
        self.ran.append(comparison_id)
        if self.fails:
            self.fails -= 1
            raise OSError("no process could be started")
        with writing(self._database) as connection:
            set_state(connection, comparison_id, ComparisonState.SUCCEEDED, expected=IN_PROGRESS)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "home")


@pytest.fixture
def supervisor(engine: Engine, directory: DataDirectory) -> QuickSupervisor:
    return QuickSupervisor(engine, directory)


@pytest.fixture
def start(engine: Engine, supervisor: QuickSupervisor) -> Iterator[Callable[..., LocalEngine]]:
    """A running engine."""
    started: list[LocalEngine] = []

    def start(**options: Any) -> LocalEngine:
        local = LocalEngine(engine, options.pop("supervisor", supervisor), retry_s=0.0, adoption_s=0.0, **options)
        local.start()
        started.append(local)
        return local

    yield start
    for local in started:
        local.stop(grace_s=1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("comparison")]


def create(engine: Engine, comparison_id: str) -> str:
    create_comparison(engine, comparison_id=comparison_id, name="c", dataset="d", settings={})
    return comparison_id


def run_elsewhere(engine: Engine, comparison_id: str) -> None:
    with writing(engine) as connection:
        set_state(connection, comparison_id, ComparisonState.RUNNING, expected=IN_PROGRESS)


def wait_until_over(engine: Engine, *comparison_ids: str) -> None:
    while not all(find_comparison(engine, comparison_id).state.is_final for comparison_id in comparison_ids):
        time.sleep(0.05)


def test_what_is_submitted_twice_is_run_once(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    local = start()
    create(engine, "c")
    for _ in range(2):
        local.submit("c")
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"]


def test_what_was_never_submitted_is_found(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    create(engine, "before the start")
    start()
    create(engine, "after it")
    wait_until_over(engine, "before the start", "after it")
    assert supervisor.ran == ["before the start", "after it"]


def test_what_no_process_could_be_started_for_is_tried_again(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    supervisor.fails = 2
    start().submit(create(engine, "c"))
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"] * 3


def test_what_was_resumed_is_worked_on_again(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    local = start()
    local.submit(create(engine, "c"))
    wait_until_over(engine, "c")
    with writing(engine) as connection:
        set_state(connection, "c", ComparisonState.QUEUED, expected=[ComparisonState.SUCCEEDED])
    local.submit("c")
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"] * 2


def test_what_a_dead_service_left_running_is_taken_up(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    run_elsewhere(engine, create(engine, "c"))
    start()
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"]


def test_the_oldest_goes_first_and_no_more_at_a_time_than_allowed(
    engine: Engine, directory: DataDirectory, start: Callable[..., LocalEngine]
) -> None:
    at_once: list[int] = []
    go_on = threading.Event()

    class WaitingSupervisor(QuickSupervisor):
        n_running = 0

        def run(self, comparison_id: str) -> None:
            self.n_running += 1
            at_once.append(self.n_running)
            go_on.wait(60)
            self.n_running -= 1
            super().run(comparison_id)

    names = [create(engine, f"c{i}") for i in range(5)]
    waiting = WaitingSupervisor(engine, directory)
    start(supervisor=waiting, n_jobs=2)
    while len(at_once) < 2:
        time.sleep(0.01)
    go_on.set()
    wait_until_over(engine, *names)
    assert max(at_once) == 2
    assert sorted(waiting.ran) == names
    assert set(waiting.ran[:2]) == {"c0", "c1"}


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_what_a_job_of_another_service_works_on_is_left_to_it(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[..., LocalEngine]
) -> None:
    run_elsewhere(engine, create(engine, "theirs"))
    with ComparisonLock(engine, "theirs"):
        start()
        create(engine, "mine")
        wait_until_over(engine, "mine")
        assert supervisor.ran == ["mine"]
    wait_until_over(engine, "theirs")
    assert supervisor.ran == ["mine", "theirs"]


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_of_two_services_one_starts_a_comparison_that_waits(
    engine: Engine, directory: DataDirectory, start: Callable[..., LocalEngine]
) -> None:
    supervisors = [QuickSupervisor(engine, directory) for _ in range(2)]
    local, other = (start(supervisor=one, n_jobs=8) for one in supervisors)
    local._adoption_s = other._adoption_s = 3600.0
    names = []
    for i in range(30):
        names.append(create(engine, f"c{i}"))
        for one in (local, other):
            one.submit(names[-1])
    wait_until_over(engine, *names)
    assert sorted(name for one in supervisors for name in one.ran) == sorted(names)
