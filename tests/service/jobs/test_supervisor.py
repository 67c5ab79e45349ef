"""Supervising with processes that are three lines long."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock
from service.jobs.job import JobEnd
from service.jobs.stage_budget import START, StageBudget
from service.jobs.supervisor import MAX_CRASHES, SignsOfLife, Supervisor
from service.store.comparisons.comparison_store import (
    create_comparison,
    find_comparison,
    request_cancel,
    resume_comparison,
    set_state,
)
from service.store.comparisons.events import read_events
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import FRESHNESS_RUN, answer_blocks
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
        create_dataset_and_comparison(engine, dataset_of(6))
        with writing(engine) as connection:
            set_state(connection, COMPARISON, ComparisonState.RUNNING, expected=IN_PROGRESS)
        self.supervisor = Supervisor(engine, self.directory, command=self._command)

    def _command(self, comparison_id: str, shows_life: int) -> list[str | Path]:
        program = STARTED + f"life = {shows_life};" + self.program
        return [sys.executable, "-S", "-c", program, comparison_id, self.starts]

    def bound(self, seconds: float) -> None:
        """Let jobs show no life for so long at most, whatever their stage."""
        budgets = {name: StageBudget(seconds, f"at {name}", "see to it") for name in (START, "tune")}
        self.supervisor = Supervisor(self.engine, self.directory, command=self._command, budgets=budgets)

    @property
    def n_starts(self) -> int:
        return self.starts.read_text().count("started") if self.starts.exists() else 0

    @property
    def state(self) -> str:
        return find_comparison(self.engine, COMPARISON).state

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.supervisor.run, args=(COMPARISON,))
        thread.start()
        while not self.n_starts:
            time.sleep(0.01)
        return thread


@pytest.fixture
def supervised(engine: Engine, tmp_path: Path) -> Supervised:
    return Supervised(engine, tmp_path)


@pytest.mark.parametrize(
    ("program", "told"), [("import os; os.kill(os.getpid(), 9)", "SIGKILL"), ("sys.exit(1)", "exit code 1")]
)
def test_a_job_that_crashes_is_started_again_and_given_up_with_a_next_step(
    supervised: Supervised, caplog: pytest.LogCaptureFixture, program: str, told: str
) -> None:
    supervised.program = program
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == MAX_CRASHES + 1
    assert supervised.state == "failed"
    error = find_comparison(supervised.engine, COMPARISON).error
    assert error is not None
    assert told in error
    assert str(supervised.directory.root) not in error
    assert f"see {supervised.directory.log(COMPARISON)}" in caplog.text
    assert "resume" in error


def test_a_defect_of_ours_ends_it_at_once_and_stands_in_the_log(supervised: Supervised) -> None:
    supervised.program = f"print('ZeroDivisionError: ours'); sys.exit({JobEnd.DEFECT.value})"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    assert supervised.state == "failed"
    error = find_comparison(supervised.engine, COMPARISON).error
    assert error is not None
    assert "internal error" in error
    assert "ZeroDivision" not in error
    assert "ZeroDivisionError: ours" in supervised.directory.log(COMPARISON).read_text()


@pytest.mark.parametrize(("moves", "n_starts"), [(False, 3), (True, 6)])
def test_interruptions_in_a_row_end_it_unless_answers_came_between(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch, moves: bool, n_starts: int
) -> None:
    monkeypatch.setattr("service.jobs.supervisor.MAX_INTERRUPTIONS", 2)
    monkeypatch.setattr("service.jobs.supervisor.LONGEST_PAUSE_S", 0.01)

    def command(comparison_id: str, shows_life: int) -> list[str | Path]:
        if moves and supervised.n_starts in (1, 2, 3):
            row = {"stage": "s", "block": str(supervised.n_starts), "answers": "{}", "wall_s": 0.0, "created_at": 0.0}
            with writing(supervised.engine) as connection:
                connection.execute(insert(answer_blocks).values(row))
        return supervised._command(comparison_id, shows_life)

    supervised.program = f"sys.exit({JobEnd.INTERRUPTED.value})"
    supervised.supervisor = Supervisor(supervised.engine, supervised.directory, command=command)
    supervised.supervisor.run(COMPARISON)
    assert (supervised.state, supervised.n_starts) == ("failed", n_starts)
    assert "the disk is full" in str(find_comparison(supervised.engine, COMPARISON).error)


def test_a_job_is_given_no_secret_that_its_comparison_does_not_need(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "TUNING_FORK_API_KEY", "TOGETHER_API_KEY", "WEBHOOK_SECRET", "HTTP_PROXY"):
        monkeypatch.setenv(name, "given")
    supervised.program = "import os; print(*sorted(n for n in os.environ if os.environ[n] == 'given')); sys.exit(13)"
    supervised.supervisor.run(COMPARISON)
    assert supervised.directory.log(COMPARISON).read_text().split() == ["HTTP_PROXY"]
    # Whoever asks the arms of a comparison needs what that needs.
    hosted = {"dataset": "x", "model": "openai:gpt-4o"}
    for one, settings in (("hosted", hosted), (f"{FRESHNESS_RUN}1", {"comparison_id": "hosted"})):
        create_comparison(supervised.engine, comparison_id=one, name="n", dataset="x", settings=settings)
    supervised.supervisor.run(f"{FRESHNESS_RUN}1")
    assert supervised.directory.log(f"{FRESHNESS_RUN}1").read_text().split() == ["HTTP_PROXY", "OPENAI_API_KEY"]


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
    monkeypatch.setattr("service.jobs.supervisor.CANCEL_GRACE_S", 0.0)
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


def test_a_comparison_is_worked_on_once_in_a_process(supervised: Supervised) -> None:
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    supervised.supervisor.park(grace_s=0)
    thread.join()


def test_a_job_that_finds_another_at_work_leaves_the_comparison_to_it(supervised: Supervised) -> None:
    supervised.program = f"sys.exit({JobEnd.SUPERSEDED.value})"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    assert supervised.state == "running"


def test_a_job_that_moves_nothing_is_ended_and_says_at_which_stage(supervised: Supervised) -> None:
    supervised.bound(0.0)
    supervised.program = "import os, time; os.write(life, b'start\\ntune\\n'); time.sleep(600)"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 1
    assert supervised.state == "failed"
    error = find_comparison(supervised.engine, COMPARISON).error
    assert error is not None
    assert error.startswith("nothing moved for 0 s while at tune, so that its job was ended; see to it; ")
    assert "resume" in error
    resume_comparison(supervised.engine, COMPARISON)
    supervised.program = f"sys.exit({JobEnd.SUPERSEDED.value})"
    supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 2


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_a_frozen_job_whose_comparison_another_service_took_over_fails_nothing(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.jobs.comparison_lock.TAKING_S", 0.0)
    supervised.bound(0.0)
    supervised.program = (
        f"import os, sys, time; len(sys.argv) > 3 and sys.exit({JobEnd.SUPERSEDED.value}); time.sleep(600)"
    )
    command = supervised._command
    supervised.supervisor._command = lambda name, life: [*command(name, life), *(["again"] * (supervised.n_starts > 0))]
    with ComparisonLock(supervised.engine, COMPARISON):
        supervised.supervisor.run(COMPARISON)
    assert supervised.n_starts == 2
    assert supervised.state == "running"
    assert "another service runs it" in caplog.text


def test_a_job_that_was_cancelled_and_moves_nothing_is_cancelled(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.jobs.supervisor.CANCEL_GRACE_S", 3600.0)
    supervised.bound(3600.0)
    supervised.program = "import time; time.sleep(600)"
    thread = supervised.start()
    noticed = threading.Event()
    monkeypatch.setattr(SignsOfLife, "look", lambda signs: StageBudget(0.0, "", "") if noticed.is_set() else None)
    monkeypatch.setattr(supervised.supervisor, "_is_cancelled", lambda comparison_id: noticed.set() or True)
    request_cancel(supervised.engine, COMPARISON)
    thread.join()
    assert supervised.state == "cancelled"


class Looks:
    """Signs of life that are looked at when a test says so, with a second between two looks."""

    def __init__(self) -> None:
        self.life, self.shows_life = os.pipe()
        self.now = 0.0
        self.budgets = {START: StageBudget(10.0, "", ""), "answer": StageBudget(100.0, "", "")}
        self.signs = SignsOfLife(self.life, self.budgets, clock=lambda: self.now)

    def after(self, seconds: int, shown: bytes = b"") -> StageBudget | None:
        os.write(self.shows_life, shown)
        found = None
        for _ in range(seconds):
            self.now += 1.0
            found = self.signs.look()
        return found


@pytest.fixture
def looks() -> Iterator[Looks]:
    looks = Looks()
    yield looks
    os.close(looks.life)
    os.close(looks.shows_life)


def test_a_slow_job_that_moves_now_and_then_is_not_overdue(looks: Looks) -> None:
    for _ in range(3):
        assert looks.after(90, b"index\nanswer\n") is None
    assert looks.after(11) is None
    assert looks.after(1) is looks.budgets["answer"]


def test_a_stage_without_a_budget_has_that_of_the_start(looks: Looks) -> None:
    assert looks.after(10) is None
    assert looks.after(11, b"new\n") is None
    assert looks.after(1) is looks.budgets[START]


def test_time_in_which_nobody_looked_does_not_count(looks: Looks) -> None:
    assert looks.after(1, b"answer\n") is None
    looks.now += 100_000.0
    assert looks.after(30) is None
    assert looks.after(20) is looks.budgets["answer"]
