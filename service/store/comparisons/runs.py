"""Finished comparisons by name, wherever they were made: on the command line, on the page, or over the API."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from lm.errors import ConfigError
from lm.files import make_folder, write_whole
from service.contract.comparison_state import ComparisonState
from service.contract.scope import DEFAULT_WORKSPACE
from service.store.data_directory import REPORT_FILE, DataDirectory
from service.store.database import database_url, open_database
from service.store.migrations.upgrade import is_current, migrate
from service.store.tables import IS_COMPARISON, comparisons, report_files
from service.store.workspaces import EVERY_WORKSPACE, in_workspace

_LOG = logging.getLogger("tuning_fork.store")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished comparison.

    Attributes:
        id: As it is called everywhere.
        run_id: Of the measurement, which its folder is called by; equal comparisons share it.
        finished_at: Seconds since 1970.
        is_stored: Whether a row tells of it, and not its folder alone.
    """

    id: str
    run_id: str
    finished_at: float
    is_stored: bool = True


@contextmanager
def home_database(directory: DataDirectory, *, workspace: str | None = DEFAULT_WORKSPACE) -> Iterator[Engine]:
    """The database of a data directory, which a service may use at the same time; with all its tables.

    Args:
        workspace: Of what is seen and made; None: every one is seen.

    Raises:
        ConfigError: a later version of this program made the tables.
    """
    make_folder(directory.root)
    engine = open_database(database_url(directory.root))
    try:
        if not is_current(engine):
            migrate(engine)
        yield in_workspace(engine, workspace) if workspace is not None else engine
    finally:
        engine.dispose()


def finished_runs(engine: Engine, directory: DataDirectory) -> list[FinishedRun]:
    """All finished comparisons, the newest first; folders that no row tells of are among them."""
    columns = select(comparisons.c.id, comparisons.c.run_id, comparisons.c.finished_at)
    with engine.connect() as connection:
        rows = connection.execute(columns.where(IS_COMPARISON, comparisons.c.state == ComparisonState.SUCCEEDED)).all()
        elsewhere = (
            connection.execute(select(comparisons.c.run_id).execution_options(**EVERY_WORKSPACE)).scalars().all()
        )
    runs = [FinishedRun(row.id, row.run_id or row.id, row.finished_at) for row in rows]
    told = {run.run_id for run in runs} | set(elsewhere)
    for report in (directory.root / "comparisons").glob(f"*/{REPORT_FILE}"):
        if (name := report.parent.name) not in told:
            runs.append(FinishedRun(name, name, report.stat().st_mtime, is_stored=False))
    return sorted(runs, key=lambda run: run.finished_at, reverse=True)


def find_run(directory: DataDirectory, name: str) -> Path:
    """The folder of a finished comparison, by its id, the beginning of its id, or `latest`.

    Files that are in the database alone are written out.

    Raises:
        ConfigError: there is none, or several begin so.
    """
    if not directory.root.is_dir():
        raise _none(directory)
    with home_database(directory) as engine:
        run = find_finished(engine, directory, name)
        return restore_run(engine, directory, run.id, run.run_id)


def find_finished(engine: Engine, directory: DataDirectory, name: str) -> FinishedRun:
    """A finished comparison by its id, the beginning of its id, or `latest`.

    Raises:
        ConfigError: there is none, or several begin so.
    """
    runs = finished_runs(engine, directory)
    if not runs:
        raise _none(directory)
    known = [run.id for run in runs]
    by_run = next((run.id for run in runs if run.run_id == name), name)
    found = known[0] if name == "latest" else _one_of(known, by_run, "finished comparison")
    return runs[known.index(found)]


def matching_id(engine: Engine, name: str) -> str:
    """The id of a comparison in any state, by its id, the beginning of its id, or `latest`.

    Raises:
        ConfigError: there is none, or several begin so.
    """
    query = select(comparisons.c.id).where(IS_COMPARISON).order_by(comparisons.c.created_at.desc())
    with engine.connect() as connection:
        known = list(connection.execute(query).scalars())
    return known[0] if known and name == "latest" else _one_of(known, name, "comparison")


def _one_of(known: Sequence[str], name: str, what: str) -> str:
    found = [one for one in known if one == name] or [one for one in known if one.startswith(name)]
    if len(found) != 1:
        fault = "several comparisons begin with" if found else f"there is no {what}"
        raise ConfigError(f"{fault} {name!r}; choose one of: {', '.join(found or known) or 'none yet'}")
    return found[0]


def restore_run(engine: Engine, directory: DataDirectory, comparison_id: str, run_id: str) -> Path:
    """The folder of a finished comparison's reports: what was damaged or deleted since is written as it was stored."""
    folder = directory.comparison(run_id)
    make_folder(folder)
    query = select(report_files.c.name, report_files.c.content).where(report_files.c.comparison_id == comparison_id)
    with engine.connect() as connection:
        # The JSON report marks the folder as whole, so it comes last.
        for name, content in sorted(connection.execute(query), key=lambda row: row.name == REPORT_FILE):
            if not (path := folder / name).is_file():
                write_whole(path, content)
            elif path.read_bytes() != content:
                _LOG.warning("%s is not as it was stored and is written again", path)
                write_whole(path, content)
    return folder


def _none(directory: DataDirectory) -> ConfigError:
    return ConfigError(f"there is no finished comparison in {directory.root}; run `tuningfork compare DATASET` first")
