"""The comparisons that are open at a time, the ones asked last, and their arms as those see them who ask.

Each comparison is opened once, and each arm loaded once, however many ask.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock

from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.answer import TOKENS, Answer
from lm.completion import FinishReason
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.arms import Arms
from service.serving.arms_process import ArmsProcess
from service.serving.batcher import AskedPipeline, Batcher
from service.serving.errors import ClosingError
from service.serving.limits import ServingLimits
from service.serving.servable import Servable
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


class Lease:
    """A comparison that callers use, and what is open of it: it is not closed before they are done.

    Attributes:
        arms: By id, loaded or being loaded; opened_in: where the last of them is.
        taken: The queues of its models.
    """

    def __init__(self, comparison_id: str) -> None:
        self.comparison_id = comparison_id
        self.n_users = 0
        self.servable: Servable | None = None
        self.arms: dict[str, Future[ServedArm]] = {}
        self.opened_in: Arms | ArmsProcess | None = None
        self.taken = Taken()


class OpenComparisons:
    """At most so many comparisons in memory; those in use are never closed, even where they are more.

    Args:
        read: A finished comparison by its id in the database.
        living_arms: Where arms are to be opened now.
    """

    def __init__(
        self, read: Callable[[str], Servable], living_arms: Callable[[], Arms | ArmsProcess], limits: ServingLimits
    ) -> None:
        self._read = read
        self._living_arms = living_arms
        self._limits = limits
        self._batchers: Shared[Batcher] = Shared(lambda batcher: batcher.close())
        self._lock = Lock()
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._is_closed = False
        # One thread: models are loaded one after the other, and what is being loaded is not closed.
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loads arms")

    @contextmanager
    def lease(self, comparison_id: str) -> Iterator[Lease]:
        """Use of a comparison, from now to the end of the block. Loads nothing yet.

        Raises:
            ClosingError: all are being closed.
        """
        with self._lock:
            self._refuse_when_closed()
            lease = self._leases.setdefault(comparison_id, Lease(comparison_id))
            self._leases.move_to_end(comparison_id)
            lease.n_users += 1
        try:
            yield lease
        finally:
            with self._lock:
                lease.n_users -= 1
                self._close_surplus()

    def arm(self, lease: Lease, kind: str) -> "Future[ServedArm]":
        """An arm of a leased comparison, loaded by our thread; what failed or is gone is loaded when asked again.

        Raises:
            ClosingError: all are being closed.
        """
        with self._lock:
            self._refuse_when_closed()
            known = lease.arms.get(kind)
            if known is None or not _is_loaded(known):
                known = lease.arms[kind] = self._loader.submit(self._load, lease, kind)
            return known

    def close(self) -> None:
        """Close all, the ones in use among them."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            leases, self._leases = list(self._leases.values()), OrderedDict()
        for lease in leases:
            self._loader.submit(_close, lease)
        self._loader.shutdown(wait=True)

    @property
    def ids(self) -> list[str]:
        """Comparisons that are open or being opened, the one asked longest ago first."""
        with self._lock:
            return list(self._leases)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise ClosingError("the service is being stopped; ask again when it is back")

    def _load(self, lease: Lease, kind: str) -> ServedArm:
        """The arm of that id, as it was measured; raises as `read` and `Arms.open`."""
        if lease.servable is None:
            lease.servable = self._read(lease.comparison_id)
        servable, arms = lease.servable, self._living_arms()
        lease.opened_in = arms
        facts = arms.open(servable, kind)
        settings = servable.settings
        asked = settings.with_model(settings.model_of(settings.arm(kind)))
        key = (asked.model, asked.load_options)
        declared = settings.declared_figures.get(kind)
        return ServedArm(
            AskedPipeline(arms, servable.id, kind, facts.generation),
            lease.taken.take(self._batchers, key, partial(_new_batcher, asked, self._limits)),
            facts.device,
            facts.hosted_model,
            facts.embedder,
            servable.prices,
            facts.priced_as,
            declared.usd_per_question if declared is not None else None,
        )

    def _close_surplus(self) -> None:
        unused = [lease for lease in self._leases.values() if not lease.n_users]
        empty = [lease for lease in unused if not any(_is_loaded(arm) for arm in lease.arms.values())]
        surplus = [lease for lease in unused if lease not in empty]
        n_too_many = len(self._leases) - len(empty) - self._limits.n_comparisons
        for lease in [*empty, *surplus[: max(0, n_too_many)]]:
            del self._leases[lease.comparison_id]
            self._loader.submit(_close, lease)


def _is_loaded(arm: "Future[ServedArm]") -> bool:
    """A load under way counts: whoever asked may have gone, the next one will be glad of it."""
    return not arm.done() or (arm.exception() is None and not arm.result().pipeline.arms.is_gone)


def _close(lease: Lease) -> None:
    if lease.opened_in is not None:
        lease.opened_in.close(lease.comparison_id)
    lease.taken.give_back()


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
