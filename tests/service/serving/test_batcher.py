import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from advisor.data.prompt import QuestionOnly
from advisor.results.answer import Pipeline
from lm.completion import GenerationConfig, Messages
from lm.errors import LanguageModelError
from service.serving.batcher import Batcher, Call
from service.serving.errors import ClosingError, TooBusyError

WAIT_S = 30
Make = Callable[..., Batcher]


def last_word(prompt: Messages) -> str:
    if prompt[-1].content.endswith("bad"):
        raise LanguageModelError("the prompt is bad")
    if prompt[-1].content.endswith("down"):
        raise LanguageModelError("the endpoint is down")
    return prompt[-1].content.split()[-1]


@pytest.fixture
def model(gate_class: Any) -> Any:
    return gate_class(last_word)


@pytest.fixture
def pipeline(model: Any) -> Pipeline:
    return Pipeline("base", model, QuestionOnly(""), GenerationConfig(batch_size=4))


@pytest.fixture
def make(model: Any) -> Iterator[Make]:
    made: list[Batcher] = []

    def build(**options: Any) -> Batcher:
        defaults = {"batch_questions": 16, "queued_questions": 64, "window_s": 0.0}
        made.append(Batcher("test", **(defaults | options)))
        return made[-1]

    yield build
    model.opened.set()
    for batcher in made:
        batcher.close()


def busy(batcher: Batcher, pipeline: Pipeline, model: Any) -> Call:
    """Hold the model at a first question, so that what follows has to wait."""
    model.hold()
    call = batcher.submit("first", pipeline, ["first"])
    assert model.entered.acquire(timeout=WAIT_S)
    return call


def texts(call: Call) -> list[str]:
    return [future.result(WAIT_S).answer.text for future in call.futures]


def test_questions_of_several_callers_share_a_batch_and_each_gets_its_own_answer(
    make: Make, pipeline: Pipeline, model: Any
) -> None:
    batcher = make()
    first = busy(batcher, pipeline, model)
    calls = [batcher.submit("lane", pipeline, [f"q{i}"]) for i in range(3)]
    model.opened.set()
    assert [texts(call) for call in calls] == [["q0"], ["q1"], ["q2"]]
    assert texts(first) == ["first"]
    assert model.batches == [["first"], ["q0", "q1", "q2"]]
    assert {call.futures[0].result().batch_size for call in calls} == {3}


def test_a_batch_waits_a_moment_for_others(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make(window_s=WAIT_S)
    calls = [batcher.submit("lane", pipeline, [f"q{i}"]) for i in range(4)]
    assert [texts(call) for call in calls] == [["q0"], ["q1"], ["q2"], ["q3"]]
    assert model.batches == [["q0", "q1", "q2", "q3"]]


def test_no_batch_is_larger_than_the_arm_was_measured_with(make: Make, pipeline: Pipeline, model: Any) -> None:
    call = make().submit("lane", pipeline, [f"q{i}" for i in range(9)])
    assert texts(call) == [f"q{i}" for i in range(9)]
    assert [len(batch) for batch in model.batches] == [4, 4, 1]


def test_a_caller_with_one_question_does_not_wait_for_one_with_many(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    busy(batcher, pipeline, model)
    many = batcher.submit("lane", pipeline, [f"m{i}" for i in range(8)])
    one = batcher.submit("lane", pipeline, ["one"])
    model.opened.set()
    assert (texts(one), texts(many)) == (["one"], [f"m{i}" for i in range(8)])
    assert model.batches[1] == ["m0", "one", "m1", "m2"]


def test_pipelines_take_turns(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    busy(batcher, pipeline, model)
    calls = [batcher.submit(lane, pipeline, [f"{lane}{i}" for i in range(8)]) for lane in ("a", "b")]
    model.opened.set()
    for call in calls:
        texts(call)
    assert [batch[0][0] for batch in model.batches[1:]] == ["a", "b", "a", "b"]


def test_a_full_queue_refuses_and_says_when_to_come_back(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make(queued_questions=3)
    busy(batcher, pipeline, model)
    call = batcher.submit("lane", pipeline, ["a", "b"])
    with pytest.raises(TooBusyError, match="2 questions wait for this model already and 3 may") as refused:
        batcher.submit("lane", pipeline, ["c", "d"])
    assert refused.value.retry_after_s >= 1
    model.opened.set()
    assert texts(call) == ["a", "b"]
    assert texts(batcher.submit("lane", pipeline, ["c", "d"])) == ["c", "d"]


def test_what_nobody_waits_for_any_more_is_not_asked(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    busy(batcher, pipeline, model)
    gone, stays = batcher.submit("lane", pipeline, ["gone"]), batcher.submit("lane", pipeline, ["stays"])
    alone = batcher.submit("other", pipeline, ["alone"])
    gone.abandon()
    alone.abandon()
    model.opened.set()
    assert texts(stays) == ["stays"]
    with pytest.raises(CancelledError):
        gone.futures[0].result(WAIT_S)
    assert texts(batcher.submit("lane", pipeline, ["end"])) == ["end"]
    assert model.batches == [["first"], ["stays"], ["end"]]
    assert batcher.n_waiting == 0


def test_a_question_that_cannot_be_answered_costs_only_itself(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    busy(batcher, pipeline, model)
    calls = [batcher.submit("lane", pipeline, [text]) for text in ("good", "bad", "fine")]
    model.opened.set()
    assert (texts(calls[0]), texts(calls[2])) == (["good"], ["fine"])
    with pytest.raises(LanguageModelError, match="the prompt is bad"):
        texts(calls[1])


def test_a_failing_model_is_not_asked_once_more_for_each_question(make: Make, pipeline: Pipeline, model: Any) -> None:
    call = make(window_s=WAIT_S).submit("lane", pipeline, ["down", "is down", "c", "d"])
    for future in call.futures:
        with pytest.raises(LanguageModelError, match="is down"):
            future.result(WAIT_S)
    assert model.batches == [["down", "is down", "c", "d"], ["down"], ["is down"]]


def test_a_stream_gives_pieces_and_then_the_answer(make: Make, gate_class: Any) -> None:
    pieces: list[str] = []
    pipeline = Pipeline("base", gate_class(lambda _: "one two three"), QuestionOnly(""), GenerationConfig())
    call = make().submit("lane", pipeline, ["q"], pieces.append)
    assert texts(call) == ["one two three"]
    assert pieces == ["one", " two", " three"]


def test_an_abandoned_stream_ends_and_frees_the_model(make: Make, gate_class: Any) -> None:
    pipeline = Pipeline("base", gate_class(lambda _: "one two three"), QuestionOnly(""), GenerationConfig())
    batcher = make()
    pieces: list[str] = []
    began, go_on = threading.Event(), threading.Event()

    def tell(piece: str) -> None:
        pieces.append(piece)
        began.set()
        assert go_on.wait(WAIT_S)

    call = batcher.submit("lane", pipeline, ["q"], tell)
    assert began.wait(WAIT_S)
    call.abandon()
    go_on.set()
    with pytest.raises(CancelledError):
        call.futures[0].result(WAIT_S)
    assert texts(batcher.submit("other", pipeline, ["q"])) == ["one two three"]
    assert pieces == ["one"]


def test_closing_refuses_what_waits_and_what_comes(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    first = busy(batcher, pipeline, model)
    waiting = batcher.submit("lane", pipeline, ["a"])
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(ClosingError):
        waiting.futures[0].result(WAIT_S)
    with pytest.raises(ClosingError, match="ask again when it is back"):
        batcher.submit("lane", pipeline, ["b"])
    model.opened.set()
    closing.join(WAIT_S)
    assert texts(first) == ["first"]


def test_closing_need_not_wait_for_a_model_that_is_slow_to_answer(make: Make, pipeline: Pipeline, model: Any) -> None:
    batcher = make()
    held = busy(batcher, pipeline, model)
    batcher.close(waits=False)
    assert not held.futures[0].done()
    model.opened.set()
    assert texts(held) == ["first"]
