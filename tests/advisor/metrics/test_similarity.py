from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.data.dataset import DatasetCard, Example
from advisor.metrics.similarity import semantic_similarity
from advisor.results.answer import Answer
from advisor.results.score import ScoringResources

VECTORS = {"north": (1.0, 0.0), "north-east": (0.6, 0.8), "south": (-1.0, 0.0)}


class CompassEmbedder:
    """Three texts with known angles; counts batches."""

    name = "compass"
    fingerprint = "compass"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(list(texts))
        return np.array([VECTORS[text] for text in texts], dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)


def test_the_nearest_reference_counts_clipped_to_zero_and_one_batch_is_enough(
    card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    embedder = CompassEmbedder()
    examples = [example("south", "north"), example("north"), example("north"), example("north")]
    answers = [answer("north"), answer("north-east"), answer("south"), answer("")]
    scores = semantic_similarity(examples, answers, ScoringResources(card, embedder))
    assert [score.value for score in scores] == [1, pytest.approx(0.6), 0, 0]
    assert len(embedder.batches) == 1


def test_abstentions_need_no_embedder_call(
    card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    embedder = CompassEmbedder()
    examples, answers = [example(), example("north"), example()], [answer("I don't know.")] * 2 + [answer("north")]
    scores = semantic_similarity(examples, answers, ScoringResources(card, embedder))
    assert [score.value for score in scores] == [1, 0, 0]
    assert embedder.batches == []


def test_without_an_embedder_nothing_is_scored(
    card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    (score,) = semantic_similarity([example("north")], [answer("north")], ScoringResources(card))
    assert score.value is None
    assert score.reason == "no embedder"
