"""From scored answers to an arm's figures and the differences between arms. Scoring one is `advisor.results.score`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.statistics import (
    Floats,
    agreeing,
    holm,
    holm_levels,
    mcnemar_exact,
    mean_interval,
    paired_bootstrap,
)
from advisor.results.answer import Answer
from advisor.results.comparison import MetricSummary, PairedDifference, QuestionRecord
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
    summaries = [_summary(asked, metric, None, weights, seed)]
    for part in Slice:
        members = [record for record in asked if record.slice is part]
        if members:
            summaries.append(_summary(members, metric, part, weights, seed))
    return tuple(summaries)


def _summary(
    records: Sequence[QuestionRecord], metric: str, part: Slice | None, weights: Mapping[str, float], seed: int
) -> MetricSummary:
    values = seed_values(records, metric)
    scored = np.asarray(~np.isnan(values).any(axis=0))
    clusters = [record.cluster for record in records]
    n_clusters = len({cluster for cluster, kept in zip(clusters, scored, strict=True) if kept})
    interval = None
    if n_clusters > 1:
        slices = [str(record.slice) for record in records] if part is None else None
        if slices is not None and not any(weights.get(name, 0) for name in slices):
            slices = None
        weighted = weights if slices is not None else None
        interval = mean_interval(values, clusters, slices=slices, weights=weighted, seed=seed)
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


def paired_differences(
    records: Mapping[str, Sequence[QuestionRecord]],
    metric: str,
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> tuple[PairedDifference, ...]:
    """Every pair of candidate arms on the same questions, p-values and intervals adjusted by Holm over all of them.

    A pair is not reported where a slice with weight holds no question that both arms have a score for.
    Questions the metric does not apply to count nowhere, nor do slices made of such questions only.
    """
    records = applicable(records, metric)
    values = {arm: seed_values(rows, metric) for arm, rows in records.items()}
    drafts = [
        paired_difference(
            metric, first, second, values[first], values[second], records[first], weights=weights, seed=seed
        )
        for first, second in combinations(records, 2)
        if _comparable(values[first], values[second], records[first], weights)
    ]
    p_values = [draft.p_value for draft in drafts]
    # The interval of a pair is of the level at which Holm tests it, so that both say the same.
    return tuple(
        replace(
            draft,
            interval=agreeing(
                paired_difference(
                    metric, draft.first, draft.second, values[draft.first], values[draft.second],
                    records[draft.first], weights=weights, level=level, seed=seed,
                ).interval,
                p,
            ),
            p_adjusted=p,
        )
        for draft, p, level in zip(drafts, holm(p_values), holm_levels(p_values), strict=True)
    )  # fmt: skip


def _comparable(
    first: Floats, second: Floats, questions: Sequence[QuestionRecord], weights: Mapping[str, float]
) -> bool:
    paired = _paired(first, second)
    asked = {str(record.slice) for record in questions if weights.get(str(record.slice), 0) > 0}
    return asked <= {str(record.slice) for record, both in zip(questions, paired, strict=True) if both}


def _paired(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Questions with a score of every seed of both arms."""
    return np.asarray(~(np.isnan(np.atleast_2d(first)).any(axis=0) | np.isnan(np.atleast_2d(second)).any(axis=0)))


def paired_difference(
    metric: str,
    first: str,
    second: str,
    first_values: Floats,
    second_values: Floats,
    questions: Sequence[QuestionRecord],
    *,
    weights: Mapping[str, float],
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """One pair of arms, its p-value not adjusted.

    With binary scores on independent, equally weighted questions p is McNemar's exact one; otherwise it comes from the
    clustered bootstrap that also gives the interval. Where an arm was trained several times, seeds are resampled too.

    Args:
        first_values: Scores by `metric`, shape (n_questions,) or (n_seeds, n_questions), NaN where unscored;
            second_values likewise.
        questions: Records of either arm, same order: they give slice and cluster.
    """
    slices = [str(record.slice) for record in questions]
    clusters = [record.cluster for record in questions]
    interval, p_value = paired_bootstrap(
        first_values, second_values, clusters, slices=slices, weights=weights, level=level, seed=seed
    )
    pairs = _paired(first_values, second_values)
    n_pairs = int(pairs.sum())
    n_clusters = len({cluster for cluster, kept in zip(clusters, pairs, strict=True) if kept})
    first_rows, second_rows = np.atleast_2d(first_values), np.atleast_2d(second_values)
    one_seed = len(first_rows) == len(second_rows) == 1
    test = "clustered bootstrap" if one_seed else "hierarchical bootstrap"
    binary = np.isin(np.concatenate([first_rows[:, pairs], second_rows[:, pairs]]), (0.0, 1.0)).all()
    if one_seed and binary and n_clusters == n_pairs and len(set(slices)) == 1:
        p_value, test = mcnemar_exact(first_rows[0], second_rows[0]), "McNemar exact"
    return PairedDifference(
        metric, first, second, interval, p_value, p_value, test, n_pairs, n_clusters, int((~pairs).sum())
    )
