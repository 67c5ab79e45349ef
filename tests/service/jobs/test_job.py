import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import OperationalError

from lm.completion import Messages
from lm.errors import LanguageModelError
from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock, held_keys
from service.jobs.job import JobEnd, run_job
from service.jobs.job_watch import JobWatch
from service.store.comparisons.comparison_store import find_comparison, request_cancel, resume_comparison
from service.store.comparisons.events import read_events
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import answer_blocks, comparisons, report_files
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of
from tests.postgres import end_lock_holders

if TYPE_CHECKING:
    from conftest import Workplace

N_BLOCKS = 6  # two of each of base, few-shot and majority


class Jobs:
    """A comparison in a database, and jobs that work on it in this process."""

    def __init__(self, engine: Engine, root: Path, workplace: "Workplace") -> None:
        self.engine = engine
        self.root = root
        self.workplace = workplace
        create_dataset_and_comparison(engine, dataset_of(90), arms=("base", "few-shot"))

    def run(self, watch: JobWatch | None = None) -> JobEnd:
        directory = DataDirectory(self.root / "home")
        return run_job(self.engine, directory, COMPARISON, self.workplace.compose, lambda *_: "scripted", watch=watch)

    @property
    def state(self) -> ComparisonState:
        return find_comparison(self.engine, COMPARISON).state

    @property
    def error(self) -> str | None:
        return find_comparison(self.engine, COMPARISON).error

    def blocks(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(answer_blocks.c.stage, answer_blocks.c.block, answer_blocks.c.answers))
            return {f"{stage}/{block}": answers for stage, block, answers in rows}

    def report_names(self) -> set[str]:
        with self.engine.connect() as connection:
            return set(connection.execute(select(report_files.c.name)).scalars())

    def at_call(self, n: int, do: Callable[[], None]) -> None:
        """Do something while the n-th question is answered."""
        answer, n_asked = self.workplace.answer, 0

        def answer_and_do(prompt: Messages) -> str:
            nonlocal n_asked
            n_asked += 1
            if n_asked == n:
                do()
            return answer(prompt)

        self.workplace.answer = answer_and_do


@pytest.fixture
def jobs(engine: Engine, tmp_path: Path, workplace: "Workplace") -> Jobs:
    return Jobs(engine, tmp_path, workplace)


def failing_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_job_ends_with_all_reports_in_the_database_and_nothing_held(jobs: Jobs) -> None:
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "succeeded"
    assert jobs.report_names() == {
        "report.json", "report.md", "report.html", "junit.xml", "results.jsonl", "settings.json", "decision.json",
    }  # fmt: skip
    assert len(jobs.blocks()) == N_BLOCKS
    assert held_keys(jobs.engine) == frozenset()


def test_its_events_tell_states_and_blocks_with_scores(jobs: Jobs) -> None:
    jobs.run()
    events = read_events(jobs.engine, COMPARISON)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.data["state"] for event in events if event.type == "state"] == ["queued", "running", "succeeded"]
    blocks = [(event.data["arm"], event.data["done"], event.data["score"]) for event in events if event.type == "block"]
    assert [(arm, done) for arm, done, _ in blocks] == [
        (arm, done) for arm in ("base", "few-shot", "majority") for done in (0, 64, 90)
    ]
    assert {arm: score for arm, _, score in blocks}["few-shot"] == 0.5


def test_a_finished_comparison_is_left_as_it_is(jobs: Jobs) -> None:
    jobs.run()
    n_events = len(read_events(jobs.engine, COMPARISON))
    assert jobs.run() is JobEnd.OVER
    assert len(read_events(jobs.engine, COMPARISON)) == n_events


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "the GPU's memory was too small"),
    ],
)
def test_a_job_that_needs_more_memory_than_there_is_fails_with_what_to_do(
    jobs: Jobs, error: Exception, told: str
) -> None:
    jobs.at_call(100, failing_with(error))
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "failed"
    assert (jobs.error or "").startswith(f"{told}; take a smaller model or --batch-size")


def test_what_the_user_must_mend_is_told_and_the_rest_kept(jobs: Jobs) -> None:
    jobs.at_call(100, failing_with(LanguageModelError("the endpoint says no")))
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "failed"
    assert jobs.error is not None
    assert jobs.error.startswith("the endpoint says no (arm few-shot")
    assert len(jobs.blocks()) == 2
    assert held_keys(jobs.engine) == frozenset()


def test_what_is_told_of_a_failure_names_no_place_on_this_machine(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    place = jobs.root / "home" / "stages" / "index"
    jobs.at_call(1, failing_with(LanguageModelError(f"the index at {place} cannot be read")))
    assert jobs.run() is JobEnd.OVER
    assert jobs.error is not None
    assert jobs.error.startswith("the index at stages/index cannot be read")
    assert str(place) in caplog.text


def test_a_cancelled_job_ends_after_the_block_it_is_at_and_can_go_on(jobs: Jobs) -> None:
    jobs.at_call(70, lambda: request_cancel(jobs.engine, COMPARISON) and None)
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "cancelled"
    kept = jobs.blocks()
    assert len(kept) == 2
    resume_comparison(jobs.engine, COMPARISON)
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "succeeded"
    assert kept.items() < jobs.blocks().items()


def test_a_parked_job_leaves_the_comparison_to_the_next_start(jobs: Jobs) -> None:
    watch = JobWatch(jobs.engine, COMPARISON)
    jobs.at_call(1, watch.park)
    assert jobs.run(watch) is JobEnd.PARKED
    assert jobs.state == "running"
    assert len(jobs.blocks()) == 1
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "succeeded"


def test_a_job_whose_comparison_was_deleted_ends(jobs: Jobs) -> None:
    def delete_it() -> None:
        with writing(jobs.engine) as connection:
            connection.execute(delete(comparisons))

    jobs.at_call(1, delete_it)
    assert jobs.run() is JobEnd.OVER


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
    ],
)
def test_a_full_disk_is_waited_out(jobs: Jobs, error: Exception) -> None:
    jobs.at_call(70, failing_with(error))
    assert jobs.run() is JobEnd.INTERRUPTED
    assert jobs.state == "running"
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "succeeded"


def test_a_defect_of_ours_is_not_taken_for_anything_else(jobs: Jobs) -> None:
    jobs.at_call(1, failing_with(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        jobs.run()


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_what_another_process_works_on_is_left_to_it(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.jobs.comparison_lock.TAKING_S", 0.0)
    with ComparisonLock(jobs.engine, COMPARISON):
        assert jobs.run() is JobEnd.SUPERSEDED
    assert jobs.state == "queued"
    assert jobs.blocks() == {}
    assert jobs.run() is JobEnd.OVER
    assert jobs.state == "succeeded"


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_a_job_that_lost_its_comparison_ends_and_tells_nothing_more(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restart of the server, or a freeze, when another process was quicker."""
    monkeypatch.setattr("service.jobs.comparison_lock.TAKING_S", 0.0)
    monkeypatch.setattr("service.jobs.comparison_lock.PING_S", 3600.0)
    heirs: list[ComparisonLock] = []

    def take_over() -> None:
        end_lock_holders(jobs.engine)
        heirs.append(ComparisonLock(jobs.engine, COMPARISON).__enter__())
        monkeypatch.setattr("service.jobs.comparison_lock.PING_S", -1.0)

    jobs.at_call(70, take_over)
    assert jobs.run() is JobEnd.SUPERSEDED
    heirs[0].__exit__(None, None, None)
    assert jobs.state == "running"
    # The block that it had in hand is kept: the first commit wins, and it was the first.
    assert len(jobs.blocks()) == 2
    assert "another process runs it" in caplog.text


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_a_job_that_lost_its_comparison_and_fails_does_not_fail_it(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.jobs.comparison_lock.TAKING_S", 0.0)
    monkeypatch.setattr("service.jobs.comparison_lock.PING_S", 3600.0)
    heirs: list[ComparisonLock] = []

    def lose_and_fail() -> None:
        end_lock_holders(jobs.engine)
        heirs.append(ComparisonLock(jobs.engine, COMPARISON).__enter__())
        monkeypatch.setattr("service.jobs.comparison_lock.PING_S", -1.0)
        raise LanguageModelError("this machine has no such model")

    jobs.at_call(70, lose_and_fail)
    assert jobs.run() is JobEnd.SUPERSEDED
    heirs[0].__exit__(None, None, None)
    assert jobs.state == "running"
    assert jobs.error is None
