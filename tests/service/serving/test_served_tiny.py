"""A real model with real indexes and adapters, asked by OpenAI's client beside others."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import Engine

from advisor.data.dataset import Dataset
from advisor.money.prices import load_prices
from advisor.results.answer import Pipeline
from service.run.composition import LocalComposition
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.run.workflow import load_limited_dataset, run_comparison
from service.serving.arms import Arms
from service.serving.errors import AnswerTimeoutError, ArmGoneError, ArmsMemoryError
from service.serving.limits import ServingLimits
from service.serving.pipelines import ServedPipelines
from service.serving.servable import Servable
from tests.e2e.server import served_models_of

pytestmark = pytest.mark.slow

QUESTIONS = ["Which colour has number 7?", "Which colour has number 3?", "Who painted 2?"]
KINDS = ("base", "rag", "fine-tuned", "hybrid", "nearest-question", "nearest-few-shot")


@pytest.fixture(scope="module")
def measured(
    workplace_class: Any, tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Servable, Dataset]:
    workplace = workplace_class(tmp_path_factory.mktemp("tiny"))
    model = f"hf:{tiny_reader_folder}"
    settings = replace(workplace.settings, model=model, arms=KINDS, max_epochs=1, limit=6, train_limit=16)
    report = run_comparison(settings, workplace.directory, LocalComposition, "tiny")
    return workplace, Servable("one", settings, load_prices(), report), load_limited_dataset(settings)


@pytest.fixture(scope="module")
def served(measured: tuple[Any, Servable, Dataset]) -> Iterator[ServedPipelines]:
    """In a process of its own, as the service has it."""
    workplace, servable, _ = measured
    served = ServedPipelines(workplace.directory, lambda _: servable)
    yield served
    served.close()


@pytest.fixture
def compared_arms(measured: tuple[Any, Servable, Dataset]) -> Iterator[dict[str, Pipeline]]:
    """The arms as a job of the same comparison holds them open, its index among them."""
    workplace, servable, dataset = measured
    composition = LocalComposition(servable.settings, workplace.directory, silent)
    yield {kind: composition.arm(kind, dataset).pipeline for kind in KINDS}
    composition.close()


@pytest.fixture
def service_address(
    engine: Engine, measured: tuple[Any, Servable, Dataset], served: ServedPipelines, service_class: Any, listen: Any
) -> Iterator[str]:
    service = service_class(engine, measured[:2], None)
    service.app.state.served = served
    with listen(service.app) as address:
        yield address
        # Other tests ask it as well.
        del service.app.state.served


def test_every_arm_answers_as_it_was_compared_while_a_job_holds_the_same_index(
    served: ServedPipelines, compared_arms: dict[str, Pipeline], ask: Any
) -> None:
    async def all_kinds() -> dict[str, Any]:
        return {kind: [(await served.answer("one", kind, [q]))[0] for q in QUESTIONS] for kind in KINDS}

    answered = ask(all_kinds())
    for kind, answers in answered.items():
        expected = [compared_arms[kind].answer([q])[0] for q in QUESTIONS]
        assert [one.answer.text for one in answers] == [one.text for one in expected]
        assert [one.answer.retrieved for one in answers] == [one.retrieved for one in expected]
        assert all(one.cost_usd > 0 for one in answers)
    assert answered["fine-tuned"] != answered["base"]


def test_arms_asked_at_once_do_not_mix_their_adapters(
    served: ServedPipelines, compared_arms: dict[str, Pipeline], ask: Any
) -> None:
    async def crowd() -> list[tuple[str, str, str]]:
        wanted = [(kind, q) for q in QUESTIONS for kind in KINDS]
        answers = await asyncio.gather(*(served.answer("one", kind, [q]) for kind, q in wanted))
        return [(kind, q, one.answer.text) for (kind, q), (one,) in zip(wanted, answers, strict=True)]

    for kind, question, text in ask(crowd()):
        batched = [one.text for one in compared_arms[kind].answer(QUESTIONS)]
        assert text in (batched[QUESTIONS.index(question)], compared_arms[kind].answer([question])[0].text)


def test_a_stream_that_nobody_reads_to_its_end_is_ended_in_the_process_and_lets_others_ask(
    served: ServedPipelines, compared_arms: dict[str, Pipeline], ask: Any
) -> None:
    async def leave_and_ask() -> str:
        for _ in range(3):
            pieces = served.stream("one", "rag", QUESTIONS[1])
            await anext(pieces)
            await pieces.aclose()
        return (await served.answer("one", "rag", [QUESTIONS[0]]))[0].answer.text

    assert ask(leave_and_ask()) == compared_arms["rag"].answer([QUESTIONS[0]])[0].text


def test_the_official_client_streams_from_several_threads(
    measured: tuple[Any, Servable, Dataset], service_address: str, compared_arms: dict[str, Pipeline]
) -> None:
    def stream(wanted: tuple[str, str]) -> str:
        kind, question = wanted
        with openai.OpenAI(base_url=f"{service_address}/v1", api_key="unused", max_retries=0) as client:
            chunks = client.chat.completions.create(
                model=f"one/{kind}", messages=[{"role": "user", "content": question}], stream=True
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    wanted = [(kind, QUESTIONS[0]) for kind in KINDS]
    with ThreadPoolExecutor(len(wanted)) as pool:
        texts = list(pool.map(stream, wanted))
    assert texts == [compared_arms[kind].answer([question])[0].text for kind, question in wanted]


def test_an_arm_without_a_language_model_is_served_without_loading_one(
    measured: tuple[Any, Servable, Dataset], ask: Any
) -> None:
    workplace, servable, _ = measured

    def refuse(_: ComparisonSettings) -> Any:
        raise AssertionError("the base model was loaded")

    arms = Arms(workplace.directory, ServingLimits(), load_model=refuse)
    served = ServedPipelines(workplace.directory, lambda _: servable, arms=arms)
    (one,) = ask(served.answer("one", "nearest-question", [QUESTIONS[0]]))
    assert one.answer.text
    served.close()


@pytest.mark.chaos
def test_whatever_ends_the_process_each_question_is_answered_as_ever_or_told_to_be_asked_again(
    served: ServedPipelines, ask: Any
) -> None:
    expected = {(kind, q): ask(served.answer("one", kind, [q]))[0].answer.text for kind in KINDS for q in QUESTIONS}
    n_gone = 0

    async def one(kind: str, question: str) -> bool:
        try:
            (answered,) = await served.answer("one", kind, [question])
        except ArmGoneError as error:
            assert "is started anew when you ask again" in str(error)
            return False
        assert answered.answer.text == expected[kind, question]
        return True

    async def crowd(after_s: float) -> int:
        crowd = asyncio.gather(*(one(*wanted) for wanted in expected))
        await asyncio.sleep(after_s)
        for process in served_models_of(os.getpid()):
            os.kill(process, signal.SIGKILL)
        return (await crowd).count(False)

    for after_s in (0.0, 0.02, 0.1):
        n_gone += ask(crowd(after_s))
        # Each loads its arm again.
        assert all(ask(one(*wanted)) for wanted in expected)
    assert n_gone > 0


@pytest.mark.chaos
def test_a_model_that_needs_too_much_memory_is_told_so(measured: tuple[Any, Servable, Dataset], ask: Any) -> None:
    workplace, servable, _ = measured
    served = ServedPipelines(workplace.directory, lambda _: servable, memory_bytes=300 * 2**20)
    for kind in ("base", "rag"):
        with pytest.raises((ArmsMemoryError, ArmGoneError), match="take a smaller model.*--serving-memory-gb.*raised"):
            ask(served.answer("one", kind, [QUESTIONS[0]]))
    served.close()


@pytest.mark.chaos
def test_a_process_that_hangs_is_ended_and_the_next_one_answers(
    measured: tuple[Any, Servable, Dataset], ask: Any
) -> None:
    workplace, servable, _ = measured
    served = ServedPipelines(workplace.directory, lambda _: servable, limits=ServingLimits(timeout_s=2))

    def answered() -> bool:
        with suppress(AnswerTimeoutError, ArmGoneError):
            return bool(ask(served.answer("one", "base", [QUESTIONS[0]])))
        return False

    while not answered():
        pass
    (hung,) = served_models_of(os.getpid())
    os.kill(hung, signal.SIGSTOP)
    assert not answered()
    while not answered():
        pass
    assert hung not in served_models_of(os.getpid())
    served.close()
    assert served_models_of(os.getpid()) == []
