"""One comparison in a process of its own, which can be killed at any moment.

Started by `service.jobs.supervisor` and never by hand. What it measured is committed block by block; a second start
goes on from there.
"""

import argparse
import logging
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, update
from sqlalchemy.exc import DBAPIError

from lm.errors import TuningForkError
from lm.files import is_disk_failure
from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock, OwnedElsewhereError
from service.jobs.job_watch import CancelledError, JobWatch, ParkedError, SupersededError, life_on
from service.jobs.resource_watch import ResourceWatch
from service.json_log import EVERYTHING, log_as_json
from service.run.arm import Compose
from service.run.finished.base_model import models_identity
from service.run.process_limits import die_with_parent, limit_memory, memory_overrun
from service.run.progress import OnProgress, Progress, silent
from service.run.remote_settings import job_settings
from service.run.side_run import side_kind, work_on
from service.run.workflow import run_comparison
from service.store.comparisons.comparison_store import StoredComparison, find_comparison, keep_files, set_state
from service.store.data_directory import DataDirectory
from service.store.database import database_url, is_outage, open_database, patiently, writing
from service.store.key_budget import KeyBudget
from service.store.tables import comparisons, report_files

_LOG = logging.getLogger("tuning_fork.jobs")


class JobEnd(IntEnum):
    """How a job ended, as its exit code."""

    OVER = 0
    """The comparison is in a final state."""
    PARKED = 10
    """It was asked to stop; another start goes on."""
    INTERRUPTED = 11
    """Something passing was in the way: another start goes on."""
    SUPERSEDED = 12
    """Another process works on the comparison."""
    DEFECT = 13
    """An error of ours, which another start would meet again."""


class OutageError(Exception):
    """Something outside that the work needs is away, and may come back."""


def run_job(
    engine: Engine,
    directory: DataDirectory,
    comparison_id: str,
    compose: Compose,
    identify_model: Callable[[str, str | None], str],
    *,
    watch: JobWatch | None = None,
    on_progress: OnProgress = silent,
) -> JobEnd:
    """Work on a comparison until it is over, or until this process should stop.

    Args:
        on_progress: Is told each step besides the rows.
    """
    watch = watch or JobWatch(engine, comparison_id)
    lock = ComparisonLock(engine, comparison_id)

    def take_note(progress: Progress) -> None:
        lock.check()
        watch(progress)
        on_progress(progress)

    def work() -> None:
        stored = _begin(engine, comparison_id)
        if stored is None:
            return
        if side_kind(comparison_id):
            with ResourceWatch(engine, comparison_id, secrets.token_hex(4)):
                work_on(engine, directory, stored, take_note)
            return
        settings = job_settings(engine, directory, stored.dataset, stored.settings)
        with ResourceWatch(engine, comparison_id, secrets.token_hex(4)):
            run_comparison(
                settings,
                directory,
                compose,
                models_identity(settings, identify_model),
                on_progress=take_note,
                database=engine,
                on_finished=lambda folder: _publish(engine, comparison_id, folder),
                to_be_asked=True,
                budget=KeyBudget(engine, stored.made_by) if stored.made_by is not None else None,
            )

    try:
        with lock:
            try:
                work()
            except TuningForkError as error:
                # What fails here fails no comparison that another process took over.
                lock.check()
                _LOG.error("failed: %s", error)
                end_comparison(engine, comparison_id, ComparisonState.FAILED, _as_told(error, directory))
            except (MemoryError, RuntimeError) as error:
                if (told := memory_overrun(error, "a job", "--job-memory-gb")) is None:
                    raise
                lock.check()
                _LOG.error("failed: %s (%s)", told, error)
                told += ", then resume it: what was measured is kept"
                end_comparison(engine, comparison_id, ComparisonState.FAILED, told)
        return JobEnd.OVER
    except OwnedElsewhereError:
        _LOG.warning("another process runs it and continues")
        return JobEnd.SUPERSEDED
    except SupersededError:
        return JobEnd.OVER
    except CancelledError:
        end_comparison(engine, comparison_id, ComparisonState.CANCELLED)
        return JobEnd.OVER
    except ParkedError:
        return JobEnd.PARKED
    except Exception as error:
        if _passes(error):
            _LOG.warning("interrupted: %s", error)
            return JobEnd.INTERRUPTED
        raise


def _begin(engine: Engine, comparison_id: str) -> StoredComparison | None:
    """The comparison, now running; None where nothing is to be done."""

    def begin() -> StoredComparison | None:
        with writing(engine) as connection:
            set_state(connection, comparison_id, ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        stored = find_comparison(engine, comparison_id)
        return stored if stored.state is ComparisonState.RUNNING else None

    return patiently(begin)


def _publish(engine: Engine, comparison_id: str, folder: Path) -> None:
    """The report files as rows, and with them the end of the comparison, whoever finished it first."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}

    def publish() -> None:
        with writing(engine) as connection:
            is_first = set_state(
                connection, comparison_id, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING]
            )
            if is_first:
                named = update(comparisons).where(comparisons.c.id == comparison_id)
                connection.execute(named.values(run_id=folder.name))
                _replace_files(connection, comparison_id, files)

    patiently(publish)


def _replace_files(connection: Connection, comparison_id: str, files: dict[str, bytes]) -> None:
    connection.execute(delete(report_files).where(report_files.c.comparison_id == comparison_id))
    keep_files(connection, comparison_id, files)


def end_comparison(engine: Engine, comparison_id: str, state: ComparisonState, error: str | None = None) -> None:
    """Move a running comparison to a final state, whatever else is going on with the database."""

    def end() -> None:
        with writing(engine) as connection:
            set_state(connection, comparison_id, state, expected=[ComparisonState.RUNNING], error=error)

    patiently(end)


def _as_told(error: TuningForkError, directory: DataDirectory) -> str:
    """A failure in words for callers, who need not know where the files of this machine are."""
    return str(error).replace(f"{directory.root}{os.sep}", "").replace(str(directory.root), ".")


def _passes(error: BaseException) -> bool:
    """Whether what went wrong lies outside and may be over at the next start: no room, a failing disk, no database."""
    if isinstance(error, OutageError):
        return True
    if isinstance(error, DBAPIError):
        return is_outage(error) or isinstance(error.orig, sqlite3.OperationalError)
    return is_disk_failure(error)


Identify = Callable[[str, str | None], str]
"""Which model a spec and a revision name."""

Hands = Callable[[str, JobWatch], tuple[Compose, Identify]]
"""Who builds arms, and who knows models, for a comparison with its watch."""


def job_process(hands: Hands, arguments: list[str]) -> int:
    """The life of such a process; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.jobs.job")
    parser.add_argument("comparison_id")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--life", type=int, required=True, help="descriptor to show life on")
    parser.add_argument("--memory", type=int, default=0, help="bytes that it may allocate, 0 for no bound")
    given = parser.parse_args(arguments)
    die_with_parent(given.parent)
    limit_memory(given.memory)
    log_as_json(EVERYTHING, {"comparison_id": given.comparison_id})
    logging.captureWarnings(True)
    directory = DataDirectory(given.home)
    engine = open_database(database_url(directory.root))
    watch = JobWatch(engine, given.comparison_id, show_life=life_on(given.life))
    signal.signal(signal.SIGTERM, lambda *_: watch.park())
    # Ctrl-C in a terminal reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        compose, identify_model = hands(given.comparison_id, watch)
        return run_job(engine, directory, given.comparison_id, compose, identify_model, watch=watch)
    except Exception:
        _LOG.exception("an internal error")
        return JobEnd.DEFECT


NICENESS = 10
"""People who ask a pipeline wait; a job does not mind. With a tenth of their weight it gets what they leave."""


def main() -> None:
    """Run the comparison that was named, with real models."""
    os.nice(NICENESS)
    from lm.model_identity import model_identity
    from service.run.composition import LocalComposition
    from service.safety.endpoint_guard import guard_process

    # Callers of the service named the models.
    guard_process()
    sys.exit(job_process(lambda *_: (LocalComposition, model_identity), sys.argv[1:]))


if __name__ == "__main__":
    main()
