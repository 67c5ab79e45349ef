"""What people say of answers, and where their labels stand among an answer's scores."""

from collections.abc import Sequence

from advisor.data.dataset import Example
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoreFunction, ScoringResources, unscored

CORRECT, PREFERENCE = "human_correct", "human_preference"
HUMAN_METRICS = frozenset({CORRECT, PREFERENCE})
"""Metrics that are labels and nothing else."""


def label_key(metric: str) -> str:
    """Under which name among an answer's scores the label of a metric stands."""
    return metric if metric in HUMAN_METRICS else f"human:{metric}"


def by_people(metric: str) -> ScoreFunction:
    """The labels of a metric; an answer that nobody labelled is unscored."""

    def score(examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources) -> list[Score]:
        found = [resources.labels.get((e.id, metric, a.text)) for e, a in zip(examples, answers, strict=True)]
        return [unscored("nobody has labelled this answer") if label is None else Score(label) for label in found]

    return score
