"""What a comparison left in the database and on the disk: deleted with it, where no other comparison rests on it."""

import json
import shutil

from sqlalchemy import Connection, Engine, delete, or_, select

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import (
    ComparisonConflictError,
    delete_comparison,
    find_comparison,
    list_comparisons,
)
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.stages.recorded_stages import forget_stages
from service.store.tables import FRESHNESS_RUN, answer_blocks, comparisons, events
from service.store.workspaces import EVERY_WORKSPACE

_ALL = 1_000_000


def remove_comparison(engine: Engine, directory: DataDirectory, comparison_id: str) -> None:
    """Delete a comparison with everything that was made for it alone: rows, answers, index, adapters, reports, log.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        ComparisonConflictError: it is not over, a freshness run on it is not, or a baseline or deployment rests on it.
    """
    of = {"comparison_id": comparison_id}
    runs, _ = list_comparisons(engine, side_run=FRESHNESS_RUN, settings=of, limit=_ALL)
    if unfinished := next((run.id.partition(":")[2] for run in runs if not run.state.is_final), None):
        raise ComparisonConflictError(f"the freshness run {unfinished} asks its arms; cancel that first")
    run_id = own_run(engine, comparison_id)
    stages = own_answers(engine, comparison_id)
    delete_comparison(engine, comparison_id)
    with writing(engine) as connection:
        connection.execute(delete(answer_blocks).where(answer_blocks.c.stage.in_(stages)))
    remove_run(directory, run_id)
    directory.log(comparison_id).unlink(missing_ok=True)
    for run in runs:
        remove_comparison(engine, directory, run.id)


def own_run(engine: Engine, comparison_id: str) -> str | None:
    """The run that only this comparison rests on; None where there is none, or another's it may be.

    A run is named by what it measures, so that equal comparisons share it, and one that still waits or runs on the same
    data may come to.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    return find_comparison(engine, comparison_id).run_id if _is_alone(engine, comparison_id) else None


def own_answers(engine: Engine, comparison_id: str) -> set[str]:
    """Stages of answers that no other comparison asked for, by what their events tell; none where another may come to.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    if not _is_alone(engine, comparison_id):
        return set()
    with engine.connect() as connection:
        own, others = answer_stages(connection, {comparison_id})
    return own - others


def answer_stages(connection: Connection, comparison_ids: set[str]) -> tuple[set[str], set[str]]:
    """The stages of answers that these comparisons asked for, and those that all others did, of any workspace."""
    telling = (
        select(events.c.comparison_id, events.c.data)
        .where(events.c.type.in_(("block", "progress")), events.c.data.contains('"key": "', autoescape=True))
        .execution_options(**EVERY_WORKSPACE)
    )
    own: set[str] = set()
    others: set[str] = set()
    for comparison_id, data in connection.execute(telling):
        (own if comparison_id in comparison_ids else others).add(json.loads(data)["key"])
    return own, others


def remove_run(directory: DataDirectory, run_id: str | None) -> None:
    """Remove the folder of a run and the indexes and adapters that no other run was measured with."""
    if run_id is not None:
        forget_stages(run_id, directory)
        shutil.rmtree(directory.comparison(run_id), ignore_errors=True)


def _is_alone(engine: Engine, comparison_id: str) -> bool:
    """Whether no other comparison, of any workspace, has the same run or may come to it."""
    stored = find_comparison(engine, comparison_id)
    in_progress = (comparisons.c.dataset == stored.dataset) & comparisons.c.state.in_(
        [state for state in ComparisonState if not state.is_final]
    )
    same_run = comparisons.c.run_id == stored.run_id if stored.run_id is not None else in_progress
    others = select(comparisons.c.id).where(comparisons.c.id != comparison_id, or_(in_progress, same_run)).limit(1)
    with engine.connect() as connection:
        return connection.execute(others.execution_options(**EVERY_WORKSPACE)).first() is None
