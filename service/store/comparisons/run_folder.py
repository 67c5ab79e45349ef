"""What a comparison left in the database and on the disk: deleted with it, where no other comparison rests on it."""

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, case, delete, or_, select

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import (
    SENT_FILES,
    ComparisonConflictError,
    StoredComparison,
    delete_comparison,
    find_comparison,
    list_comparisons,
)
from service.store.data_directory import SETTINGS_FILE, DataDirectory
from service.store.database import writing
from service.store.stages.recorded_stages import forget_stages
from service.store.tables import FRESHNESS_RUN, answer_blocks, comparisons, events
from service.store.workspaces import EVERY_WORKSPACE

_UNFINISHED = [state for state in ComparisonState if not state.is_final]
_ALL = 1_000_000


def remove_comparison(engine: Engine, directory: DataDirectory, comparison_id: str) -> None:
    """Delete a comparison with everything that was made for it alone.

    That is rows, answers, index, adapters, reports, copies of files that it read, and log.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        ComparisonConflictError: it is not over, a freshness run on it is not, or a baseline or deployment rests on it.
    """
    of = {"comparison_id": comparison_id}
    runs, _ = list_comparisons(engine, side_run=FRESHNESS_RUN, settings=of, limit=_ALL)
    if unfinished := next((run.id.partition(":")[2] for run in runs if not run.state.is_final), None):
        raise ComparisonConflictError(f"the freshness run {unfinished} asks its arms; cancel that first")
    stored = find_comparison(engine, comparison_id, sent_files=True)
    is_alone = _is_alone(engine, stored)
    stages = _own_answers(engine, comparison_id) if is_alone else set()
    delete_comparison(engine, comparison_id)
    with writing(engine) as connection:
        connection.execute(delete(answer_blocks).where(answer_blocks.c.stage.in_(stages)))
    if is_alone and stored.run_id is not None:
        remove_run(directory, stored.run_id)
    _remove_inputs(engine, directory, _named_inputs(stored.settings) | _sent_inputs(directory, stored.settings))
    directory.log(comparison_id).unlink(missing_ok=True)
    for run in runs:
        remove_comparison(engine, directory, run.id)


def _own_answers(engine: Engine, comparison_id: str) -> set[str]:
    """Stages of answers that no other comparison asked for, by what their events tell."""
    with engine.connect() as connection:
        own, others = answer_stages(connection, {comparison_id})
    return own - others


def _named_inputs(settings: Mapping[str, Any] | str) -> set[str]:
    """Names of the copies of files that settings name, as they are stored or read."""
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return set(re.findall(r"/inputs/([0-9a-f]{64}[.\w]*)", text))


def _sent_inputs(directory: DataDirectory, settings: Mapping[str, Any]) -> set[str]:
    """Names of the copies that are written of what a caller sent in place of files."""
    price_list, prior, arm_files = (settings.get(name) for name in SENT_FILES)
    given = [(json.dumps(value, sort_keys=True), ".json") for value in (price_list, prior) if value is not None]
    given += [(text, Path(name).suffix) for name, text in (arm_files or {}).items()]
    return {directory.input(text, suffix).name for text, suffix in given}


def _remove_inputs(engine: Engine, directory: DataDirectory, names: set[str]) -> None:
    """Remove copies of files that no other comparison rests on, of any workspace, and no folder of reports."""
    there = {path for name in names if (path := directory.root / "inputs" / name).is_file()}
    if not there:
        return
    # What a comparison that is over was sent is written again when it is needed.
    columns = [comparisons.c.settings, case((comparisons.c.state.in_(_UNFINISHED), comparisons.c.sent_files))]
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).execution_options(**EVERY_WORKSPACE)).all()
    kept = set().union(*(_named_inputs(own) for own, _ in rows))
    for sent in (sent for _, sent in rows if sent):
        with suppress(ValueError):
            kept |= _sent_inputs(directory, json.loads(sent))
    for path in (directory.root / "comparisons").glob(f"*/{SETTINGS_FILE}"):
        with suppress(OSError, ValueError):
            kept |= _named_inputs(path.read_text(encoding="utf-8"))
    for path in there:
        if path.name not in kept:
            path.unlink(missing_ok=True)


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


def remove_run(directory: DataDirectory, run_id: str) -> None:
    """Remove the folder of a run and the indexes and adapters that no other run was measured with."""
    forget_stages(run_id, directory)
    shutil.rmtree(directory.comparison(run_id), ignore_errors=True)


def _is_alone(engine: Engine, stored: StoredComparison) -> bool:
    """Whether no other comparison, of any workspace, has the same run or may come to it.

    A run is named by what it measures, so that equal comparisons share it, and one that still waits or runs on the same
    data may come to.
    """
    in_progress = (comparisons.c.dataset == stored.dataset) & comparisons.c.state.in_(_UNFINISHED)
    same_run = comparisons.c.run_id == stored.run_id if stored.run_id is not None else in_progress
    others = select(comparisons.c.id).where(comparisons.c.id != stored.id, or_(in_progress, same_run)).limit(1)
    with engine.connect() as connection:
        return connection.execute(others.execution_options(**EVERY_WORKSPACE)).first() is None
