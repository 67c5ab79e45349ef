"""A dataset erased with everything that was made of it, so that no file and no table of the home holds any of it."""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, or_, select

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.run_folder import answer_stages
from service.store.data_directory import REPORT_FILE, SETTINGS_FILE, DataDirectory
from service.store.database import PATIENCE_S, open_database, writing
from service.store.dataset_store import DatasetConflictError, DatasetNotFoundError, forget_read
from service.store.stages.recorded_stages import noted_stages
from service.store.tables import (
    QUESTION_RUN,
    answer_blocks,
    baselines,
    comparisons,
    dataset_files,
    datasets,
    deployments,
    metadata,
)
from service.store.workspaces import EVERY_WORKSPACE

NOT_REACHED = (
    "backups of this home, of its Postgres server and of its disks: delete those, or let them expire",
    "files exported or handed over, reports sent on, links opened: delete them where they are",
    "providers of hosted models: questions and passages sent to them are kept by their rules; training files and tuned "
    "models are deleted in their console, under names that begin with tf-",
    "a Chroma server given by --chroma, nodes of a Ray cluster, and data directories of other services on the same "
    "database: delete the collection, the nodes' TUNING_FORK_CACHE, and stages/, datasets/ and comparisons/ there",
)
"""What an erasure cannot reach, and how it is deleted."""

_WROTE = comparisons.c.id.startswith(QUESTION_RUN) & comparisons.c.run_id.is_not(None)

COMPACTING_S = 3600.0
"""For Postgres to write one table anew."""

_UPLOAD_S = 600.0
"""Longer than an upload can be under way."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased.

    Attributes:
        versions: Of the dataset.
        comparisons: Their ids.
        n_answers: Blocks of answers.
    """

    versions: tuple[str, ...]
    comparisons: tuple[str, ...]
    n_answers: int


def versions_named(engine: Engine, name: str) -> tuple[str, ...]:
    """The versions of a dataset's name; of a version, or the beginning of one that is clear, that one.

    Raises:
        DatasetNotFoundError: there is none, or several versions begin so.
    """
    with engine.connect() as connection:
        named = connection.execute(select(datasets.c.version).where(datasets.c.name == name)).scalars().all()
        starts = datasets.c.version.startswith(name, autoescape=True)
        begun = connection.execute(select(datasets.c.version).where(starts)).scalars().all()
    if named or (len(begun) == 1 and name):
        return tuple(named or begun)
    raise DatasetNotFoundError(
        f"there is no stored dataset {name!r}; give the name, or the version, of an uploaded one: "
        "`tuningfork comparisons` shows which are in use. Bundled datasets stay"
    )


def erase_datasets(engine: Engine, directory: DataDirectory, versions: Sequence[str]) -> Erased:
    """Erase versions of a workspace, frozen or not, with their files, comparisons and all that was made for these.

    An alias that served one of the comparisons is gone afterwards. Files go first and rows last: interrupted, it can be
    called again.

    Raises:
        DatasetConflictError: a comparison waits or runs; half-built indexes and adapters do not tell whose they are.
    """
    with engine.connect() as connection:
        _refuse_work(connection)
        versions = _with_questions(connection, versions)
        # A run that wrote the questions of a version holds the documents that were sent to it.
        is_theirs = or_(comparisons.c.dataset.in_(versions), _WROTE & comparisons.c.run_id.in_(versions))
        theirs = connection.execute(select(comparisons.c.id, comparisons.c.run_id).where(is_theirs)).all()
        # Another workspace may have the same files, and comparisons of them.
        every = select(comparisons.c.id, comparisons.c.run_id, comparisons.c.settings)
        rows = connection.execute(every.execution_options(**EVERY_WORKSPACE)).all()
        names = connection.execute(select(datasets.c.name).where(datasets.c.version.in_(versions))).scalars().all()
        questions = _question_ids(connection, versions)
    ids = {row.id for row in theirs}
    others = [row for row in rows if row.id not in ids]
    runs, kept = ({row.run_id for row in rows if row.run_id} for rows in (theirs, others))
    _erase_runs(directory, runs, kept, versions, set(names))
    _erase_stages(directory, questions)
    _erase_copies(directory, versions, [row.settings for row in others])
    for comparison_id in ids:
        directory.log(comparison_id).unlink(missing_ok=True)
    n_answers = _erase_rows(engine, ids, versions, questions)
    forget_read()
    compact(engine)
    return Erased(tuple(versions), tuple(sorted(ids)), n_answers)


def compact(engine: Engine) -> None:
    """Let nothing of deleted rows stay in the database's files: they are written anew, the log of writes is emptied.

    Raises:
        DatasetConflictError: another process reads meanwhile.
    """
    is_postgres = engine.dialect.name == "postgresql"
    patience_s = COMPACTING_S if is_postgres else PATIENCE_S
    writing_anew = open_database(engine.url.render_as_string(hide_password=False), patience_s=patience_s)
    try:
        if is_postgres:
            with writing_anew.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in metadata.sorted_tables:
                    connection.exec_driver_sql(f'VACUUM (FULL) "{table.name}"')
            return
        with closing(writing_anew.raw_connection()) as raw, closing(raw.cursor()) as cursor:
            cursor.execute("VACUUM")
            (is_busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        writing_anew.dispose()
    if is_busy:
        raise DatasetConflictError(
            "everything is deleted, but another process still reads the database, so that its log of writes could not "
            "be emptied; stop the service and erase once more"
        )


def _refuse_work(connection: Connection) -> None:
    in_progress = [state for state in ComparisonState if not state.is_final]
    working = select(comparisons.c.id).where(comparisons.c.state.in_(in_progress)).limit(1)
    found = connection.execute(working).scalar()
    if found is None and connection.execute(working.execution_options(**EVERY_WORKSPACE)).scalar() is None:
        return
    told = f"the comparison {found}" if found is not None else "a comparison of another workspace"
    raise DatasetConflictError(
        f"{told} waits or runs, and what is being built does not tell whose it is; wait for it or cancel it, then erase"
    )


def _with_questions(connection: Connection, versions: Sequence[str]) -> Sequence[str]:
    """The versions, and those with the same documents for which a model wrote questions."""
    found = list(dict.fromkeys(versions))
    for version in found:
        made = select(comparisons.c.run_id).where(_WROTE, comparisons.c.dataset == version)
        found += [one for one in connection.execute(made).scalars() if one not in found]
    return found


def _question_ids(connection: Connection, versions: Sequence[str]) -> set[str]:
    contents = connection.execute(
        select(dataset_files.c.content).where(
            dataset_files.c.version.in_(versions), dataset_files.c.path.like("%.jsonl")
        )
    ).scalars()
    found: set[str] = set()
    for line in (line for content in contents for line in content.splitlines()):
        with suppress(ValueError, AttributeError):
            found.add(str(json.loads(line).get("id")))
    return found


def _erase_runs(
    directory: DataDirectory, runs: set[str], kept: set[str], versions: Sequence[str], names: set[str]
) -> None:
    """Folders of reports: those of the runs, and those that no row tells of and that are of the dataset."""
    untold = {path.name for path in (directory.root / "comparisons").glob("*")} - runs - kept
    ours = (runs - kept) | {name for name in untold if _is_of(directory.comparison(name), versions, names)}
    for run in ours:
        (directory.root / "turns" / f"comparisons-{run}").unlink(missing_ok=True)
        directory.stage("used", f"{run}.json").unlink(missing_ok=True)
        shutil.rmtree(directory.comparison(run), ignore_errors=True)


def _is_of(folder: Path, versions: Sequence[str], names: set[str]) -> bool:
    def read(name: str) -> dict[str, object]:
        with suppress(OSError, ValueError):
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    card = read(REPORT_FILE).get("card")
    named = isinstance(card, dict) and card.get("name") in names
    return named or Path(str(read(SETTINGS_FILE).get("dataset", ""))).name in versions


def _erase_stages(directory: DataDirectory, questions: set[str]) -> None:
    """Indexes, adapters and searches that no finished comparison rests on, and waits for these questions."""
    stages = directory.root / "stages"
    noted = noted_stages(directory)
    for kind in ("indexes", "adapters", "searches"):
        for folder in (stages / kind).glob("*"):
            if folder not in noted:
                _remove(folder)
    for path in (stages / "latency").glob("*.json"):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            waits = json.loads(path.read_text(encoding="utf-8")).values()
            if any(questions.intersection(summary["waits_s"]) for summary in waits):
                path.unlink()
    # Copies that the service asks. Those still needed are made again from the index.
    shutil.rmtree(directory.root / "serving", ignore_errors=True)


def _erase_copies(directory: DataDirectory, versions: Iterable[str], kept_settings: Sequence[str]) -> None:
    for version in versions:
        shutil.rmtree(directory.root / "datasets" / version, ignore_errors=True)
    for path in (directory.root / "inputs").glob("*"):
        # What a row holds besides is written out again when it is needed.
        if not any(path.name in settings for settings in kept_settings):
            path.unlink(missing_ok=True)
    for path in [*(directory.root / "incoming").glob("*"), *(directory.root / "datasets").glob(".*")]:
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _UPLOAD_S:
                _remove(path)


def _erase_rows(engine: Engine, ids: set[str], versions: Sequence[str], questions: set[str]) -> int:
    with writing(engine) as connection:
        _refuse_work(connection)
        own, others = answer_stages(connection, ids)
        # Of comparisons deleted long ago no event tells, and nobody rests on what they left.
        untold = set(connection.execute(select(answer_blocks.c.stage).distinct()).scalars()) - own - others
        stages = own - others | {stage for stage in untold if questions & _ids_asked(connection, stage)}
        n_answers = connection.execute(delete(answer_blocks).where(answer_blocks.c.stage.in_(stages))).rowcount
        highest = select(deployments.c.alias, func.max(deployments.c.revision)).group_by(deployments.c.alias)
        served = [
            alias
            for alias, revision in connection.execute(highest).all()
            if connection.execute(
                select(deployments.c.comparison_id).where(
                    deployments.c.alias == alias, deployments.c.revision == revision
                )
            ).scalar() in ids
        ]  # fmt: skip
        # Without its newest revision an alias would quietly serve an older one.
        gone = or_(deployments.c.alias.in_(served), deployments.c.comparison_id.in_(ids))
        connection.execute(delete(deployments).where(gone))
        connection.execute(delete(baselines).where(baselines.c.comparison_id.in_(ids)))
        connection.execute(delete(comparisons).where(comparisons.c.id.in_(ids)))
        connection.execute(delete(dataset_files).where(dataset_files.c.version.in_(versions)))
        connection.execute(delete(datasets).where(datasets.c.version.in_(versions)))
    return n_answers


def _ids_asked(connection: Connection, stage: str) -> set[str]:
    found: set[str] = set()
    for answers in connection.execute(select(answer_blocks.c.answers).where(answer_blocks.c.stage == stage)).scalars():
        with suppress(ValueError, TypeError, RecursionError):
            found |= set(json.loads(answers))
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
