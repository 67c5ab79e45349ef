"""An arm as those see it who ask: in which queue it is asked, what an answer costs, and who pays."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.answer import TOKENS, Answer
from lm.completion import FinishReason
from lm.errors import ConfigError
from service.serving.asked import ServedAnswer
from service.serving.batcher import AskedPipeline, Batched, Batcher
from service.store.key_budget import KeyBudget


@dataclass(frozen=True)
class ServedArm:
    """One arm, ready to be asked, and what its answers cost.

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

    async def paying(self, budget: KeyBudget | None) -> Callable[[Future[Batched]], None]:
        """What charges a key for an answer once it is there, also where its caller has gone meanwhile.

        Raises:
            KeySpentError: the key may spend no more.
            ConfigError: it has a limit, and nobody knows what the model costs.
        """
        if budget is None or (self.hosted_model is None and not self.pays_embedder):
            return lambda _: None
        await asyncio.to_thread(budget.check)
        if not self.has_price and await asyncio.to_thread(budget.left_usd) is not None:
            raise ConfigError(
                f"{self.hosted_model or self.embedder} has no price, or does not tell its tokens, so what it spends of "
                "the limit of your key cannot be told; use a key without a limit, or compare again with a price list "
                "that names it, or with ARM.usd_per_question declared"
            )

        def pay(future: Future[Batched]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            answer = future.result().answer
            embedding_usd = self.prices.embedding_usd(self.embedder, answer.usage.embedding_tokens)
            budget.spend((self.usd_of(answer) if self.hosted_model is not None else embedding_usd) or 0.0)

        return pay

    def served(self, question: str, one: Batched, latency_s: float) -> ServedAnswer:
        """An answer of it, and what that took."""
        return ServedAnswer(question, one.answer, latency_s, one.model_s, one.batch_size, self.usd_of(one.answer))
