"""Rechecking a decision on file: reads what it was made from, and how things stand now. No model is asked anything."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from advisor.decision.inputs import DecisionInputs
from advisor.decision.record import DecisionRecord, Present, Recheck, data_hashes, read_record, recheck, text_hash
from advisor.errors import DatasetError
from advisor.evidence.records import read_records
from advisor.money.cost import Traffic
from advisor.money.prices import load_prices
from advisor.results.comparison import QuestionRecord
from lm.errors import ConfigError, LanguageModelError
from lm.model_identity import model_dtype, model_identity
from lm.registry import RetiredModelError
from service.run.finished.base_model import models_identity
from service.run.settings import ComparisonSettings
from service.run.workflow import load_limited_dataset
from service.store.comparisons.comparison_store import StoredComparison
from service.store.comparisons.runs import find_run, restore_run
from service.store.data_directory import DECISION_FILE, RECORDS_FILE, DataDirectory
from service.store.dataset_store import dataset_folder


def find_record(directory: DataDirectory, name: str) -> Path:
    """The record of that path, folder, or comparison (id, its beginning, or `latest`).

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / DECISION_FILE
    elif not path.is_file():
        path = find_run(directory, name) / DECISION_FILE
    if not path.is_file():
        raise ConfigError(f"{path}: there is no decision record; run the same `tuningfork compare` again")
    return path


def recheck_comparison(
    engine: Engine,
    directory: DataDirectory,
    stored: StoredComparison,
    today: date,
    *,
    traffic: Callable[[Traffic], Traffic] = lambda traffic: traffic,
    coverage: float | None = None,
    margin: float | None = None,
) -> Recheck:
    """What became of the decision of a finished comparison, by today's prices, and the dataset and model as they are.

    Raises:
        DatasetNotFoundError: the dataset is gone.
        ConfigError: impossible values, or the results are gone or damaged.
        EvaluationError: the record is damaged.
    """
    return recheck_file(
        restore_run(engine, directory, stored.id, stored.run_id or stored.id) / DECISION_FILE,
        model_identity,
        today=today,
        traffic=traffic,
        coverage=coverage,
        margin=margin,
        dataset=str(dataset_folder(engine, directory, stored.dataset)),
        dtype_of=model_dtype,
    )


def recheck_file(
    path: Path,
    identify: Callable[[str, str | None], str],
    *,
    today: date,
    prices: Path | None = None,
    traffic: Callable[[Traffic], Traffic] = lambda traffic: traffic,
    coverage: float | None = None,
    margin: float | None = None,
    dataset: str | None = None,
    model: str | None = None,
    dtype_of: Callable[[str], str] = lambda _: "",
) -> Recheck:
    """What became of the decision in a file; what is not given is taken as it was, read again.

    Args:
        identify: Identity of a model by its spec and revision (`lm.model_identity`).
        prices: A price file; else the one of the comparison, as it is now.
        dtype_of: In which a model would compute here (`lm.model_identity.model_dtype`), if the record says in which
            it did.
        traffic: Makes today's traffic of the recorded one.
    Raises:
        ConfigError: impossible values, or the results beside the record are gone or damaged.
        EvaluationError: the record is damaged.
    """
    record = read_record(path.read_text(encoding="utf-8"), str(path))
    settings = ComparisonSettings.from_json(dict(record.settings))
    inputs = replace(
        record.inputs,
        prices=load_prices(prices or settings.prices).on_machine(settings.machine),
        traffic=traffic(record.inputs.traffic),
        coverage=record.inputs.coverage if coverage is None else coverage,
        margin=record.inputs.margin if margin is None else margin,
    )
    return recheck(
        record,
        _candidates(record, path.with_name(RECORDS_FILE)),
        _present(settings, inputs, identify, dtype_of if record.dtype else lambda _: "", today, dataset, model),
    )


def _present(
    settings: ComparisonSettings,
    inputs: DecisionInputs,
    identify: Callable[[str, str | None], str],
    dtype_of: Callable[[str], str],
    today: date,
    dataset: str | None,
    model: str | None,
) -> Present:
    unreadable = []
    data: dict[str, str] | None = None
    try:
        data = data_hashes(load_limited_dataset(replace(settings, dataset=dataset or settings.dataset)))
    except (DatasetError, ConfigError) as error:
        unreadable.append(f"The data cannot be read: {error}")
    identity, dtype = None, ""
    try:
        identity = identify(model, None) if model else models_identity(settings, identify)
        dtype = dtype_of(model or settings.main_model)
        if dtype and model is None:
            dtype = settings.dtype or dtype
    except (LanguageModelError, RetiredModelError) as error:
        unreadable.append(f"The model cannot be read: {error}")
    return Present(inputs, data, identity, today, tuple(unreadable), dtype)


def _candidates(record: DecisionRecord, path: Path) -> dict[str, list[QuestionRecord]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing, and it holds the scores; keep it beside the record, or compare again"
        ) from None
    if text_hash(text) != record.results_hash:
        raise ConfigError(f"{path} is not the file that the decision was made from; compare again")
    rows: dict[str, list[QuestionRecord]] = {}
    for row in read_records(text.split("\n"), str(path)):
        rows.setdefault(row.arm, []).append(row)
    return {arm: rows[arm] for arm in record.uses}
