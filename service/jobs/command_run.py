"""A comparison that somebody typed: run in this process, or by the service that works in the same data directory.

Either way it is a row like any other, so that the page and the API show it, under the same id.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Engine

from advisor.advice.questionnaire import read_answers
from advisor.data.files import load_dataset
from advisor.decision.freshness import Freshness
from advisor.money.prices import load_prices
from advisor.results.plain_data import from_plain
from lm.errors import ConfigError
from lm.model_identity import model_identity
from service.contract.comparison_state import ComparisonState
from service.jobs.job import JobEnd, end_comparison, run_job
from service.run.arm import Compose
from service.run.composition import LocalComposition
from service.run.estimate import endpoint_sentence, estimate_comparison
from service.run.finished.base_model import models_identity
from service.run.finished.freshness_run import check_freshness, queue_freshness
from service.run.progress import OnProgress, Progress, silent
from service.run.remote_settings import job_settings, keep_inputs
from service.run.settings import ComparisonSettings
from service.run.side_run import read_side_result
from service.run.spending import is_hosted
from service.run.workflow import comparison_id, load_limited_dataset
from service.store.bundled_datasets import bundled_datasets
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.comparisons.comparison_store import (
    ComparisonNotFoundError,
    StoredComparison,
    create_comparison,
    find_comparison,
    resume_comparison,
)
from service.store.comparisons.runs import home_database, restore_run
from service.store.data_directory import DataDirectory, ServiceHoldsError
from service.store.dataset_store import store_folder

LOOK_INTERVAL_S = 0.5


def run_command(
    settings: ComparisonSettings,
    directory: DataDirectory,
    compose: Compose,
    identify_model: Callable[[str, str | None], str],
    *,
    on_progress: OnProgress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """The folder of the finished comparison; the same settings find what was done before, and go on from it.

    Args:
        tell: Shows the user a line.

    Raises:
        ConfigError: it failed, was cancelled, or another command works in the data directory.
        TuningForkError: dataset or settings cannot be used.
    """
    # Failures are told by what is raised; here no log is read.
    logging.getLogger("tuning_fork.jobs").addHandler(logging.NullHandler())
    try:
        with directory.lock(), home_database(directory) as engine:
            stored = _registered(engine, directory, settings, identify_model)
            if stored.state is not ComparisonState.SUCCEEDED:
                _tell_spending(engine, directory, settings, tell)
                _work(engine, directory, stored.id, compose, identify_model, on_progress)
            return _finished(engine, directory, stored.id)
    except ServiceHoldsError:
        with home_database(directory) as engine:
            stored = _registered(engine, directory, settings, identify_model)
            if not stored.state.is_final:
                tell(f"The service in {directory.root} works on it, as {stored.id}; it goes on if you press Ctrl-C.")
                _follow(engine, stored.id, on_progress)
            return _finished(engine, directory, stored.id)


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
    logging.getLogger("tuning_fork.jobs").addHandler(logging.NullHandler())

    def queue(engine: Engine) -> str:
        compared = find_comparison(engine, comparison_id)
        check_freshness(engine, directory, compared, editions, None)
        return queue_freshness(engine, compared, editions)[0].id

    try:
        with directory.lock(), home_database(directory) as engine:
            run_id = queue(engine)
            _work(engine, directory, run_id, LocalComposition, model_identity, on_progress)
            return _freshness(engine, run_id)
    except ServiceHoldsError:
        with home_database(directory) as engine:
            run_id = queue(engine)
            tell(f"The service in {directory.root} works on it; it goes on if you press Ctrl-C.")
            _follow(engine, run_id, on_progress)
            return _freshness(engine, run_id)


def _freshness(engine: Engine, run_id: str) -> Freshness:
    result = read_side_result(engine, run_id)
    if result is None:
        stored = find_comparison(engine, run_id)
        raise ConfigError(stored.error or f"the run is {stored.state}; start it again")
    return from_plain(Freshness, result)


def _registered(
    engine: Engine,
    directory: DataDirectory,
    settings: ComparisonSettings,
    identify_model: Callable[[str, str | None], str],
) -> StoredComparison:
    """The row of a comparison, whose id is the run's: the same command finds the same row."""
    # What is wrong with the user's files is told by their own names, not by those of our copies.
    prices = load_prices(settings.prices).on_machine(settings.machine)
    answers = read_answers(settings.prior) if settings.prior is not None else None
    settings = settings.resolved()
    version = settings.dataset if settings.dataset in bundled_datasets() else _stored_version(engine, settings)
    raw = keep_inputs(settings, directory)
    as_run = job_settings(engine, directory, version, raw)
    dataset = load_limited_dataset(as_run)
    identity = models_identity(as_run, identify_model)
    run_id = comparison_id(as_run, dataset, identity, prices, answers)
    try:
        stored = find_comparison(engine, run_id)
    except ComparisonNotFoundError:
        name = dataset.card.name
        return create_comparison(engine, comparison_id=run_id, name=name, dataset=version, settings=raw)[0]
    if stored.state in (ComparisonState.FAILED, ComparisonState.CANCELLED):
        return resume_comparison(engine, run_id)
    return stored


def _tell_spending(
    engine: Engine, directory: DataDirectory, settings: ComparisonSettings, tell: Callable[[str], None]
) -> None:
    """What asking endpoints will cost, before the first question."""
    if any(is_hosted(arm, settings) for arm in settings.arm_specs):
        dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
        tell(endpoint_sentence(estimate_comparison(engine, directory, settings.to_json(), dataset), settings))


def _stored_version(engine: Engine, settings: ComparisonSettings) -> str:
    """The version of a folder of the user's own, kept as an upload would be: what was measured can be asked later."""
    dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    return store_folder(engine, settings.dataset_folder, dataset)


def _work(
    engine: Engine,
    directory: DataDirectory,
    comparison_id: str,
    compose: Compose,
    identify_model: Callable[[str, str | None], str],
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
