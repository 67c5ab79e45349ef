"""From scored answers to an arm's figures. Scoring one is `advisor.results.score`."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.prediction_powered import MIN_LABELS, corrected_mean, enough_labels
from advisor.evidence.statistics import Floats, mean_interval
from advisor.metrics.human import HUMAN_METRICS, label_key
from advisor.results.answer import Answer
from advisor.results.comparison import MetricSummary, QuestionRecord
from advisor.results.score import Score
from lm.completion import Usage


def score_values(records: Sequence[QuestionRecord], metric: str) -> Floats:
    """Scores of one arm by one metric, shape (n_questions,); NaN where unscored or not applicable."""
    values = [record.scores[metric].value if metric in record.scores else None for record in records]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def training_seeds(records: Sequence[QuestionRecord]) -> Sequence[int | None]:
    """Training seeds of an arm in rising order; [None] where it is not tuned."""
    if not records or records[0].training_seed is None:
        return [None]
    return sorted([records[0].training_seed, *(other.training_seed for other in records[0].other_seeds)])


def answer_of_seed(record: QuestionRecord, seed: int | None) -> tuple[Answer, Mapping[str, Score]]:
    """Answer and scores of the adapter of one training seed.

    Raises:
        EvaluationError: the record has none of that seed.
    """
    if seed == record.training_seed:
        return record.answer, record.scores
    for other in record.other_seeds:
        if other.training_seed == seed:
            return other.answer, other.scores
    raise EvaluationError(no_answer_of_seed(record.arm, seed, record.example_id))


def no_answer_of_seed(arm: str, seed: int | None, example_id: str) -> str:
    """What is said where an answer is missing that another question has."""
    return f"{arm} has no answer of training seed {seed} to {example_id}; compare again, which asks for it"


def seed_values(records: Sequence[QuestionRecord], metric: str) -> Floats:
    """Scores of one arm by one metric and training seed, shape (n_seeds, n_questions); NaN as in `score_values`."""
    rows = [
        [scores[metric].value if metric in scores else None for _, scores in answers]
        for answers in ([answer_of_seed(record, seed) for record in records] for seed in training_seeds(records))
    ]
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


def applicable(records: Mapping[str, Sequence[QuestionRecord]], metric: str) -> Mapping[str, Sequence[QuestionRecord]]:
    """Of arms that answered the same questions in the same order: the questions that any of them has an entry for."""
    kept = [any(metric in record.scores for record in row) for row in zip(*records.values(), strict=True)]
    return {arm: [row for row, keep in zip(rows, kept, strict=True) if keep] for arm, rows in records.items()}


def summarise_metric(
    records: Sequence[QuestionRecord], metric: str, *, weights: Mapping[str, float], seed: int = 0
) -> tuple[MetricSummary, ...]:
    """One metric of one arm: weighted over all slices first, then each slice on its own.

    Questions the metric does not apply to (no entry among a record's scores) are not in any count.
    """
    asked = [record for record in records if metric in record.scores]
    labels = seed_values(asked, label_key(metric))
    values = judged_values(seed_values(asked, metric), labels, metric)
    corrected = enough_labels(values[None], labels[None])
    summaries = [_summary(asked, values, labels, metric, None, weights, seed, corrected=corrected)]
    for part in Slice:
        members = [i for i, record in enumerate(asked) if record.slice is part]
        if members:
            own = [asked[i] for i in members]
            columns = values[:, members], labels[:, members]
            summaries.append(_summary(own, *columns, metric, part, weights, seed, corrected=corrected))
    return tuple(summaries)


def judged_values(values: Floats, labels: Floats, metric: str) -> Floats:
    """What labels correct, shape (n_seeds, n_questions): of a metric that is labels alone a judge who says one thing.

    With too few labels such a metric's values stay as they are, unscored where nobody looked.
    """
    n_labelled = int((~np.isnan(labels).all(axis=0)).sum())
    return np.zeros_like(values) if metric in HUMAN_METRICS and n_labelled >= MIN_LABELS else values


def are_scored(values: Floats, labels: Floats, metric: str) -> NDArray[np.bool_]:
    """Questions with a score of every training, shape (n_questions,); by a metric of people, with a label of any."""
    if metric in HUMAN_METRICS:
        return np.asarray(~np.isnan(labels).all(axis=0))
    return np.asarray(~np.isnan(values).any(axis=0))


def _summary(
    records: Sequence[QuestionRecord],
    values: Floats,
    labels: Floats,
    metric: str,
    part: Slice | None,
    weights: Mapping[str, float],
    seed: int,
    *,
    corrected: bool,
) -> MetricSummary:
    scored = are_scored(values, labels, metric)
    clusters = [record.cluster for record in records]
    n_clusters = len({cluster for cluster, kept in zip(clusters, scored, strict=True) if kept})
    interval = None
    if n_clusters > 1:
        slices = [str(record.slice) for record in records] if part is None else None
        if slices is not None and not any(weights.get(name, 0) for name in slices):
            slices = None
        weighted = weights if slices is not None else None
        interval = (
            corrected_mean(values, labels, clusters, slices=slices, weights=weighted, seed=seed)
            if corrected
            else mean_interval(values, clusters, slices=slices, weights=weighted, seed=seed)
        )
    return MetricSummary(metric, part, interval, int(scored.sum()), n_clusters, int((~scored).sum()))


def mean_usage(records: Sequence[QuestionRecord]) -> Usage:
    """Mean tokens (rounded) and seconds of a question to the arm that is deployed."""
    total = Usage()
    for record in records:
        total = total + record.answer.usage
    n = max(1, len(records))
    return Usage(
        round(total.input_tokens / n),
        round(total.output_tokens / n),
        round(total.embedding_tokens / n),
        total.latency_s / n,
        round(total.cached_tokens / n),
    )
