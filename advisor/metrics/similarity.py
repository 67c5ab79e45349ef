"""Nearness of meaning, by an embedder."""

from collections.abc import Sequence

from advisor.data.dataset import Example
from advisor.metrics.abstention import abstained
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoringResources, unscored


def semantic_similarity(
    examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources
) -> list[Score]:
    """Cosine of answer and nearest reference, clipped to [0, 1]; all texts in one batch.

    An empty answer scores 0, an abstention 1 where nothing answers the question and else 0.
    Source: Reimers, Gurevych 2019, arXiv:1908.10084.
    """
    if resources.embedder is None:
        return [unscored("no embedder")] * len(examples)
    scores = [_without_embedding(example, answer) for example, answer in zip(examples, answers, strict=True)]
    open_pairs = [i for i, score in enumerate(scores) if score is None]
    texts = dict.fromkeys(text for i in open_pairs for text in (answers[i].text, *examples[i].answers))
    vector_of = dict(zip(texts, resources.embedder.embed(list(texts)), strict=True)) if texts else {}
    for i in open_pairs:
        given = vector_of[answers[i].text]
        nearest = max(float(given @ vector_of[reference]) for reference in examples[i].answers)
        scores[i] = Score(min(max(nearest, 0.0), 1.0))
    return [score for score in scores if score is not None]


def _without_embedding(example: Example, answer: Answer) -> Score | None:
    declined = abstained(example, answer)
    if declined or not example.answerable:
        return Score(float(declined and not example.answerable))
    return None if answer.text.strip() else Score(0.0)
