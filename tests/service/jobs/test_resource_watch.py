import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, update
from sqlalchemy.exc import OperationalError

from service.contract.comparison_state import ComparisonState
from service.jobs.resource_watch import (
    EVENT_TYPE,
    LOOK_INTERVAL_S,
    POINTS_PER_INTERVAL,
    ResourceWatch,
    Usage,
    gpu_bytes,
    read_usage,
    resident_bytes,
    usable_cores,
)
from service.store.comparisons.events import append_event, read_events
from service.store.database import writing
from service.store.tables import comparisons

DAY_S = 86_400


class Machine:
    """A clock and what a process holds, as a test wants them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.usage = Usage(0.0, 100, None)

    def clock(self) -> float:
        return self.now

    def read(self) -> Usage:
        return self.usage

    def work(self, wall_s: float, cpu_s: float, resident: int | None = 100, gpu: int | None = None) -> None:
        self.now += wall_s
        self.usage = Usage(self.usage.cpu_s + cpu_s, resident, gpu)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def process(engine: Engine) -> str:
    row = {"id": "c", "name": "c", "dataset": "d", "settings": "{}", "state": "running", "cancel_requested": False}
    with writing(engine) as connection:
        connection.execute(insert(comparisons), [row | {"created_at": 0.0}])
    return "ab12"


@pytest.fixture
def watch(engine: Engine, process: str, machine: Machine) -> ResourceWatch:
    return begun(engine, process, machine)


def begun(engine: Engine, process: str, machine: Machine) -> ResourceWatch:
    watch = ResourceWatch(engine, "c", process, read=machine.read, clock=machine.clock)
    watch.begin()
    return watch


def points(engine: Engine) -> list[dict[str, Any]]:
    return [dict(one.data) for one in read_events(engine, "c", limit=100_000) if one.type == EVENT_TYPE]


def set_state(engine: Engine, state: ComparisonState) -> None:
    with writing(engine) as connection:
        connection.execute(update(comparisons).values(state=state))


def test_a_point_tells_the_cores_kept_busy_and_the_most_memory_since_the_last_one(
    engine: Engine, watch: ResourceWatch, machine: Machine
) -> None:
    machine.work(0.9, 1.0, resident=900, gpu=5)
    watch.look()
    assert points(engine) == []
    machine.work(1.1, 2.0, resident=300)
    watch.look()
    machine.work(2.0, 0.5, resident=200)
    watch.look()
    common = {"process": "ab12", "interval_s": 2.0, "n_cores": usable_cores()}
    assert points(engine) == [
        common | {"cores_busy": 1.5, "resident_bytes": 900, "gpu_bytes": 5},
        common | {"cores_busy": 0.25, "resident_bytes": 300, "gpu_bytes": None},
    ]


def test_a_system_that_does_not_tell_of_memory_is_told_of_by_its_cores(
    engine: Engine, watch: ResourceWatch, machine: Machine
) -> None:
    machine.usage = Usage(0.0, None, None)
    watch.begin()
    machine.work(2.0, 2.0, resident=None)
    watch.look()
    assert points(engine)[0]["resident_bytes"] is None
    assert points(engine)[0]["cores_busy"] == 1.0


def test_a_long_job_writes_ever_more_rarely(engine: Engine, watch: ResourceWatch, machine: Machine) -> None:
    n_points = 0
    while machine.now < DAY_S:
        # Most looks between two points are left out: they write nothing, and would make this test long.
        due_s = 2.0 * 2 ** (n_points // POINTS_PER_INTERVAL)
        for part in (0.4, 0.6):
            machine.work(due_s * part, due_s * part)
            watch.look()
        n_points += 1
    found = points(engine)
    assert len(found) == n_points
    assert 500 < n_points < 600
    assert {one["cores_busy"] for one in found} == {1.0}
    assert [one["interval_s"] for one in found[::POINTS_PER_INTERVAL]] == [2.0 * 2**i for i in range(10)]
    assert sum(one["interval_s"] for one in found) == pytest.approx(machine.now)


def test_a_job_that_goes_on_counts_the_points_of_those_before_it(
    engine: Engine, process: str, machine: Machine
) -> None:
    with writing(engine) as connection:
        for _ in range(2 * POINTS_PER_INTERVAL):
            append_event(connection, "c", EVENT_TYPE, {})
    watch = begun(engine, process, machine)
    for _ in range(3):
        machine.work(LOOK_INTERVAL_S, 1.0)
        watch.look()
    assert len(points(engine)) == 2 * POINTS_PER_INTERVAL
    machine.work(LOOK_INTERVAL_S, 1.0)
    watch.look()
    assert points(engine)[-1]["interval_s"] == 4 * LOOK_INTERVAL_S


@pytest.mark.parametrize("state", [one for one in ComparisonState if one is not ComparisonState.RUNNING])
def test_nothing_is_written_once_another_ended_the_comparison(
    engine: Engine, watch: ResourceWatch, machine: Machine, state: ComparisonState
) -> None:
    set_state(engine, state)
    machine.work(2.0, 1.0)
    watch.look()
    assert points(engine) == []


def test_nothing_is_written_once_the_comparison_was_deleted(
    engine: Engine, watch: ResourceWatch, machine: Machine
) -> None:
    with writing(engine) as connection:
        connection.execute(delete(comparisons))
    machine.work(2.0, 1.0)
    watch.look()
    assert points(engine) == []


@pytest.fixture
def failing(engine: Engine) -> Iterator[threading.Event]:
    """While it is set, no event can be written."""
    is_failing = threading.Event()

    def refuse(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if is_failing.is_set() and statement.startswith("INSERT"):
            raise OperationalError(statement, {}, Exception("database or disk is full"))

    event.listen(engine, "before_cursor_execute", refuse)
    yield is_failing
    event.remove(engine, "before_cursor_execute", refuse)


def test_a_point_that_cannot_be_written_is_lost_and_the_next_one_is_its_own(
    engine: Engine, watch: ResourceWatch, machine: Machine, failing: threading.Event
) -> None:
    failing.set()
    machine.work(2.0, 2.0)
    watch.look()
    failing.clear()
    machine.work(2.0, 1.0)
    watch.look()
    assert [(one["interval_s"], one["cores_busy"]) for one in points(engine)] == [(2.0, 0.5)]


def test_its_thread_measures_and_ends_with_the_job(engine: Engine, process: str) -> None:
    looked = threading.Event()
    reads = 0

    def read() -> Usage:
        nonlocal reads
        reads += 1
        if reads > 2:
            looked.set()
        return Usage(float(reads), 100, None)

    with ResourceWatch(engine, "c", process, look_interval_s=0.001, read=read) as watch:
        assert looked.wait(60)
    assert not any(thread.name == "resources" for thread in threading.enumerate())
    assert watch._thread.daemon
    found = read_events(engine, "c", limit=100_000)
    assert [one.sequence for one in found] == list(range(1, len(found) + 1))
    assert len(found) >= 1


def test_this_process_has_used_time_and_holds_memory() -> None:
    held = bytearray(1)
    before = read_usage()
    held = bytearray(b"x" * 64_000_000)
    after = read_usage()
    assert 0 < before.cpu_s < after.cpu_s
    assert before.resident_bytes is not None
    assert after.resident_bytes is not None
    assert after.resident_bytes - before.resident_bytes > len(held) // 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only this process is measured")
def test_processes_that_it_started_count_while_they_run_and_afterwards() -> None:
    before = read_usage()
    started = "input(print(sum(range(10**7))))"
    starts = f"import subprocess; subprocess.run([{sys.executable!r}, '-u', '-c', {started!r}])"
    command = [sys.executable, "-c", starts]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        during = read_usage()
        process.communicate(b"\n")
    after = read_usage()
    assert before.cpu_s + 0.05 < during.cpu_s <= after.cpu_s + 0.02  # in ticks of 10 ms
    assert (during.resident_bytes or 0) > (before.resident_bytes or 0) + 8_000_000


def test_a_system_without_statm_has_no_known_memory(tmp_path: Path) -> None:
    assert resident_bytes(tmp_path / "statm") is None
    (tmp_path / "statm").write_text("1")
    assert resident_bytes(tmp_path / "statm") is None


def cuda(*, is_initialized: bool) -> SimpleNamespace:
    held = [5_000, 700]
    return SimpleNamespace(
        is_initialized=lambda: is_initialized, device_count=lambda: len(held), memory_reserved=held.__getitem__
    )


@pytest.mark.parametrize(
    ("torch", "expected"),
    [
        (None, None),
        (SimpleNamespace(), None),
        (SimpleNamespace(cuda=SimpleNamespace()), None),
        (SimpleNamespace(cuda=cuda(is_initialized=False)), None),
        (SimpleNamespace(cuda=cuda(is_initialized=True)), 5_700),
    ],
)
def test_gpu_memory_is_that_of_all_devices_and_asks_nothing_of_a_torch_without_them(
    torch: object, expected: int | None
) -> None:
    assert gpu_bytes(torch) == expected
