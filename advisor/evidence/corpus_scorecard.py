"""Metrics of a whole set of answers, with intervals: the set is drawn again by clusters and scored again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from advisor.data.dataset import Example
from advisor.evidence.scorecard import answer_of_seed, training_seeds
from advisor.evidence.statistics import draw_seeds, expanded_percentile_interval
from advisor.metrics.corpus import CorpusMetric
from advisor.results.comparison import Interval, MetricSummary, QuestionRecord

N_RESAMPLES = 500
"""Fewer than for means, since each resample is scored from its texts."""


def summarise_corpus_metric(
    name: str,
    metric: CorpusMetric,
    examples: Sequence[Example],
    records: Sequence[QuestionRecord],
    *,
    seed: int = 0,
) -> MetricSummary:
    """One metric of one arm over all test questions, unweighted: such metrics have no mean over slices.

    Args:
        examples: Test questions; records: the arm's, same order.
    Returns:
        Without an interval where the metric is undefined for the set; resamples it is undefined for are left out. So
        are answers that never came.
    """
    n_asked = len(records)
    came = [
        i
        for i, record in enumerate(records)
        if not record.answer.missing and not any(other.answer.missing for other in record.other_seeds)
    ]
    examples, records = [examples[i] for i in came], [records[i] for i in came]
    by_seed = [[answer_of_seed(record, seed)[0] for record in records] for seed in training_seeds(records)]
    observed = _mean([metric(examples, answers).value for answers in by_seed])
    members: Mapping[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        members[record.cluster].append(i)
    clusters = sorted(members)
    if observed is None:
        return MetricSummary(name, None, None, 0, 0, n_asked)
    if len(clusters) < 2:
        return MetricSummary(name, None, None, len(records), len(clusters), n_asked - len(records))
    rng = np.random.default_rng(seed)
    drawn: list[list[float | None]] = []
    for _ in range(N_RESAMPLES):
        chosen = [i for c in rng.integers(len(clusters), size=len(clusters)) for i in members[clusters[c]]]
        some = [examples[i] for i in chosen]
        values = [metric(some, [answers[i] for i in chosen]).value for answers in by_seed]
        if _mean(values) is not None:
            drawn.append(values)
    interval = Interval(observed, observed, observed, 0.95, "clustered percentile bootstrap")
    if drawn:
        means = np.array([metric(examples, answers).value for answers in by_seed], dtype=np.float64)
        draws = draw_seeds(means, np.array(drawn, dtype=np.float64), seed=seed)
        if len(means) > 1:
            interval = expanded_percentile_interval(observed, draws.resampled, len(clusters), by_seed=draws.by_seed)
        else:
            low, high = np.quantile(draws.resampled, [0.025, 0.975])
            interval = replace(interval, low=min(float(low), observed), high=max(float(high), observed))
    return MetricSummary(name, None, interval, len(records), len(clusters), n_asked - len(records))


def _mean(values: Sequence[float | None]) -> float | None:
    """Over training seeds; None where the metric is undefined for any of them."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
