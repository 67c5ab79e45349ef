import math
from collections.abc import Callable

import pytest
from sklearn.metrics import ndcg_score

from advisor.data.dataset import DatasetCard, Example
from advisor.metrics.registry import METRICS, RETRIEVAL_METRICS, metric
from advisor.results.answer import Answer
from advisor.results.score import ScoringResources

Score = Callable[..., float | None]
# Grounding looks at what an answer took from its passages, whatever documents they are of.
BY_DOCUMENT_ID = sorted(name for name in RETRIEVAL_METRICS if not METRICS[name].needs and name != "grounding")


@pytest.fixture
def score(card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]) -> Score:
    def compute(name: str, gold: str, retrieved: str) -> float | None:
        pair = example("x", documents=tuple(gold)), answer("x", tuple(retrieved))
        return metric(name).score([pair[0]], [pair[1]], ScoringResources(card))[0].value

    return compute


@pytest.mark.parametrize(
    ("name", "gold", "retrieved", "expected"),
    [
        ("recall@1", "a", "ab", 1),
        ("recall@1", "b", "ab", 0),
        ("recall@3", "ad", "abcd", 0.5),
        ("recall@3", "c", "aabc", 0),
        ("recall@5", "ad", "abcd", 1),
        ("recall@10", "xy", "ab", 0),
        ("mrr@10", "c", "abc", 1 / 3),
        ("mrr@10", "bc", "abc", 1 / 2),
        ("mrr@10", "z", "abcdefghijz", 0),
        ("ndcg@10", "a", "abc", 1),
        ("ndcg@10", "b", "abc", 1 / math.log2(3)),
        ("ndcg@10", "z", "abc", 0),
        ("ndcg@10", "ab", "aab", (1 + 1 / 2) / (1 + 1 / math.log2(3))),
    ],
)
def test_values_by_hand(name: str, gold: str, retrieved: str, expected: float, score: Score) -> None:
    assert score(name, gold, retrieved) == pytest.approx(expected)


def test_ndcg_agrees_with_scikit_learn(score: Score) -> None:
    retrieved, gold = "abcdefghij", "bdj"
    relevance = [[int(document in gold) for document in retrieved]]
    expected = ndcg_score(relevance, [list(range(10, 0, -1))], k=10)
    assert score("ndcg@10", gold, retrieved) == pytest.approx(expected)


@pytest.mark.parametrize("name", BY_DOCUMENT_ID)
def test_without_gold_documents_nothing_is_scored_and_finding_nothing_is_0(name: str, score: Score) -> None:
    assert score(name, "a", "") == (None if name.startswith("ragas") else 0)
    assert score(name, "", "ab") is None


@pytest.mark.parametrize("name", BY_DOCUMENT_ID)
def test_retrieval_applies_only_where_gold_documents_hold_an_answer(name: str, example: Callable[..., Example]) -> None:
    applies = metric(name).applies
    assert applies(example("x", documents=("a",)))
    assert not applies(example("x"))
    assert not applies(example(documents=("a",)))
