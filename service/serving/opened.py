"""One finished comparison, opened: its arms as they are asked for the first time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from advisor.data.dataset import Dataset
from advisor.money.prices import PriceList
from advisor.results.answer import TOKENS, Pipeline
from advisor.results.comparison import Comparison
from lm.errors import TuningForkError
from service.json_log import about
from service.run.arm import Arm
from service.run.settings import ComparisonSettings
from service.run.spending import is_hosted
from service.run.workflow import load_limited_dataset
from service.serving.errors import NoSuchPipelineError, NotServableError
from service.store.stages.stage_key import changed_versions

_LOG = logging.getLogger("tuning_fork.serving")


@dataclass(frozen=True)
class Servable:
    """A finished comparison as the database tells it, nothing loaded.

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


@dataclass(frozen=True)
class OpenArm:
    """One arm, ready to be asked.

    Attributes:
        device: Where its model runs, None for a hosted one.
        hosted_model: Its name, if another machine answers: a model, or an application of one's own.
        embedder: What embeds its questions, as settings name it; "" where nothing does.
        priced_as: Its name in the price list; "" where it does not tell its tokens.
    """

    pipeline: Pipeline
    device: str | None
    hosted_model: str | None
    embedder: str
    priced_as: str


class Opens(Protocol):
    """What makes arms and releases them; `service.run.composition` over `OpenedStages` in earnest."""

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        """One arm by its name."""
        ...

    def close(self) -> None:
        """Let go of what the arms hold open."""
        ...


class OpenedComparison:
    """The arms of one comparison. One thread at a time opens arms; any may ask them.

    Args:
        release: Gives back the shared model and embedder.
        is_as_measured: Whether stages and a model, by its spec, are those that were measured, so that only versions of
            the program and its libraries can have changed a fingerprint.
    """

    def __init__(
        self,
        servable: Servable,
        composition: Opens,
        release: Callable[[], None],
        is_as_measured: Callable[[str], bool],
    ) -> None:
        self._servable = servable
        self._composition = composition
        self._release = release
        self._is_as_measured = is_as_measured
        self._dataset: Dataset | None = None

    def open_arm(self, kind: str) -> OpenArm:
        """The arm of that id, as it was measured.

        Raises:
            NoSuchPipelineError: the comparison has none.
            NotServableError: what it is built of is gone or has changed.
        """
        servable = self._servable
        settings = servable.settings
        if kind not in settings.arm_ids:
            raise NoSuchPipelineError(
                f"the comparison {servable.id} has no pipeline {kind!r}; it has {', '.join(settings.arm_ids)}"
            )
        spec = settings.arm(kind)
        model = settings.model_of(spec)
        try:
            arm = self._composition.arm(kind, self._read_dataset())
        except NotServableError:
            raise
        except TuningForkError as error:
            raise NotServableError(f"{kind} of {servable.id} cannot be opened: {error}") from error
        if arm.pipeline.fingerprint != servable.report.hashes.get(f"pipeline {kind}"):
            if not self._is_as_measured(model):
                raise self._changed(f"the model {model} or what {kind} is built of has changed")
            _LOG.warning(
                "%s was measured by other versions: %s",
                kind,
                changed_versions(servable.report.versions),
                extra=about(servable.id),
            )
        return OpenArm(
            arm.pipeline,
            arm.device,
            arm.pipeline.model.name if is_hosted(spec, settings) else None,
            settings.embedder if (arm.generates and arm.retrieves) or spec.row.embeds_questions else "",
            "" if TOKENS in servable.report.arm(kind).unknown else arm.priced_as,
        )

    def close(self) -> None:
        """Release everything; nobody asks any more."""
        self._composition.close()
        self._release()

    def _read_dataset(self) -> Dataset:
        if self._dataset is None:
            dataset = load_limited_dataset(self._servable.settings)
            if dataset.content_hash != self._servable.report.dataset_hash:
                raise self._changed("the dataset has changed")
            self._dataset = dataset
        return self._dataset

    def _changed(self, what: str) -> NotServableError:
        return NotServableError(
            f"{what} since the comparison {self._servable.id} was measured, so its answers would be others; compare "
            "again, and ask that comparison"
        )
