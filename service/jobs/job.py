"""A comparison or side run, worked on until it is over: as a job of the service, or for who typed it.

Either way it is a row like any other, so that the page and the API show it, under the same id. What is measured is
committed block by block; another start goes on from there.
"""

import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, update
from sqlalchemy.exc import DBAPIError

from advisor.data.files import load_dataset
from advisor.decision.freshness import Freshness
from advisor.results.plain_data import from_plain
from lm.errors import ConfigError, TuningForkError
from lm.files import is_disk_failure
from lm.model_identity import model_identity
from service.contract.comparison_state import ComparisonState
from service.jobs.comparison_lock import ComparisonLock, OwnedElsewhereError
from service.jobs.job_watch import CancelledError, JobWatch, ParkedError, SupersededError
from service.jobs.resource_watch import ResourceWatch
from service.run.arm import Compose
from service.run.composition import LocalComposition
from service.run.estimate import endpoint_sentence, estimate_comparison
from service.run.finished.base_model import models_identity
from service.run.finished.freshness_run import check_freshness, queue_freshness
from service.run.process_limits import memory_overrun
from service.run.progress import OnProgress, Progress, silent
from service.run.settings import ComparisonSettings
from service.run.side_run import read_side_result, side_kind, work_on
from service.run.spending import is_hosted
from service.run.stored_comparison import job_settings, register_comparison
from service.run.workflow import run_comparison
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.comparisons.comparison_store import StoredComparison, find_comparison, keep_files, set_state
from service.store.comparisons.runs import home_database, restore_run
from service.store.data_directory import DataDirectory, ServiceHoldsError
from service.store.database import is_outage, patiently, writing
from service.store.key_budget import KeyBudget
from service.store.tables import comparisons, report_files

LOOK_INTERVAL_S = 0.5
_LOG = logging.getLogger("tuning_fork.jobs")

Identify = Callable[[str, str | None], str]
"""Which model a spec and a revision name."""


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
    identify_model: Identify,
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
        stored = find_comparison(engine, comparison_id, sent_files=True)
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


def run_command(
    settings: ComparisonSettings,
    directory: DataDirectory,
    compose: Compose,
    identify_model: Identify,
    *,
    on_progress: OnProgress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """A comparison that somebody typed, run here or by the service that works in the same data directory.

    The folder of the finished comparison; the same settings find what was done before, and go on from it.

    Args:
        tell: Shows the user a line.

    Raises:
        ConfigError: it failed, was cancelled, or another command works in the data directory.
        TuningForkError: dataset or settings cannot be used.
    """

    def queue(engine: Engine, is_here: bool) -> StoredComparison:
        stored = register_comparison(engine, directory, settings, identify_model)
        if is_here and stored.state is not ComparisonState.SUCCEEDED:
            _tell_spending(engine, directory, settings, tell)
        return stored

    with _carried_out(directory, queue, compose, identify_model, on_progress, tell) as (engine, run_id):
        return _finished(engine, directory, run_id)


def run_freshness_command(
    directory: DataDirectory,
    comparison_id: str,
    editions: Mapping[str, bytes],
    *,
    on_progress: OnProgress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> Freshness:
    """Ask the arms of a finished comparison again with later editions, as a side run.

    Args:
        comparison_id: Of a row.
        editions: As for `check_freshness`.
        tell: Shows the user a line.

    Raises:
        ConfigError: it failed, was cancelled, or another command works in the data directory.
        TuningForkError: as `check_freshness`.
    """

    def queue(engine: Engine, is_here: bool) -> StoredComparison:
        compared = find_comparison(engine, comparison_id)
        check_freshness(engine, directory, compared, editions, None)
        return queue_freshness(engine, compared, editions)[0]

    with _carried_out(directory, queue, LocalComposition, model_identity, on_progress, tell) as (engine, run_id):
        result = read_side_result(engine, run_id)
        if result is None:
            stored = find_comparison(engine, run_id)
            raise ConfigError(stored.error or f"the run is {stored.state}; start it again")
        return from_plain(Freshness, result)


@contextmanager
def _carried_out(
    directory: DataDirectory,
    queue: Callable[[Engine, bool], StoredComparison],
    compose: Compose,
    identify_model: Identify,
    on_progress: OnProgress,
    tell: Callable[[str], None],
) -> Iterator[tuple[Engine, str]]:
    """The row that `queue` gives, worked on until it is over: the database, and the id of the row.

    Args:
        queue: Is told whether this process is to work on it.
    """
    # Failures are told by what is raised; here no log is read.
    _LOG.addHandler(logging.NullHandler())
    with ExitStack() as stack:
        try:
            stack.enter_context(directory.lock())
            is_here = True
        except ServiceHoldsError:
            is_here = False
        engine = stack.enter_context(home_database(directory))
        stored = queue(engine, is_here)
        if is_here and stored.state is not ComparisonState.SUCCEEDED:
            _work(engine, directory, stored.id, compose, identify_model, on_progress)
        elif not stored.state.is_final:
            tell(f"The service in {directory.root} works on it, as {stored.id}; it goes on if you press Ctrl-C.")
            _follow(engine, stored.id, on_progress)
        yield engine, stored.id


def _tell_spending(
    engine: Engine, directory: DataDirectory, settings: ComparisonSettings, tell: Callable[[str], None]
) -> None:
    """What asking endpoints will cost, before the first question."""
    if any(is_hosted(arm, settings) for arm in settings.arm_specs):
        dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
        tell(endpoint_sentence(estimate_comparison(engine, directory, settings.to_json(), dataset), settings))


def _work(
    engine: Engine,
    directory: DataDirectory,
    comparison_id: str,
    compose: Compose,
    identify_model: Identify,
    on_progress: OnProgress,
) -> None:
    try:
        end = run_job(engine, directory, comparison_id, compose, identify_model, on_progress=on_progress)
    except KeyboardInterrupt:
        # A row that says running would be taken up by the next service.
        end_comparison(engine, comparison_id, ComparisonState.CANCELLED)
        raise
    if end is JobEnd.INTERRUPTED:
        raise ConfigError("interrupted: the disk is full or the database is away; the same command resumes it")


def _follow(engine: Engine, comparison_id: str, on_progress: OnProgress) -> None:
    followed = FollowedComparisons(1)
    while not find_comparison(engine, comparison_id).state.is_final:
        for step in followed.find(engine, comparison_id).progress():
            on_progress(Progress(step.stage, step.arm, step.done, step.total, step.detail))
        time.sleep(LOOK_INTERVAL_S)


def _finished(engine: Engine, directory: DataDirectory, comparison_id: str) -> Path:
    stored = find_comparison(engine, comparison_id)
    if stored.state is ComparisonState.FAILED:
        raise ConfigError(stored.error or "the comparison failed")
    if stored.state is not ComparisonState.SUCCEEDED:
        raise ConfigError(f"the comparison {comparison_id} is {stored.state}; the same command resumes it")
    # Of a damaged file it is said that the same command mends it.
    return restore_run(engine, directory, stored.id, stored.id)
