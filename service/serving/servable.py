"""A finished comparison as it is served: out of the database, nothing loaded."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from advisor.decision.record import recorded_model
from advisor.errors import EvaluationError
from advisor.money.prices import PriceList, load_prices
from advisor.report.sections.retrieval_sweep import SWEEP
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from lm.completion import GenerationConfig
from lm.errors import ConfigError
from lm.registry import RETIRED
from service.contract.comparison_state import ComparisonState
from service.run.finished.base_model import with_base_model
from service.run.settings import ComparisonSettings
from service.run.stored_comparison import job_settings
from service.serving.errors import NoSuchPipelineError, NotServableError
from service.store.comparisons.comparison_store import StoredComparison, find_comparison
from service.store.data_directory import DECISION_FILE, REPORT_FILE, DataDirectory
from service.store.reports.stored_reports import read_report_files


@dataclass(frozen=True)
class Servable:
    """A finished comparison as the database tells it.

    Attributes:
        id: In the database; the report's own id names its content.
        settings: With the dataset as a folder on this machine.
        report: What was measured, whose fingerprints say what may be served.
        model_identity: Of the model it was measured with; None where its decision is gone.
    """

    id: str
    settings: ComparisonSettings
    prices: PriceList
    report: Comparison
    model_identity: str | None = None


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """What is told of an arm of it that was opened.

    Attributes:
        generation: As it was measured, without its constraint, which stays with the arm.
        device: Where its model runs, None for a hosted one.
        hosted_model: Its name, if another machine answers: a model, or an application of one's own.
        embedder: What embeds its questions, as settings name it; "" where nothing does.
        priced_as: Its name in the price list; "" where it does not tell its tokens.
    """

    generation: GenerationConfig
    device: str | None
    hosted_model: str | None
    embedder: str
    priced_as: str


def check_servable(engine: Engine, comparison_id: str, kind: str | None = None) -> tuple[str, ...]:
    """The arms of a comparison that may be asked: a finished one's candidates, in the order of the report.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
        NotServableError: it has no result.
        NoSuchPipelineError: it has no arm of that kind.
    """
    stored = find_comparison(engine, comparison_id)
    kinds = servable_kinds(stored)
    if not kinds:
        raise NotServableError(
            f"the comparison {comparison_id} is {stored.state}; its pipelines can be asked once it has succeeded"
        )
    if kind is not None and kind not in kinds:
        raise NoSuchPipelineError(f"the comparison {comparison_id} has no pipeline {kind!r}; it has {', '.join(kinds)}")
    return kinds


def servable_kinds(stored: StoredComparison) -> tuple[str, ...]:
    """The arms of a stored comparison that may be asked; none before it has succeeded."""
    return stored.arms if stored.state is ComparisonState.SUCCEEDED else ()


def read_servable(
    engine: Engine, directory: DataDirectory, comparison_id: str, *, retired_model: Path | None = None
) -> Servable:
    """All that is needed to open a comparison's arms; an uploaded dataset is written out where it is not yet.

    Args:
        retired_model: Folder of the base model where the comparison's own is no longer shipped.
    Raises:
        ComparisonNotFoundError, DatasetNotFoundError: there is none.
        NotServableError: it has no result, one that this version cannot read, or no base model.
    """
    check_servable(engine, comparison_id)
    stored = find_comparison(engine, comparison_id, sent_files=True)
    files = read_report_files(engine, comparison_id, REPORT_FILE, DECISION_FILE)
    report = files.get(REPORT_FILE)
    if report is None:
        raise NotServableError(f"the comparison {comparison_id} has no report; create it again, and ask that one")
    try:
        measured = read_comparison(report.decode(), f"{comparison_id}/{REPORT_FILE}")
    except (EvaluationError, UnicodeDecodeError) as error:
        raise NotServableError(f"{error} Create the comparison again, and ask that one.") from error
    settings = job_settings(engine, directory, stored.dataset, stored.settings)
    settings = settings.with_retrieval(measured.settings.get(SWEEP))
    try:
        settings = with_base_model(settings, retired_model if settings.model in RETIRED else None)
    except ConfigError as error:
        raise NotServableError(str(error)) from error
    return Servable(
        comparison_id,
        settings,
        load_prices(settings.prices).on_machine(settings.machine),
        measured,
        recorded_model(files.get(DECISION_FILE)),
    )
