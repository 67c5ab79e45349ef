"""What every registered metric keeps, whatever it measures."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.data.dataset import DatasetCard, Example, Split, Task
from advisor.data.prompt import RetrievedChunk
from advisor.metrics.human import HUMAN_METRICS
from advisor.metrics.registry import METRICS, RETRIEVAL_METRICS
from advisor.results.answer import Answer
from advisor.results.score import Metric, Score, ScoringResources
from lm.completion import FinishReason, Messages, Usage
from lm.fake import FakeLM

ALL = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
# The others judge the passages, or the will to answer.
OF_THE_TEXT = [m for name, m in METRICS.items() if name not in RETRIEVAL_METRICS and name != "abstention"]
REFERENCE = '{"answer": "Rinse the filter under warm water"}'
TEXTS = [REFERENCE, "Rinse it", "", "I don't know.", "{}", "ရန်ကုန်", "\0\ud800", "°"]


class LengthEmbedder:
    name = "length"
    fingerprint = "length"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        angles = np.array([len(text) / 100 for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)


def agreeing_judge(prompt: Messages) -> str:
    text = prompt[0].content
    statement = {"statement": "x", "reason": "", "verdict": 1, "attributed": 1}
    if "fully understandable statements" in text:
        return json.dumps({"statements": ["x"]})
    question = {"question": "How is it cleaned?", "noncommittal": 0}
    return json.dumps({"statements": [statement], "classifications": [statement], **statement, **question})


CARD = DatasetCard("toy", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "A toy.", "Answer.")
LABELS = {("q1", metric, text): float(text == REFERENCE) for metric in HUMAN_METRICS for text in TEXTS}
RESOURCES = ScoringResources(CARD, LengthEmbedder(), FakeLM(agreeing_judge), LABELS)


def as_example(*references: str) -> Example:
    return Example("q1", "How is it cleaned?", references, ("a",), "g1", Split.TEST)


def as_answer(text: str, *documents: str) -> Answer:
    said = f"Rinse it. {REFERENCE}."
    chunks = tuple(RetrievedChunk(f"{d}#{i}", d, "", said, 1 - i / 10) for i, d in enumerate(documents))
    return Answer(text, Usage(), FinishReason.STOP, chunks, "hash")


def pairs_for(metric: Metric) -> tuple[list[Example], list[Answer]]:
    pairs = [
        (example, as_answer(text, *documents))
        for example in (as_example(REFERENCE, "Rinse"), as_example(REFERENCE), as_example())
        for text in TEXTS
        for documents in ((), ("b", "a"))
        if metric.applies(example)
    ]
    return [example for example, _ in pairs], [answer for _, answer in pairs]


@ALL
def test_scores_are_in_range_or_unscored_with_a_reason(metric: Metric) -> None:
    examples, answers = pairs_for(metric)
    scores = metric.score(examples, answers, RESOURCES)
    assert len(scores) == len(examples)
    for score in scores:
        assert isinstance(score, Score)
        assert score.reason if score.value is None else 0 <= score.value <= 1


@ALL
def test_a_perfect_answer_scores_one(metric: Metric) -> None:
    (score,) = metric.score([as_example(REFERENCE)], [as_answer(REFERENCE, "a")], RESOURCES)
    assert score.value == pytest.approx(1)


@pytest.mark.parametrize("metric", OF_THE_TEXT, ids=lambda metric: metric.name)
def test_an_empty_answer_scores_zero(metric: Metric) -> None:
    (score,) = metric.score([as_example(REFERENCE)], [as_answer("")], RESOURCES)
    assert score.value == 0


@ALL
def test_a_batch_gives_what_single_answers_give_in_any_order(metric: Metric) -> None:
    examples, answers = pairs_for(metric)
    together = metric.score(examples, answers, RESOURCES)
    backwards = metric.score(examples[::-1], answers[::-1], RESOURCES)[::-1]
    assert [s.value for s in backwards] == pytest.approx([s.value for s in together])
    every_fifth = range(0, len(examples), 5)
    alone = [metric.score([examples[i]], [answers[i]], RESOURCES)[0].value for i in every_fifth]
    assert alone == pytest.approx([together[i].value for i in every_fifth])


@ALL
def test_nothing_to_score_is_no_error(metric: Metric) -> None:
    assert metric.score([], [], RESOURCES) == []


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.needs], ids=lambda metric: metric.name)
def test_a_missing_resource_is_unscored(metric: Metric) -> None:
    (score,) = metric.score([as_example(REFERENCE)], [as_answer(REFERENCE, "a")], ScoringResources(CARD))
    assert score.value is None
    assert score.reason


@ALL
def test_without_passages_ranks_are_0_their_content_is_unscored_and_others_do_not_need_them(metric: Metric) -> None:
    (score,) = metric.score([as_example(REFERENCE)], [as_answer(REFERENCE)], RESOURCES)
    is_of_ranks = "@" in metric.name
    assert (score.value is None) == (metric.name in RETRIEVAL_METRICS and not is_of_ranks)
    assert not is_of_ranks or score.value == 0
