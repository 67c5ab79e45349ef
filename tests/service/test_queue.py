import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.comparison_state import ComparisonState
from service.comparison_store import create_comparison, find_comparison, set_state
from service.data_directory import DataDirectory
from service.database import writing
from service.queue import ComparisonQueue
from service.supervisor import Supervisor

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
def start(
    engine: Engine, directory: DataDirectory, supervisor: QuickSupervisor
) -> Iterator[Callable[[], ComparisonQueue]]:
    """A running queue, which looks at the rows five times a second."""
    started: list[ComparisonQueue] = []

    def start() -> ComparisonQueue:
        queue = ComparisonQueue(engine, directory, supervisor, look_interval_s=0.2)
        queue.start()
        started.append(queue)
        return queue

    yield start
    for queue in started:
        queue.stop(grace_s=1)
    assert not [thread for thread in threading.enumerate() if thread.name in ("comparisons", "leases")]


def create(engine: Engine, comparison_id: str) -> str:
    create_comparison(engine, comparison_id=comparison_id, name="c", dataset="d", settings={})
    return comparison_id


def wait_until_over(engine: Engine, *comparison_ids: str) -> None:
    while not all(find_comparison(engine, comparison_id).state.is_final for comparison_id in comparison_ids):
        time.sleep(0.05)


def test_what_is_submitted_twice_is_run_once(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[[], ComparisonQueue]
) -> None:
    queue = start()
    create(engine, "c")
    for _ in range(2):
        queue.submit("c")
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"]


def test_what_was_never_submitted_is_found(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[[], ComparisonQueue]
) -> None:
    create(engine, "before the start")
    start()
    create(engine, "after it")
    wait_until_over(engine, "before the start", "after it")
    assert sorted(supervisor.ran) == ["after it", "before the start"]


def test_a_workflow_that_ended_in_an_error_is_made_again(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[[], ComparisonQueue]
) -> None:
    supervisor.fails = 2
    start().submit(create(engine, "c"))
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"] * 3


def test_what_was_resumed_is_queued_anew(
    engine: Engine, supervisor: QuickSupervisor, start: Callable[[], ComparisonQueue]
) -> None:
    queue = start()
    queue.submit(create(engine, "c"))
    wait_until_over(engine, "c")
    with writing(engine) as connection:
        set_state(connection, "c", ComparisonState.QUEUED, expected=[ComparisonState.SUCCEEDED])
    queue.submit("c")
    wait_until_over(engine, "c")
    assert supervisor.ran == ["c"] * 2
