"""The answers of one arm as columns: all that a decision takes from them, without passages and other metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Slice
from advisor.evidence.scorecard import answer_of_seed, judged_values, seed_values, training_seeds
from advisor.evidence.statistics import Floats
from advisor.metrics.abstention import declines
from advisor.metrics.human import label_key
from advisor.results.comparison import QuestionRecord


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers by one metric, in the order of the questions.

    Attributes:
        values: Scores of each training seed in rising order, shape (n_seeds, n_questions); NaN where unscored or where
            the metric does not apply. An arm that is not tuned has one row.
        declined: 1 where an answer abstains, else 0, same shape.
        labels: What people say of the same answers by the same metric, same shape; NaN where nobody looked. By a metric
            that is labels alone the values are then 0, as a judge's who calls everything bad, once there are enough.
        applies: Whether the metric has an entry for a question, shape (n_questions,).
        slices: Slice of each question. groups: Group of each. clusters: Cluster of each.
    """

    values: Floats
    declined: Floats
    labels: Floats
    applies: NDArray[np.bool_]
    slices: tuple[Slice, ...]
    groups: tuple[str, ...]
    clusters: tuple[str, ...]

    @property
    def n_questions(self) -> int:
        """Length of every column."""
        return len(self.slices)

    def where(self, kept: NDArray[np.bool_]) -> "ScoredAnswers":
        """Of the questions that are marked, shape (n_questions,)."""
        if kept.all():
            return self
        chosen = np.flatnonzero(kept).tolist()
        return ScoredAnswers(
            self.values[:, kept],
            self.declined[:, kept],
            self.labels[:, kept],
            self.applies[kept],
            tuple(self.slices[i] for i in chosen),
            tuple(self.groups[i] for i in chosen),
            tuple(self.clusters[i] for i in chosen),
        )

    def first(self, n_questions: int) -> "ScoredAnswers":
        """Of the first so many questions."""
        return self.where(np.arange(self.n_questions) < n_questions)


def scored_answers(records: Sequence[QuestionRecord], metric: str) -> ScoredAnswers:
    """The columns of one arm's records.

    Raises:
        EvaluationError: a record has no answer of a training seed that the first one has.
    """
    labels = seed_values(records, label_key(metric))
    return ScoredAnswers(
        judged_values(seed_values(records, metric), labels, metric),
        _declined(records),
        labels,
        np.array([metric in record.scores for record in records], dtype=np.bool_),
        tuple(record.slice for record in records),
        tuple(record.group for record in records),
        tuple(record.cluster for record in records),
    )


def _declined(records: Sequence[QuestionRecord]) -> Floats:
    return np.array(
        [
            [declines(answer_of_seed(record, seed)[0].text, record.references) for record in records]
            for seed in training_seeds(records)
        ],
        dtype=np.float64,
    )


def applicable_answers(arms: Mapping[str, ScoredAnswers]) -> dict[str, ScoredAnswers]:
    """Of arms that answered the same questions in the same order: those that the metric applies to for any of them.

    Raises:
        ValueError: they did not answer as many questions as each other.
    """
    if len({one.n_questions for one in arms.values()}) > 1:
        raise ValueError(f"arms answered unlike many questions: {[one.n_questions for one in arms.values()]}")
    kept = np.any([one.applies for one in arms.values()], axis=0)
    return {arm: one.where(kept) for arm, one in arms.items()}
