"""From scored answers to an arm's figures and the differences between arms. Scoring one is `advisor.results.score`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.prediction_powered import (
    METHOD,
    MIN_LABELS,
    corrected_bootstrap,
    corrected_mean,
    enough_labels,
)
from advisor.evidence.statistics import (
    Floats,
    agreeing,
    bootstrap_p_value,
    draw_seeds,
    expanded_percentile_interval,
    holm,
    holm_levels,
    mcnemar_exact,
    mean_interval,
    paired_bootstrap,
)
from advisor.metrics.human import HUMAN_METRICS, label_key
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
    labels = {arm: seed_values(rows, label_key(metric)) for arm, rows in records.items()}
    values = {arm: judged_values(seed_values(rows, metric), labels[arm], metric) for arm, rows in records.items()}
    corrected = corrected_pairs(metric, values, labels, records, weights=weights, seed=seed)

    def pair(first: str, second: str, level: float) -> PairedDifference:
        if corrected is not None:
            return corrected(first, second, level)
        return paired_difference(
            metric, first, second, values[first], values[second], records[first],
            weights=weights, level=level, seed=seed,
        )  # fmt: skip

    drafts = [
        pair(first, second, 0.95)
        for first, second in combinations(records, 2)
        if _comparable(values[first], values[second], records[first], weights)
    ]
    p_values = [draft.p_value for draft in drafts]
    # The interval of a pair is of the level at which Holm tests it, so that both say the same.
    return tuple(
        replace(draft, interval=agreeing(pair(draft.first, draft.second, level).interval, p), p_adjusted=p)
        for draft, p, level in zip(drafts, holm(p_values), holm_levels(p_values), strict=True)
    )


def corrected_pairs(
    metric: str,
    values: Mapping[str, Floats],
    labels: Mapping[str, Floats],
    records: Mapping[str, Sequence[QuestionRecord]],
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> Callable[[str, str, float], PairedDifference] | None:
    """Of two arms and the level of the interval to their difference, corrected by people's labels; None with too few.

    Args:
        values: Scores of each arm, shape (n_seeds, n_questions). labels: People's, likewise.
    """
    arms = sorted(arm for arm, own in values.items() if not np.isnan(own).all())
    if not arms:
        return None
    questions = records[arms[0]]
    shape = (len(arms), max(len(values[arm]) for arm in arms), len(questions))
    judged, people = (np.stack([np.broadcast_to(of[arm], shape[1:]) for arm in arms]) for of in (values, labels))
    if not enough_labels(judged, people):
        return None
    slices, clusters = [str(record.slice) for record in questions], [record.cluster for record in questions]
    found = corrected_bootstrap(judged, people, np.zeros(shape), slices, clusters, seed=seed)
    observed, resampled = (
        means.reshape(*means.shape[:-1], shape[1], 3 * len(arms))[..., : len(arms)] for means in found.weighted(weights)
    )

    def pair(first: str, second: str, level: float) -> PairedDifference:
        i, j = arms.index(first), arms.index(second)
        draws = draw_seeds(observed[:, i] - observed[:, j], resampled[..., i] - resampled[..., j], seed=seed)
        estimate, by_seed = float(draws.observed), draws.by_seed
        interval = expanded_percentile_interval(
            estimate, draws.resampled, found.n_clusters, by_seed=by_seed, level=level
        )
        p_value = bootstrap_p_value(draws.resampled, found.n_clusters, by_seed=by_seed)
        labelled = np.asarray(~np.isnan(people[[i, j]]).all(axis=1).any(axis=0), dtype=np.bool_)
        n_clusters = len({cluster for cluster, kept in zip(clusters, labelled, strict=True) if kept})
        return PairedDifference(
            metric, first, second, replace(interval, method=METHOD), p_value, p_value, METHOD,
            int(labelled.sum()), n_clusters, int((~labelled).sum()),
        )  # fmt: skip

    return pair


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
