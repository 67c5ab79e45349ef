"""A comparison and its arms as those see them who ask: where each is asked, in which queue, at what price."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.answer import TOKENS, Answer
from lm.completion import FinishReason
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.arms import Arms
from service.serving.arms_process import ArmsProcess
from service.serving.asked import AskedPipeline
from service.serving.batcher import Batcher
from service.serving.limits import ServingLimits
from service.serving.opened import Servable
from service.serving.shared import Shared, Taken


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

    pipeline: AskedPipeline
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


class ServedComparison:
    """The arms of one comparison. One thread at a time opens and closes.

    Args:
        arms: Where arms are to be opened now.
    """

    def __init__(
        self,
        servable: Servable,
        arms: Callable[[], Arms | ArmsProcess],
        batchers: Shared[Batcher],
        limits: ServingLimits,
    ) -> None:
        self._servable = servable
        self._arms = arms
        self._batchers = batchers
        self._limits = limits
        self._opened_in: Arms | ArmsProcess | None = None
        self._taken = Taken()

    def open_arm(self, kind: str) -> ServedArm:
        """The arm of that id, as it was measured; raises as `Arms.open`."""
        servable, arms = self._servable, self._arms()
        self._opened_in = arms
        facts = arms.open(servable, kind)
        settings = servable.settings
        asked = settings.with_model(settings.model_of(settings.arm(kind)))
        key = (asked.model, asked.load_options)
        declared = settings.declared_figures.get(kind)
        return ServedArm(
            AskedPipeline(arms, servable.id, kind, facts.generation),
            self._taken.take(self._batchers, key, partial(_new_batcher, asked, self._limits)),
            facts.device,
            facts.hosted_model,
            facts.embedder,
            servable.prices,
            facts.priced_as,
            declared.usd_per_question if declared is not None else None,
        )

    def close(self) -> None:
        """Release everything; nobody asks any more."""
        if self._opened_in is not None:
            self._opened_in.close(self._servable.id)
        self._taken.give_back()


def _new_batcher(settings: ComparisonSettings, limits: ServingLimits) -> Batcher:
    """The queue to a base model."""
    is_remote = parse_spec(settings.model)[0] == "openai"
    return Batcher(
        settings.model,
        batch_questions=limits.batch_questions,
        queued_questions=limits.queued_questions,
        window_s=limits.window_s,
        n_threads=limits.n_remote_threads if is_remote else 1,
    )
