"""One finished comparison, opened: its arms as they are asked for the first time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from advisor.data.dataset import Dataset
from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.answer import TOKENS, Answer, Pipeline
from advisor.results.comparison import Comparison
from lm.completion import FinishReason
from lm.errors import TuningForkError
from service.json_log import about
from service.run.arm import Arm
from service.run.settings import ComparisonSettings
from service.run.spending import is_hosted
from service.run.workflow import load_limited_dataset
from service.serving.batcher import Batcher
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
class ServedArm:
    """One arm, ready to be asked.

    Attributes:
        batcher: The queue of its base model.
        device: Where its model runs, None for a hosted one.
        hosted_model: Its name, if another machine answers: a model, or an application of one's own.
        embedder: What embeds its questions, as settings name it; "" where nothing does.
        priced_as: Its name in the price list; "" where it does not tell its tokens.
        usd_per_question: As people declare it; None where it follows from tokens or time.
    """

    pipeline: Pipeline
    batcher: Batcher
    device: str | None
    hosted_model: str | None
    embedder: str
    prices: PriceList
    priced_as: str
    usd_per_question: float | None

    @property
    def has_price(self) -> bool:
        """Whether it is known what an answer by another machine costs."""
        is_priced = self.usd_per_question is not None or self.priced_as in self.prices.models
        return (self.hosted_model is None or is_priced) and self.prices.embedding_usd(self.embedder, 1.0) is not None

    @property
    def pays_embedder(self) -> bool:
        """Whether embedding its questions costs by the token."""
        return self.prices.embedding_usd(self.embedder, 1.0) != 0.0

    def usd_of(self, answer: Answer) -> float | None:
        """What an answer cost, by the rule of the report; None where that is not known."""
        if answer.finish_reason is FinishReason.FAILED:
            return None
        if self.usd_per_question is not None:
            return self.usd_per_question
        if TOKENS in answer.unknown:
            return None
        return estimate_answer_cost(
            answer.usage, self.prices, model=self.priced_as, embedder=self.embedder, device=self.device
        )


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
        batcher: Of a base model, by its spec.
        release: Gives back the shared model and embedder.
        is_as_measured: Whether stages and a model, by its spec, are those that were measured, so that only versions of
            the program and its libraries can have changed a fingerprint.
    """

    def __init__(
        self,
        servable: Servable,
        composition: Opens,
        batcher: Callable[[str], Batcher],
        release: Callable[[], None],
        is_as_measured: Callable[[str], bool],
    ) -> None:
        self._servable = servable
        self._composition = composition
        self._batcher = batcher
        self._release = release
        self._is_as_measured = is_as_measured
        self._dataset: Dataset | None = None

    def open_arm(self, kind: str) -> ServedArm:
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
        declared = settings.declared_figures.get(kind)
        return ServedArm(
            arm.pipeline,
            self._batcher(model),
            arm.device,
            arm.pipeline.model.name if is_hosted(spec, settings) else None,
            settings.embedder if (arm.generates and arm.retrieves) or spec.row.embeds_questions else "",
            servable.prices,
            "" if TOKENS in servable.report.arm(kind).unknown else arm.priced_as,
            declared.usd_per_question if declared is not None else None,
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
