"""Supervising with processes that are three lines long."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, literal, select

from service.comparison_state import ComparisonState
from service.comparison_store import find_comparison, request_cancel, resume_comparison, set_state
from service.data_directory import DataDirectory
from service.database import writing
from service.events import read_events
from service.job import JobEnd
from service.lease import claim, held_units
from service.supervisor import MAX_CRASHES, Supervisor
from service.tables import comparisons
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of

STARTED = "import sys, pathlib; pathlib.Path(sys.argv[2]).open('a').write('started\\n');"
IN_PROGRESS = [ComparisonState.QUEUED, ComparisonState.RUNNING]


class Supervised:
    """A comparison whose job is a line of Python."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.directory = DataDirectory(root / "home")
        self.starts = root / "starts"
        self.program = ""
        self.helped: list[bool] = []
        create_dataset_and_comparison(engine, dataset_of(6))
        with writing(engine) as connection:
            set_state(connection, COMPARISON, ComparisonState.RUNNING, expected=IN_PROGRESS)
        self.supervisor = Supervisor(engine, self.directory, command=self._command)

    def _command(self, comparison_id: str, helps: bool) -> list[str | Path]:
        self.helped.append(helps)
        return [sys.executable, "-S", "-c", STARTED + self.program, comparison_id, self.starts]

    @property
    def n_starts(self) -> int:
        return self.starts.read_text().count("started") if self.starts.exists() else 0

    @property
    def state(self) -> str:
        return find_comparison(self.engine, COMPARISON).state

    def start(self, *, helps: bool = False) -> threading.Thread:
        work = self.supervisor.help if helps else self.supervisor.run
        thread = threading.Thread(target=work, args=(COMPARISON,))
        thread.start()
        while not self.n_starts:
            time.sleep(0.01)
        return thread


@pytest.fixture
def supervised(engine: Engine, tmp_path: Path) -> Supervised:
    return Supervised(engine, tmp_path)


def test_a_job_that_crashes_is_started_again_and_given_up_with_a_next_step(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervised.program = "import os; os.kill(os.getpid(), 9)"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == MAX_CRASHES + 1
    assert supervised.state == "failed"
    error = find_comparison(supervised.engine, COMPARISON).error
    assert error is not None
    assert "SIGKILL" in error
    assert str(supervised.directory.root) not in error
    assert f"see {supervised.supervisor.log_file(COMPARISON)}" in caplog.text
    assert "resume" in error


def test_a_defect_of_ours_ends_it_at_once_and_stands_in_the_log(supervised: Supervised) -> None:
    supervised.program = "raise ZeroDivisionError('ours')"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    assert supervised.state == "failed"
    error = find_comparison(supervised.engine, COMPARISON).error
    assert error is not None
    assert "internal error" in error
    assert "ZeroDivision" not in error
    assert "ZeroDivisionError: ours" in supervised.supervisor.log_file(COMPARISON).read_text()


def test_a_comparison_that_is_over_starts_nothing(supervised: Supervised) -> None:
    with writing(supervised.engine) as connection:
        set_state(connection, COMPARISON, ComparisonState.SUCCEEDED, expected=IN_PROGRESS)
    supervised.supervisor.run(COMPARISON)
    supervised.supervisor.run("deleted")
    assert supervised.n_starts == 0


def test_parking_stops_the_job_and_queues_the_comparison_again(supervised: Supervised) -> None:
    supervised.program = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({JobEnd.PARKED.value}))
time.sleep(600)"""
    thread = supervised.start()
    supervised.supervisor.park(grace_s=60)
    thread.join()
    assert supervised.state == "queued"
    assert supervised.supervisor.running == frozenset()


def test_a_job_that_will_not_park_is_ended_after_the_grace(supervised: Supervised) -> None:
    supervised.program = "\nimport signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    thread = supervised.start()
    supervised.supervisor.park(grace_s=0)
    thread.join()
    assert supervised.state == "queued"


def test_a_job_deaf_to_cancelling_is_ended_after_the_grace(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.supervisor.CANCEL_GRACE_S", 0.0)
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    request_cancel(supervised.engine, COMPARISON)
    thread.join()
    assert supervised.state == "cancelled"
    assert [event.data["state"] for event in read_events(supervised.engine, COMPARISON)][-1] == "cancelled"


def test_a_comparison_resumed_before_its_cancelled_job_had_ended_goes_on(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = threading.Event()

    def notice(comparison_id: str) -> bool:
        cancelled = find_comparison(supervised.engine, comparison_id).cancel_requested
        if cancelled:
            noticed.set()
        return cancelled

    monkeypatch.setattr(supervised.supervisor, "_is_cancelled", notice)
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    request_cancel(supervised.engine, COMPARISON)
    noticed.wait()
    with writing(supervised.engine) as connection:
        set_state(connection, COMPARISON, ComparisonState.CANCELLED, expected=IN_PROGRESS)
    resume_comparison(supervised.engine, COMPARISON)
    (process,) = supervised.supervisor._processes()
    process.kill()
    while supervised.n_starts < 2:
        time.sleep(0.01)
    assert supervised.state == "queued"
    supervised.supervisor.park(grace_s=0)
    thread.join()


def test_what_a_dead_job_held_is_free_at_once(supervised: Supervised) -> None:
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    (process,) = supervised.supervisor._processes()
    claim(supervised.engine, "block/1", f"{supervised.directory.identity}/{process.pid}/x")
    claim(supervised.engine, "block/2", "another home/1/x")
    with writing(supervised.engine) as connection:
        set_state(connection, COMPARISON, ComparisonState.SUCCEEDED, expected=IN_PROGRESS)
    os.kill(process.pid, signal.SIGKILL)
    thread.join()
    assert held_units(supervised.engine, "block/") == ["block/2"]


def test_a_comparison_is_worked_on_once_in_a_process(supervised: Supervised) -> None:
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    supervised.supervisor.park(grace_s=0)
    thread.join()


@pytest.mark.parametrize(
    "program", [f"sys.exit({JobEnd.UNABLE.value})", "raise ZeroDivisionError", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_helper_that_fails_leaves_the_comparison_to_who_has_it(
    supervised: Supervised, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    supervised.program = program
    assert supervised.supervisor.can_help(COMPARISON)
    supervised.supervisor.help(COMPARISON)
    assert supervised.state == "running"
    assert [record.fields["comparison_id"] for record in caplog.records] == [COMPARISON]  # type: ignore[attr-defined]
    assert "help ended" in caplog.text
    assert not supervised.supervisor.can_help(COMPARISON)
    supervised.supervisor.help(COMPARISON)
    assert supervised.n_starts == 1


def test_a_helper_that_no_process_can_be_started_for_is_no_failure_either(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervised.supervisor = Supervisor(supervised.engine, supervised.directory, command=lambda *_: ["/nowhere/at/all"])
    supervised.supervisor.help(COMPARISON)
    assert supervised.state == "running"
    assert "broke off" in caplog.text


def test_who_could_not_help_fails_the_comparison_once_it_is_its_own(supervised: Supervised) -> None:
    supervised.program = "sys.exit(1)"
    supervised.supervisor.help(COMPARISON)
    supervised.supervisor.run(COMPARISON)
    assert supervised.state == "failed"
    assert supervised.helped == [True, False]


def test_a_help_makes_room_for_a_job_of_ones_own(supervised: Supervised) -> None:
    with writing(supervised.engine) as connection:
        columns = [column.name for column in comparisons.c if column.name != "id"]
        copied = select(literal("mine"), *(comparisons.c[name] for name in columns))
        connection.execute(insert(comparisons).from_select(["id", *columns], copied))
    supervised.program = "import os, time; sys.argv[1] == 'mine' and sys.exit(1); time.sleep(600)"
    helping = supervised.start(helps=True)
    assert not supervised.supervisor.can_help("mine")
    supervised.supervisor.run("mine")
    helping.join()
    assert find_comparison(supervised.engine, "mine").state == "failed"
    assert supervised.state == "running"
    # It made room and did not fail, so that it may help again.
    assert supervised.supervisor.can_help(COMPARISON)


def test_what_is_helped_and_becomes_ones_own_is_worked_on_as_ones_own(supervised: Supervised) -> None:
    supervised.program = "import time; sys.argv[3] == 'own' and sys.exit(1); time.sleep(600)"
    command = supervised._command
    supervised.supervisor._command = lambda name, helps: [*command(name, helps), "help" if helps else "own"]
    helping = supervised.start(helps=True)
    supervised.supervisor.run(COMPARISON)
    helping.join()
    assert supervised.helped == [True, False]
    assert supervised.state == "failed"
