"""The way in: questions to the arms of finished comparisons, from any number of callers."""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from lm.completion import FinishReason
from lm.errors import ConfigError, LanguageModelError
from service.serving.arms import Arms
from service.serving.arms_process import ArmsProcess
from service.serving.asked import AS_MEASURED, Decoding, ServedAnswer
from service.serving.batcher import Batched
from service.serving.comparisons import Lease, OpenComparisons, ServedArm
from service.serving.endpoint_failure import endpoint_failure
from service.serving.errors import AnswerTimeoutError, EndpointFailedError
from service.serving.limits import ServingLimits
from service.serving.servable import Servable
from service.store.data_directory import DataDirectory
from service.store.key_budget import KeyBudget


class ServedPipelines:
    """Loads arms when they are first asked, batches questions, and lets go of what was not asked for long.

    Nothing heavy is imported before the first question.

    Args:
        read: A finished comparison by its id in the database; raises NotServableError where there is none.
        memory_bytes: That the process of the models may allocate; 0 for four fifths of the machine's.
        arms: Where arms are opened; in a process of their own if not given.
    """

    def __init__(
        self,
        directory: DataDirectory,
        read: Callable[[str], Servable],
        *,
        limits: ServingLimits | None = None,
        memory_bytes: int = 0,
        arms: Arms | None = None,
    ) -> None:
        self.limits = limits or ServingLimits()
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._arms: Arms | ArmsProcess | None = arms
        # What a killed process of an earlier version left; the data directory belongs to this one.
        shutil.rmtree(directory.root / "serving", ignore_errors=True)
        self._comparisons = OpenComparisons(read, self._living_arms, self.limits)

    @property
    def open_ids(self) -> list[str]:
        """Comparisons in memory, the one asked longest ago first."""
        return self._comparisons.ids

    async def answer(
        self,
        comparison_id: str,
        kind: str,
        questions: Sequence[str],
        decoding: Decoding = AS_MEASURED,
        budget: KeyBudget | None = None,
    ) -> list[ServedAnswer]:
        """One answer a question, in order. Cancelling the task gives up what has not begun.

        Args:
            budget: Of the key that pays for what endpoints take.

        Raises:
            KeySpentError: it may spend no more.
            NotServableError: the comparison cannot be asked; NoSuchPipelineError: it can, but has no such arm.
            TooBusyError, ClosingError, AnswerTimeoutError: not now.
            ArmGoneError, ArmsMemoryError: the process of the models ended.
            EndpointFailedError: a hosted model or embedder is down; EndpointTimeoutError: late.
            LanguageModelError: a question cannot be answered, for example one that is too long.
        """
        started = time.monotonic()
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_s
        with self._comparisons.lease(comparison_id) as lease, _late_endpoint_named() as asked:
            async with self._until(deadline):
                arm = asked.arm = await self._arm(lease, kind)
                pay = await _paying(arm, budget)
                pipeline = decoding.applied(arm.pipeline)
                call = arm.batcher.submit(pipeline, pipeline, questions)
                for future in call.futures:
                    future.add_done_callback(pay)
                try:
                    batched = []
                    for number, future in enumerate(call.futures, 1):
                        where = f"question {number} of {len(questions)}: " if len(questions) > 1 else ""
                        try:
                            batched.append(await asyncio.wrap_future(future))
                        except LanguageModelError as error:
                            raise LanguageModelError(f"{where}{error}") from error
                        if batched[-1].answer.finish_reason is FinishReason.FAILED:
                            raise EndpointFailedError(f"{where}{arm.hosted_model} gave no answer; ask again later")
                finally:
                    call.abandon()
        latency_s = time.monotonic() - started
        return [_served(arm, question, one, latency_s) for question, one in zip(questions, batched, strict=True)]

    async def stream(
        self,
        comparison_id: str,
        kind: str,
        question: str,
        decoding: Decoding = AS_MEASURED,
        budget: KeyBudget | None = None,
    ) -> AsyncGenerator[str | ServedAnswer, None]:
        """Pieces of the answer as they are generated, then the whole. Closing it early ends generation.

        Raises:
            As `answer`; all but a failing model before the first piece.
        """
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.timeout_s
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(piece: str | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        with self._comparisons.lease(comparison_id) as lease, _late_endpoint_named() as asked:
            async with self._until(deadline):
                arm = asked.arm = await self._arm(lease, kind)
                pay = await _paying(arm, budget)
            pipeline = decoding.applied(arm.pipeline)
            call = arm.batcher.submit((pipeline, "stream"), pipeline, [question], tell)
            call.futures[0].add_done_callback(pay)
            call.futures[0].add_done_callback(lambda _: tell(None))
            try:
                while True:
                    async with self._until(deadline):
                        piece = await pieces.get()
                    if piece is None:
                        break
                    yield piece
                yield _served(arm, question, call.futures[0].result(), time.monotonic() - started)
            finally:
                call.abandon()

    @contextmanager
    def apart(self) -> Iterator[Arms | ArmsProcess]:
        """A process without open arms, for one heavy thing, that ends with the block."""
        if isinstance(self._arms, Arms):
            yield self._arms
            return
        process = self._new_process()
        try:
            yield process
        finally:
            process.end()

    def close(self, *, at_once: bool = False) -> None:
        """Stop answering and let go of everything, after what is under way if not at once."""
        if at_once and self._arms is not None:
            self._arms.end()
        self._comparisons.close()
        if self._arms is not None:
            self._arms.end()

    async def _arm(self, lease: Lease, kind: str) -> ServedArm:
        loading = self._comparisons.arm(lease, kind)
        # Others may wait for the same arm, so that one caller's end must not cancel it.
        return loading.result() if loading.done() else await asyncio.shield(asyncio.wrap_future(loading))

    @asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError as error:
            raise AnswerTimeoutError(
                f"no answer within {self.limits.timeout_s:g} s; ask fewer questions at a time, or try again later"
            ) from error

    def _living_arms(self) -> Arms | ArmsProcess:
        if self._arms is None or self._arms.is_gone:
            self._arms = self._new_process()
        return self._arms

    def _new_process(self) -> ArmsProcess:
        return ArmsProcess(self._directory, self.limits, self._memory_bytes)


@dataclass
class _Asked:
    arm: ServedArm | None = None


@contextmanager
def _late_endpoint_named() -> Iterator[_Asked]:
    """Tells that another machine's model is late from that ours is."""
    asked = _Asked()
    try:
        yield asked
    except AnswerTimeoutError as error:
        hosted_model = asked.arm.hosted_model if asked.arm is not None else None
        if (failure := endpoint_failure(error, hosted_model)) is not None:
            raise failure from error
        raise


async def _paying(arm: ServedArm, budget: KeyBudget | None) -> Callable[[Future[Batched]], None]:
    """What charges a key for an answer once it is there, also where its caller has gone meanwhile.

    Raises:
        KeySpentError: the key may spend no more.
        ConfigError: it has a limit, and nobody knows what the model costs.
    """
    if budget is None or (arm.hosted_model is None and not arm.pays_embedder):
        return lambda _: None
    await asyncio.to_thread(budget.check)
    if not arm.has_price and await asyncio.to_thread(budget.left_usd) is not None:
        raise ConfigError(
            f"{arm.hosted_model or arm.embedder} has no price, or does not tell its tokens, so what it spends of the "
            "limit of your key cannot be told; use a key without a limit, or compare again with a price list that "
            "names it, or with ARM.usd_per_question declared"
        )

    def pay(future: Future[Batched]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        answer = future.result().answer
        embedding_usd = arm.prices.embedding_usd(arm.embedder, answer.usage.embedding_tokens)
        budget.spend((arm.usd_of(answer) if arm.hosted_model is not None else embedding_usd) or 0.0)

    return pay


def _served(arm: ServedArm, question: str, one: Batched, latency_s: float) -> ServedAnswer:
    return ServedAnswer(question, one.answer, latency_s, one.model_s, one.batch_size, arm.usd_of(one.answer))
