"""The way in: questions to the arms of finished comparisons, from any number of callers.

Each comparison is opened once, and each arm loaded once, however many ask.
"""

import asyncio
import shutil
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock

from lm.completion import FinishReason
from lm.errors import LanguageModelError
from lm.registry import parse_spec
from service.run.settings import ComparisonSettings
from service.serving.arms import Arms
from service.serving.arms_process import ArmsProcess
from service.serving.asked import AS_MEASURED, Decoding, ServedAnswer
from service.serving.batcher import AskedPipeline, Batcher
from service.serving.endpoint_failure import endpoint_failure
from service.serving.errors import AnswerTimeoutError, ClosingError, EndpointFailedError
from service.serving.limits import ServingLimits
from service.serving.servable import Servable
from service.serving.served_arm import ServedArm
from service.serving.shared import Shared, Taken
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
                pay = await arm.paying(budget)
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
        return [arm.served(question, one, latency_s) for question, one in zip(questions, batched, strict=True)]

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
                pay = await arm.paying(budget)
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
                yield arm.served(question, call.futures[0].result(), time.monotonic() - started)
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

    async def _arm(self, lease: "Lease", kind: str) -> ServedArm:
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
        # The thread that closes also loads: until the end it waits for nobody's answers.
        self._batchers: Shared[Batcher] = Shared(lambda batcher: batcher.close(waits=self._is_closed))
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
