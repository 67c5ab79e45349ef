"""Questions of many callers to one model, answered in batches by the threads that own it."""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from advisor.results.answer import Answer, Pipeline
from lm.completion import GenerationConfig
from service.serving.arms import Arms
from service.serving.arms_process import ArmsProcess
from service.serving.errors import ClosingError, TooBusyError

OnPiece = Callable[[str], None]

_CLOSING_S = 30.0
_LONGEST_RETRY_S = 60
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class AskedPipeline:
    """The pipeline of an arm that is open where `arms` are, as those see it who ask.

    Attributes:
        generation: How its answers are decoded.
    """

    arms: Arms | ArmsProcess
    comparison_id: str
    kind: str
    generation: GenerationConfig

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """One answer a question, in order."""
        return self.arms.answer(self.comparison_id, self.kind, self.generation, questions)

    def stream(self, question: str) -> Generator[str, None, Answer]:
        """Pieces of the answer to one question as they are generated; the generator returns the whole answer."""
        return self.arms.stream(self.comparison_id, self.kind, self.generation, question)


@dataclass(frozen=True, slots=True)
class Batched:
    """An answer and the batch it came from.

    Attributes:
        model_s: Wall seconds of the whole batch, retrieval included; the answer's own `latency_s` is its share.
    """

    answer: Answer
    model_s: float
    batch_size: int


class Call:
    """One caller's questions to one pipeline.

    Attributes:
        futures: One a question, in order.
    """

    def __init__(self, pipeline: AskedPipeline | Pipeline, questions: Sequence[str], on_piece: OnPiece | None) -> None:
        self.pipeline = pipeline
        self.on_piece = on_piece
        self.arrived = time.monotonic()
        self.futures: list[Future[Batched]] = [Future() for _ in questions]
        self.waiting = deque(zip(questions, self.futures, strict=True))
        self.is_abandoned = False

    def abandon(self) -> None:
        """Nobody waits any more: what has not begun is not answered, and a stream ends at its next piece."""
        self.is_abandoned = True
        for future in self.futures:
            future.cancel()


class Batcher:
    """One queue to one model.

    Questions form a batch where their lane is the same: the same pipeline and decoding. Lanes take turns, and so do the
    callers within a lane, one question each, so that a caller with many questions cannot keep another waiting for more
    than the batch under way and one for each other lane.

    Args:
        name: Of the threads.
        batch_questions: Most questions a batch.
        queued_questions: Most questions that wait.
        window_s: How long the first question of a batch waits for more.
        n_threads: 1 where the model can do one thing at a time.
    """

    def __init__(
        self, name: str, *, batch_questions: int, queued_questions: int, window_s: float, n_threads: int = 1
    ) -> None:
        self._batch_questions = batch_questions
        self._queued_questions = queued_questions
        self._window_s = window_s
        self._lanes: OrderedDict[Hashable, deque[Call]] = OrderedDict()
        self._n_waiting = 0
        self._seconds_per_question = 0.0
        self._is_closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"answers {name} {i}", daemon=True) for i in range(n_threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def n_waiting(self) -> int:
        """Questions that wait, abandoned ones among them until their turn comes."""
        return self._n_waiting

    def submit(
        self,
        lane: Hashable,
        pipeline: AskedPipeline | Pipeline,
        questions: Sequence[str],
        on_piece: OnPiece | None = None,
    ) -> Call:
        """Queue questions; returns at once.

        Args:
            lane: Equal for calls whose pipeline and decoding are equal.
            on_piece: Called on a thread of ours with each piece of a single question's answer as it is generated; such
                calls need a lane of their own.
        Raises:
            TooBusyError: the queue is full.
            ClosingError: the service is being stopped.
        """
        call = Call(pipeline, questions, on_piece)
        with self._changed:
            if self._is_closed:
                raise ClosingError("the service is being stopped; ask again when it is back")
            if self._n_waiting + len(questions) > self._queued_questions:
                self._drop_abandoned()
            if self._n_waiting + len(questions) > self._queued_questions:
                raise TooBusyError(
                    f"{self._n_waiting} questions wait for this model already and {self._queued_questions} may; ask "
                    "again later, or fewer at a time",
                    self._retry_after_s(),
                )
            self._lanes.setdefault(lane, deque()).append(call)
            self._n_waiting += len(questions)
            self._changed.notify()
        return call

    def close(self, *, waits: bool = True) -> None:
        """Refuse what waits, and stop each thread after the batch it is at.

        Args:
            waits: Whether to return when they have stopped; an endpoint that trickles holds them for long.
        """
        with self._changed:
            self._is_closed = True
            waiting = [future for calls in self._lanes.values() for call in calls for _, future in call.waiting]
            self._lanes.clear()
            self._n_waiting = 0
            self._changed.notify_all()
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(ClosingError("the service is being stopped; ask again when it is back"))
        for thread in self._threads if waits else ():
            if thread is not threading.current_thread():
                thread.join(_CLOSING_S)

    def _drop_abandoned(self) -> None:
        for lane, calls in list(self._lanes.items()):
            for call in calls:
                kept = [(question, future) for question, future in call.waiting if not future.cancelled()]
                self._n_waiting -= len(call.waiting) - len(kept)
                call.waiting = deque(kept)
            left = deque(call for call in calls if call.waiting)
            if left:
                self._lanes[lane] = left
            else:
                del self._lanes[lane]

    def _retry_after_s(self) -> int:
        return min(_LONGEST_RETRY_S, max(1, math.ceil(self._n_waiting * self._seconds_per_question)))

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            call, taken = batch
            started = time.monotonic()
            _answer(call, taken)
            each_s = (time.monotonic() - started) / len(taken)
            self._seconds_per_question += _SMOOTHING * (each_s - self._seconds_per_question)

    def _take(self) -> tuple[Call, list[tuple[str, Future[Batched]]]] | None:
        """The next batch, and one of the calls it is from; None once closed."""
        with self._changed:
            while not self._is_closed:
                if not self._lanes:
                    self._changed.wait()
                    continue
                lane, calls = next(iter(self._lanes.items()))
                first = calls[0]
                size = self._size(first)
                left_s = first.arrived + self._window_s - time.monotonic()
                if left_s > 0 and first.on_piece is None and sum(len(call.waiting) for call in calls) < size:
                    self._changed.wait(left_s)
                    continue
                if taken := self._cut(lane, calls, size):
                    return first, taken
            return None

    def _size(self, call: Call) -> int:
        if call.on_piece is not None:
            return 1
        return max(1, min(self._batch_questions, call.pipeline.generation.batch_size))

    def _cut(self, lane: Hashable, calls: deque[Call], size: int) -> list[tuple[str, Future[Batched]]]:
        taken: list[tuple[str, Future[Batched]]] = []
        while calls and len(taken) < size:
            call = calls.popleft()
            question, future = call.waiting.popleft()
            self._n_waiting -= 1
            if future.set_running_or_notify_cancel():
                taken.append((question, future))
            if call.waiting:
                calls.append(call)
        if calls:
            self._lanes.move_to_end(lane)
        else:
            del self._lanes[lane]
        return taken


def _answer(call: Call, taken: Sequence[tuple[str, Future[Batched]]]) -> None:
    """Answer a batch. A question that cannot be answered costs only itself: the others are asked again one by one."""
    started = time.monotonic()
    try:
        if call.on_piece is not None:
            answers = [_stream(call, taken[0][0], call.on_piece)]
        else:
            answers = call.pipeline.answer([question for question, _ in taken])
    except Exception as error:
        failed = error
    else:
        model_s = time.monotonic() - started
        for answer, (_, future) in zip(answers, taken, strict=True):
            future.set_result(Batched(answer, model_s, len(taken)))
        return
    if len(taken) == 1:
        taken[0][1].set_exception(failed)
        return
    for i, one in enumerate(taken):
        _answer(call, [one])
        failures = {str(future.exception()) for _, future in taken[: i + 1]}
        if i == 1 and failures == {str(failed)}:
            # The same failure twice, for one question each, is about the model and not about a question.
            for _, future in taken[2:]:
                future.set_exception(failed)
            return


def _stream(call: Call, question: str, on_piece: OnPiece) -> Answer:
    pieces = call.pipeline.stream(question)
    try:
        while True:
            if call.is_abandoned:
                raise CancelledError
            on_piece(next(pieces))
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer
    finally:
        pieces.close()
