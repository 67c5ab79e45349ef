import asyncio
import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.data.dataset import DatasetCard, Example
from advisor.metrics.registry import METRICS, metric
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoringResources
from lm.completion import Messages
from lm.errors import LanguageModelError
from lm.fake import FakeLM

MakeExample = Callable[..., Example]
MakeAnswer = Callable[..., Answer]


@pytest.fixture(autouse=True)
def nothing_is_opened_and_nothing_sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever ragas does here: no cache of pickles, no usage report, no connection. It would hide an exception."""
    done: list[str] = []
    for name in ("diskcache.Cache.__init__", "requests.post", "socket.socket.connect"):
        monkeypatch.setattr(name, lambda *_, name=name, **__: done.append(name))
    yield
    assert done == []


class SameVectorEmbedder:
    name = "same"
    fingerprint = "same"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.tile(np.array([0.6, 0.8], dtype=np.float32), (len(texts), 1))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)


def judge_script(prompt: Messages) -> str:
    """Replies by what is asked; finds everything true that does not mention the moon."""
    text = prompt[0].content
    asked = text.rsplit("Now perform the same", 1)[1]
    verdict = int("moon" not in asked)
    if "fully understandable statements" in text:
        return json.dumps({"statements": [asked, "It is so."]})
    if "faithfulness of a series" in text:
        second = {"statement": "It is so.", "reason": "", "verdict": 1}
        return json.dumps({"statements": [{"statement": "x", "reason": "", "verdict": verdict}, second]})
    if "context was useful" in text:
        return json.dumps({"reason": "", "verdict": verdict})
    if "attributed to the given context" in text:
        return json.dumps({"classifications": [{"statement": "x", "reason": "", "attributed": verdict}]})
    return json.dumps({"question": "Where?", "noncommittal": 1 - verdict})


def score(name: str, examples: list[Example], answers: list[Answer], resources: ScoringResources) -> list[Score]:
    return metric(name).score(examples, answers, resources)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ragas_exact_match", "Rhine River", 1),
        ("ragas_exact_match", "rhine", 0),
        ("ragas_string_presence", "the Rhine River flows", 1),
        ("ragas_string_similarity", "Rhin", 0.8),
        ("ragas_rouge", "Rhine", 1),
        ("ragas_chrf", "Rhine", 1),
        ("ragas_bleu", "Main", 0),
    ],
)
def test_string_metrics_take_the_best_reference(
    name: str, text: str, expected: float, card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    (result,) = score(name, [example("Rhine River", "Rhine")], [answer(text)], ScoringResources(card))
    assert result.value == pytest.approx(expected)


def test_id_metrics_compare_sets_of_documents(card: DatasetCard, example: MakeExample, answer: MakeAnswer) -> None:
    pair = [example("x", documents=("a", "b"))], [answer("x", ("a", "c", "a", "d"))]
    assert score("ragas_context_precision_id", *pair, ScoringResources(card))[0].value == pytest.approx(1 / 3)
    assert score("ragas_context_recall_id", *pair, ScoringResources(card))[0].value == 0.5


def test_ragas_bleu_has_the_limits_its_entry_states(
    card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    reference = "It is a red car. The blue house is small."
    examples = [example(reference), example(reference), example("Paris")]
    answers = [answer("It is a red car. Quite other words stand here."), answer(reference), answer("Paris")]
    scores = score("ragas_bleu", examples, answers, ScoringResources(card))
    assert [s.value for s in scores] == [pytest.approx(1), pytest.approx(1), 0]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("faithfulness", 1, 0.5), ("context_precision", 1, 0), ("context_recall", 1, 0), ("answer_relevancy", 1, 0)],
)
def test_judged_metrics_follow_the_verdicts(
    name: str, good: float, bad: float, card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    resources = ScoringResources(card, SameVectorEmbedder(), FakeLM(judge_script))
    examples = [example("Rhine"), example("moon")]
    # The statements of the second answer are judged in its own prompt, which holds its passages.
    answers = [answer("Rhine", ("a", "b")), answer("moon", ("moon",))]
    scores = score(name, examples, answers, resources)
    assert [s.value for s in scores] == [pytest.approx(good), pytest.approx(bad)]


def test_prompts_that_wait_together_are_one_batch(card: DatasetCard, example: MakeExample, answer: MakeAnswer) -> None:
    judge = FakeLM(judge_script)
    score("faithfulness", [example("x")] * 5, [answer("x", ("a",))] * 5, ScoringResources(card, judge=judge))
    assert [len(call) for call in judge.calls] == [5, 5]


def test_an_unreadable_reply_is_asked_for_again_and_then_unscored(
    card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    def fixes(prompt: Messages) -> str:
        return judge_script(prompt) if len(prompt) > 1 else "Well, yes."

    pair = [example("x")], [answer("x", ("a",))]
    (fixed,) = score("context_recall", *pair, ScoringResources(card, judge=FakeLM(fixes)))
    assert fixed.value == 1
    stubborn = FakeLM(lambda prompt: "Well, yes.")
    (given_up,) = score("context_recall", *pair, ScoringResources(card, judge=stubborn))
    assert given_up.value is None
    assert "no readable reply in 3 attempts" in given_up.reason
    assert len(stubborn.calls) == 3


def test_one_failing_prompt_costs_only_its_own_score(
    card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    def fails_on_the_moon(prompt: Messages) -> str:
        if "moon" in prompt[0].content.rsplit("Now perform the same", 1)[1]:
            raise LanguageModelError("too long")
        return judge_script(prompt)

    examples = [example("x"), example("moon"), example("y")]
    answers = [answer("x", ("a",))] * 3
    scores = score("context_recall", examples, answers, ScoringResources(card, judge=FakeLM(fails_on_the_moon)))
    assert [s.value for s in scores] == [1, None, 1]
    assert "too long" in scores[1].reason


def test_a_judge_that_is_gone_is_not_asked_for_every_question(
    card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    def gone(prompt: Messages) -> str:
        raise LanguageModelError("no connection")

    judge = FakeLM(gone)
    n = 20
    scores = score("context_recall", [example("x")] * n, [answer("x", ("a",))] * n, ScoringResources(card, judge=judge))
    assert [s.value for s in scores] == [None] * n
    assert len(judge.calls) == 4


@pytest.mark.parametrize("verdict", [2, -1])
def test_a_verdict_other_than_yes_or_no_is_unscored(
    verdict: int, card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    values = [{"statement": "", "reason": "", "attributed": value} for value in (0, verdict)]
    judge = FakeLM(lambda _: json.dumps({"classifications": values}))
    (result,) = score("context_recall", [example("x")], [answer("x", ("a",))], ScoringResources(card, judge=judge))
    assert result.value is None


def test_no_statements_is_unscored_not_zero(card: DatasetCard, example: MakeExample, answer: MakeAnswer) -> None:
    judge = FakeLM(lambda _: '{"statements": []}')
    (result,) = score("faithfulness", [example("x")], [answer("x", ("a",))], ScoringResources(card, judge=judge))
    assert result == Score(None, "ragas gave nan")


def test_without_passages_or_claims_the_judge_is_not_asked(
    card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    judge = FakeLM(judge_script)
    resources = ScoringResources(card, SameVectorEmbedder(), judge)
    examples = [example("x")] * 3
    answers = [answer("x"), answer("", ("a",)), answer("I don't know.", ("a",))]
    assert [s.value for s in score("faithfulness", examples, answers, resources)] == [None] * 3
    assert score("context_recall", examples[:1], answers[:1], resources)[0].reason == "no retrieval"
    assert score("answer_relevancy", examples[:1], [answer("")], resources)[0].value == 0
    assert judge.calls == []


def test_scoring_works_inside_a_running_event_loop(card: DatasetCard, example: MakeExample, answer: MakeAnswer) -> None:
    async def inside() -> list[Score]:
        return score("ragas_exact_match", [example("x")], [answer("x")], ScoringResources(card))

    assert asyncio.run(inside())[0].value == 1


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if "judge" in m.needs])
def test_without_a_judge_nothing_is_scored(
    name: str, card: DatasetCard, example: MakeExample, answer: MakeAnswer
) -> None:
    (result,) = score(name, [example("x")], [answer("x", ("a",))], ScoringResources(card, SameVectorEmbedder()))
    assert result == Score(None, "no judge")
