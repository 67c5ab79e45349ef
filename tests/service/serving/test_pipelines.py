import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.money.cost import estimate_answer_cost
from lm.completion import FinishReason
from service.serving.asked import Decoding, ServedAnswer
from service.serving.errors import (
    AnswerTimeoutError,
    ClosingError,
    NoSuchPipelineError,
    NotServableError,
    TooBusyError,
)

Ask = Callable[..., Any]
QUESTION = "Which colour has number 7?"


def test_an_answer_comes_with_its_passages_and_what_it_took(desk: Any, ask: Ask) -> None:
    (one,) = ask(desk.serve().answer("one", "rag", [QUESTION]))
    assert isinstance(one, ServedAnswer)
    assert one.answer.text == "you asked 7? with 1 turns"
    assert len(one.answer.retrieved) == 3
    assert one.answer.usage.embedding_tokens > 0
    assert one.latency_s >= one.model_s > 0
    assert one.batch_size == 1


def test_a_hosted_model_s_answers_cost_its_tokens(desk: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    servable = desk.servables["one"]
    priced = replace(servable.prices, models={"hf:scripted": next(iter(servable.prices.models.values()))})
    desk.servables["one"] = replace(servable, prices=priced)
    (one,) = ask(desk.serve().answer("one", "base", [QUESTION]))
    usage = one.answer.usage
    expected = estimate_answer_cost(usage, priced, model="hf:scripted", embedder="minilm", device=None)
    assert one.cost_usd == expected
    assert expected is not None
    assert expected > 0


def test_arms_of_a_comparison_share_one_model_and_load_it_once(desk: Any, ask: Ask) -> None:
    served = desk.serve()

    async def side_by_side() -> list[str]:
        kinds = ("base", "few-shot", "rag")
        answers = await asyncio.gather(*(served.answer("one", kind, [QUESTION]) for kind in kinds))
        return [one.answer.text for (one,) in answers]

    assert ask(side_by_side()) == [f"you asked 7? with {n} turns" for n in (1, 13, 1)]
    assert len(desk.models) == 1


def test_callers_at_the_same_time_share_batches(desk: Any, ask: Ask) -> None:
    served = desk.serve(window_s=0.2)

    async def crowd() -> list[str]:
        await served.answer("one", "base", ["warm up"])
        answers = await asyncio.gather(*(served.answer("one", "base", [f"q{i}"]) for i in range(8)))
        return [one.answer.text for (one,) in answers]

    assert ask(crowd()) == [f"you asked q{i} with 1 turns" for i in range(8)]
    assert len(desk.models[0].batches) < 1 + 8


def test_comparisons_of_the_same_model_share_it_and_the_last_asked_stay(desk: Any, ask: Ask) -> None:
    desk.again_as("two")
    desk.again_as("three")
    served = desk.serve(n_comparisons=2)

    async def in_turn() -> None:
        for comparison in ("one", "two", "one", "three"):
            await served.answer(comparison, "rag", [QUESTION])

    ask(in_turn())
    assert served.open_ids == ["one", "three"]
    assert len(desk.models) == 1


def test_a_model_goes_with_the_last_comparison_that_uses_it(desk: Any, ask: Ask) -> None:
    desk.again_as("other", model="hf:another")
    other = desk.servables["other"]
    served = desk.serve(n_comparisons=1)

    async def in_turn() -> None:
        await served.answer("one", "base", [QUESTION])
        with pytest.raises(NotServableError, match="the model hf:another or what base is built of has changed"):
            await served.answer("other", "base", [QUESTION])
        await served.answer("one", "base", [QUESTION])

    ask(in_turn())
    assert other.settings.model == "hf:another"
    assert served.open_ids == ["one"]
    assert [model.name for model in desk.models] == ["hf:scripted", "hf:another"]


def test_nothing_is_asked_of_what_is_closed(desk: Any, ask: Ask) -> None:
    served = desk.serve()
    ask(served.answer("one", "rag", [QUESTION]))
    served.close()
    with pytest.raises(ClosingError):
        ask(served.answer("one", "rag", [QUESTION]))


def test_an_index_that_is_gone_is_told_with_the_remedy_and_other_arms_go_on(desk: Any, ask: Ask) -> None:
    indexes = desk.directory.root / "stages" / "indexes"
    away = indexes.with_name("away")
    indexes.rename(away)
    served = desk.serve()
    try:
        with pytest.raises(NotServableError, match="the index of this comparison is not in.*create a comparison with"):
            ask(served.answer("one", "rag", [QUESTION]))
        assert ask(served.answer("one", "base", [QUESTION]))
    finally:
        shutil.rmtree(indexes, ignore_errors=True)
        away.rename(indexes)
    assert ask(served.answer("one", "rag", [QUESTION]))


def test_unknown_comparisons_and_arms_are_refused_and_nothing_stays_open(desk: Any, ask: Ask) -> None:
    served = desk.serve()
    with pytest.raises(NotServableError, match="no two"):
        ask(served.answer("two", "base", [QUESTION]))
    with pytest.raises(NoSuchPipelineError, match="has no pipeline 'hybrid'; it has base, few-shot, rag"):
        ask(served.answer("one", "hybrid", [QUESTION]))
    assert served.open_ids == []
    assert desk.models == []


def test_changed_data_are_refused(desk: Any, ask: Ask, dataset_folder: Path) -> None:
    path = dataset_folder / "documents.jsonl"
    before = path.read_text()
    try:
        path.write_text(before.replace("c7.", "purple."))
        with pytest.raises(NotServableError, match="the dataset has changed since the comparison one was measured"):
            ask(desk.serve().answer("one", "base", [QUESTION]))
    finally:
        path.write_text(before)


def test_decoding_is_as_asked_within_what_was_measured(desk: Any, ask: Ask) -> None:
    served = desk.serve()

    async def decoded(**options: Any) -> Any:
        return (await served.answer("one", "base", [QUESTION], Decoding(**options)))[0].answer

    cut = ask(decoded(max_output_tokens=2))
    assert (cut.text, cut.finish_reason) == ("you asked", FinishReason.LENGTH)
    assert ask(decoded(max_output_tokens=10**6)).text == "you asked 7? with 1 turns"
    assert ask(decoded(stop=("with",))).text == "you asked 7?"


def test_a_stream_ends_with_the_whole_answer(desk: Any, ask: Ask) -> None:
    served = desk.serve()

    async def collect() -> list[Any]:
        return [piece async for piece in served.stream("one", "rag", QUESTION)]

    *pieces, whole = ask(collect())
    assert "".join(pieces) == whole.answer.text == "you asked 7? with 1 turns"
    assert len(whole.answer.retrieved) == 3


def test_who_waits_too_long_is_told_so_and_who_leaves_frees_the_place(desk: Any, ask: Ask) -> None:
    served = desk.serve(timeout_s=0.3, queued_questions=2)

    async def impatient() -> None:
        await served.answer("one", "base", ["warm up"])
        model = desk.models[0]
        while model.entered.acquire(blocking=False):
            pass
        model.hold()
        first = asyncio.create_task(served.answer("one", "base", ["first"]))
        await asyncio.to_thread(model.entered.acquire)
        for _ in range(5):
            leaving = asyncio.create_task(served.answer("one", "base", ["left", "left"]))
            await asyncio.sleep(0)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
        with pytest.raises(AnswerTimeoutError, match="no answer within 0.3 s"):
            await served.answer("one", "base", ["late"])
        with pytest.raises(AnswerTimeoutError):
            await first
        model.opened.set()
        await served.answer("one", "base", ["after"])

    ask(impatient())
    assert not any("left" in batch for batch in desk.models[0].batches)
    assert ["after"] in desk.models[0].batches


def test_too_many_questions_are_refused_at_once(desk: Any, ask: Ask) -> None:
    with pytest.raises(TooBusyError):
        ask(desk.serve(queued_questions=3).answer("one", "base", ["a", "b", "c", "d"]))
