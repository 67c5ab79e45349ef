"""Opening one arm of a finished comparison for questions."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from advisor.decision.record import recorded_model
from advisor.errors import EvaluationError
from advisor.results.answer import Pipeline
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from lm.errors import ConfigError
from service.run.arm import Compose
from service.run.composition import LocalComposition, Stages
from service.run.finished.base_model import check_base_model, is_measured_model
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.run.workflow import load_limited_dataset
from service.store.comparisons.runs import find_run
from service.store.data_directory import DECISION_FILE, REPORT_FILE, SETTINGS_FILE, DataDirectory
from service.store.stages.recorded_stages import read_stages
from service.store.stages.stage_key import changed_versions

_LOG = logging.getLogger("tuning_fork.asking")


@dataclass(frozen=True)
class FinishedComparison:
    """A comparison as it lies on disk.

    Attributes:
        model_identity: Of the model it was measured with, by its decision; None where that is gone.
    """

    comparison: Comparison
    settings: ComparisonSettings
    model_identity: str | None = None


def read_finished(directory: DataDirectory, name: str) -> FinishedComparison:
    """A finished comparison by its id, the beginning of its id, or `latest`.

    Raises:
        ConfigError: there is none, or its files are damaged.
    """
    return read_finished_folder(find_run(directory, name))


def read_finished_folder(folder: Path) -> FinishedComparison:
    """A finished comparison by the folder of its reports.

    Raises:
        ConfigError: its files are damaged.
    """
    path = folder / REPORT_FILE
    try:
        comparison = read_comparison(path.read_text(encoding="utf-8"), str(path))
        path = folder / SETTINGS_FILE
        settings = ComparisonSettings.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, EvaluationError, ConfigError) as error:
        raise ConfigError(
            f"{path} is missing or damaged; run the same `tuningfork compare` again to write it from the "
            "answers on disk"
        ) from error
    return FinishedComparison(comparison, settings, _model_identity(folder))


def _model_identity(folder: Path) -> str | None:
    try:
        content = (folder / DECISION_FILE).read_bytes()
    except OSError:
        return None
    return recorded_model(content)


@contextmanager
def open_arm(
    directory: DataDirectory,
    finished: FinishedComparison,
    kind: str,
    *,
    compose: Compose | None = None,
    stages: Stages | None = None,
) -> Iterator[Pipeline]:
    """The pipeline of one candidate arm, from the stages it was measured with; where one is missing it is built again.

    A later version of the program or of a library may round differently; that is logged, and no reason to refuse.

    Args:
        stages: Where indexes and adapters come from, if they are not to be built here.

    Raises:
        ConfigError: the comparison has no such arm, or data or model are no longer those that were compared.
        TuningForkError: the dataset or model is gone.
    """
    comparison, settings = finished.comparison, finished.settings
    if kind not in settings.arm_ids:
        raise ConfigError(
            f"the comparison {comparison.id} has no pipeline {kind!r}; it has {', '.join(settings.arm_ids)}"
        )
    arm, model = settings.arm(kind), settings.model_of(settings.arm(kind))
    dataset = load_limited_dataset(settings)
    if dataset.content_hash != comparison.dataset_hash:
        raise ConfigError(_changed(comparison, f"the dataset {settings.dataset} has changed"))
    recorded = read_stages(comparison.id, directory, settings.trainings)
    composition = (compose or partial(LocalComposition, recorded=recorded, stages=stages))(settings, directory, silent)
    try:
        if arm.row.generates:
            check_base_model(composition.model_of(model), model, settings, comparison, finished.model_identity)
        pipeline = composition.arm(kind, dataset).pipeline
        if pipeline.fingerprint != comparison.hashes.get(f"pipeline {kind}"):
            if recorded is None or not is_measured_model(settings, finished.model_identity, model):
                raise ConfigError(_changed(comparison, f"the model {model} or what {kind} is built of has changed"))
            _LOG.warning("%s was measured by other versions: %s", comparison.id, changed_versions(comparison.versions))
        yield pipeline
    finally:
        composition.close()


def _changed(comparison: Comparison, what: str) -> str:
    return f"{what} since the comparison {comparison.id}, so its answers would be others; compare again, then ask"
