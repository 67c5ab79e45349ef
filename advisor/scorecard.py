"""From scored answers to an arm's figures and the differences between arms. Scoring one is `advisor.score`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from advisor.comparison import MetricSummary, PairedDifference, QuestionRecord
from advisor.dataset import Slice
from advisor.statistics import Floats, holm, mcnemar_exact, mean_interval, paired_bootstrap
from lm.completion import Usage


def score_values(records: Sequence[QuestionRecord], metric: str) -> Floats:
    """Scores of one arm by one metric, shape (n_questions,); NaN where unscored or not applicable."""
    values = [record.scores[metric].value if metric in record.scores else None for record in records]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def summarise_metric(
    records: Sequence[QuestionRecord], metric: str, *, weights: Mapping[str, float], seed: int = 0
) -> tuple[MetricSummary, ...]:
    """One metric of one arm: weighted over all slices first, then each slice on its own.

    Questions the metric does not apply to (no entry among a record's scores) are not in any count.
    """
    applicable = [record for record in records if metric in record.scores]
    summaries = [_summary(applicable, metric, None, weights, seed)]
    for part in Slice:
        members = [record for record in applicable if record.slice is part]
        if members:
            summaries.append(_summary(members, metric, part, weights, seed))
    return tuple(summaries)


def _summary(
    records: Sequence[QuestionRecord], metric: str, part: Slice | None, weights: Mapping[str, float], seed: int
) -> MetricSummary:
    values = score_values(records, metric)
    scored = ~np.isnan(values)
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
    """Mean tokens (rounded) and seconds of a question."""
    total = Usage()
    for record in records:
        total = total + record.answer.usage
    n = max(1, len(records))
    return Usage(
        round(total.input_tokens / n),
        round(total.output_tokens / n),
        round(total.embedding_tokens / n),
        total.latency_s / n,
    )


def paired_differences(
    records: Mapping[str, Sequence[QuestionRecord]],
    metric: str,
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> tuple[PairedDifference, ...]:
    """Every pair of candidate arms on the same questions, p-values adjusted by Holm over all pairs.

    With binary scores on independent, equally weighted questions p is McNemar's exact one; otherwise it comes from the
    clustered bootstrap that also gives the interval.
    """
    rows: list[tuple[str, str, Floats, Floats]] = []
    for first, second in combinations(records, 2):
        rows.append((first, second, score_values(records[first], metric), score_values(records[second], metric)))
    drafts: list[PairedDifference] = []
    for first, second, a, b in rows:
        reference = records[first]
        slices = [str(record.slice) for record in reference]
        clusters = [record.cluster for record in reference]
        interval, p_value = paired_bootstrap(a, b, clusters, slices=slices, weights=weights, seed=seed)
        pairs = ~np.isnan(a) & ~np.isnan(b)
        n_clusters = len({cluster for cluster, kept in zip(clusters, pairs, strict=True) if kept})
        test = "clustered bootstrap"
        binary = np.isin(np.concatenate([a[pairs], b[pairs]]), (0.0, 1.0)).all()
        if binary and n_clusters == pairs.sum() and len(set(slices)) == 1:
            p_value, test = mcnemar_exact(a, b), "McNemar exact"
        drafts.append(
            PairedDifference(
                metric,
                first,
                second,
                interval,
                p_value,
                p_value,
                test,
                int(pairs.sum()),
                n_clusters,
                int((~pairs).sum()),
            )
        )
    adjusted = holm([draft.p_value for draft in drafts])
    return tuple(replace(draft, p_adjusted=p) for draft, p in zip(drafts, adjusted, strict=True))
