"""Side runs: rows like those of comparisons, worked on by the same jobs, each with a result of its own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select, update

from service.contract.comparison_state import ComparisonState
from service.run.progress import OnProgress
from service.store.comparisons.comparison_store import StoredComparison, keep_files, set_state
from service.store.data_directory import DataDirectory
from service.store.database import patiently, writing
from service.store.key_budget import KeyBudget
from service.store.tables import FRESHNESS_RUN, QUESTION_RUN, comparisons, report_files
from service.store.workspaces import in_workspace


@dataclass(frozen=True)
class SideRun:
    """One run at work.

    Attributes:
        engine: The database as the workspace of the row sees it.
        budget: Of the key that pays; None where no key does.
    """

    engine: Engine
    directory: DataDirectory
    row: StoredComparison
    budget: KeyBudget | None
    on_progress: OnProgress

    def file(self, name: str) -> bytes | None:
        """What was sent with the run under a name."""
        return _file(self.engine, self.row.id, name)


@dataclass(frozen=True, slots=True)
class SideResult:
    """What a run came to.

    Attributes:
        run_id: Names what it made: a version of a dataset, or the stages that are noted as its own.
        content: JSON.
    """

    run_id: str
    content: bytes


Work = Callable[[SideRun], SideResult]


RESULT_FILES: Mapping[str, str] = {QUESTION_RUN: "questions-made.json", FRESHNESS_RUN: "freshness.json"}
"""By the beginning of their ids: each kind of run, and the file that its result is kept in."""


def side_kind(run_id: str) -> str:
    """Which kind of run the id of a row names; "" where it is a comparison's."""
    kind = run_id[: run_id.find(":") + 1]
    return kind if kind in RESULT_FILES else ""


def work_on(
    engine: Engine, directory: DataDirectory, run: StoredComparison, on_progress: OnProgress, work: Work | None = None
) -> None:
    """Do what a run asks for, and keep its result, which ends it. A second start begins anew.

    Args:
        work: In place of what its kind does, for tests.

    Raises:
        TuningForkError: as the work does.
    """
    with engine.connect() as connection:
        whose = connection.execute(select(comparisons.c.workspace).where(comparisons.c.id == run.id)).scalar_one()
    # What is read and made is of the workspace of who asked for it.
    engine = in_workspace(engine, whose)
    budget = KeyBudget(engine, run.made_by) if run.made_by is not None else None
    result = (work or _work_of(run.id))(SideRun(engine, directory, run, budget, on_progress))

    def end() -> None:
        with writing(engine) as connection:
            if set_state(connection, run.id, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING]):
                connection.execute(update(comparisons).where(comparisons.c.id == run.id).values(run_id=result.run_id))
                keep_files(connection, run.id, {RESULT_FILES[side_kind(run.id)]: result.content})

    patiently(end)


def read_side_result(engine: Engine, run_id: str) -> dict[str, Any] | None:
    """What a finished run came to; None where it is not finished."""
    content = _file(engine, run_id, RESULT_FILES[side_kind(run_id)])
    return None if content is None else json.loads(content)


def _work_of(run_id: str) -> Work:
    if side_kind(run_id) == QUESTION_RUN:
        from service.run.question_run import write_questions

        return write_questions
    from service.run.finished.freshness_run import run_freshness

    return run_freshness


def _file(engine: Engine, run_id: str, name: str) -> bytes | None:
    named = select(report_files.c.content).where(report_files.c.comparison_id == run_id, report_files.c.name == name)
    with engine.connect() as connection:
        return connection.execute(named).scalar()
