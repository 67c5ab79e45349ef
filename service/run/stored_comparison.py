"""A comparison as a row: from settings that somebody typed to what is stored, and from there to those it is run by."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from advisor.advice.questionnaire import read_answers
from advisor.data.files import load_dataset
from advisor.money.prices import load_prices
from lm.errors import ConfigError
from lm.files import hash_file, write_whole
from service.contract.comparison_state import ComparisonState
from service.run.finished.base_model import models_identity
from service.run.settings import ComparisonSettings
from service.run.workflow import comparison_id, load_limited_dataset
from service.store.bundled_datasets import bundled_datasets
from service.store.comparisons.comparison_store import (
    ARM_FILES,
    PRICE_LIST,
    PRIOR_ANSWERS,
    ComparisonNotFoundError,
    StoredComparison,
    create_comparison,
    find_comparison,
    resume_comparison,
)
from service.store.data_directory import DataDirectory
from service.store.dataset_store import dataset_folder, store_folder


def register_comparison(
    engine: Engine,
    directory: DataDirectory,
    settings: ComparisonSettings,
    identify_model: Callable[[str, str | None], str],
) -> StoredComparison:
    """The row of a comparison that somebody typed, whose id is the run's: the same command finds the same row.

    Raises:
        TuningForkError: dataset or settings cannot be used.
    """
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


def _stored_version(engine: Engine, settings: ComparisonSettings) -> str:
    """The version of a folder of the user's own, kept as an upload would be: what was measured can be asked later."""
    dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    return store_folder(engine, settings.dataset_folder, dataset)


def job_settings(
    engine: Engine, directory: DataDirectory, dataset: str, stored: Mapping[str, Any]
) -> ComparisonSettings:
    """The settings of a stored comparison, with its dataset and files written where this machine finds them.

    Args:
        dataset: Name or version.
        stored: As `check_request` or `keep_inputs` gave them.

    Raises:
        DatasetNotFoundError: the dataset is gone.
        ConfigError: a kept file is not as it was.
    """
    raw = dict(stored)
    if dataset not in bundled_datasets():
        raw["dataset"] = str(dataset_folder(engine, directory, dataset))
    raw["prices"] = _written(directory, raw.get(PRICE_LIST)) or raw.get("prices")
    raw["prior"] = _written(directory, raw.get(PRIOR_ANSWERS)) or raw.get("prior")
    settings = ComparisonSettings.from_json(raw)
    _refuse_damaged(settings, directory)
    files = raw.get(ARM_FILES) or {}
    written = [
        replace(arm, source=str(_kept(directory, files[arm.source], Path(arm.source).suffix)))
        if arm.source in files
        else arm
        for arm in settings.arm_specs
    ]
    return replace(settings, arms=tuple(map(str, written))) if files else settings


def keep_inputs(settings: ComparisonSettings, directory: DataDirectory) -> dict[str, Any]:
    """The settings as they are stored, with copies of the files that they name: the user's own may change.

    Raises:
        ConfigError: a file cannot be read.
    """
    raw = settings.to_json()
    for name in ("prices", "prior", "launch_config"):
        if (path := getattr(settings, name)) is not None:
            raw[name] = str(_copied(directory, path))
    if settings.tensorboard is not None:
        raw["tensorboard"] = str(settings.tensorboard.expanduser().resolve())
    kept = [
        replace(arm, source=str(_copied(directory, Path(arm.source)))) if arm.row.source == "FILE" else arm
        for arm in settings.arm_specs
    ]
    return raw | {"arms": [str(arm) for arm in kept]}


def _refuse_damaged(settings: ComparisonSettings, directory: DataDirectory) -> None:
    """Kept files are named by their hashes, as sealed folders name those of theirs."""
    sources = [Path(arm.source) for arm in settings.arm_specs if arm.row.source == "FILE"]
    for path in (*sources, *filter(None, (settings.prices, settings.prior, settings.launch_config))):
        if path.parent == directory.root / "inputs" and path.is_file() and hash_file(path) != path.stem:
            raise ConfigError(f"{path} is damaged; put it back from a backup, or compare again with the file you gave")


def _copied(directory: DataDirectory, path: Path) -> Path:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    return _kept(directory, text, path.suffix)


def _written(directory: DataDirectory, value: Mapping[str, Any] | None) -> str | None:
    return str(_kept(directory, json.dumps(value, sort_keys=True), ".json")) if value is not None else None


def _kept(directory: DataDirectory, text: str, suffix: str) -> Path:
    """A file with that content, named by it."""
    path = directory.input(text, suffix)
    write_whole(path, text)
    return path
