"""Metrics of a whole set of answers, with intervals: the set is drawn anew by clusters and scored again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from advisor.comparison import Interval, MetricSummary, QuestionRecord
from advisor.dataset import Example
from advisor.metrics.corpus import CorpusMetric

N_RESAMPLES = 500
"""Fewer than for means, since each resample is scored from its texts."""


def summarise_corpus_metric(
    name: str,
    metric: CorpusMetric,
    examples: Sequence[Example],
    records: Sequence[QuestionRecord],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> MetricSummary:
    """One metric of one arm over all test questions, unweighted: such metrics have no mean over slices.

    Args:
        examples: Test questions; records: the arm's, same order.
    Returns:
        Without an interval where the metric is undefined for the set; resamples it is undefined for are left out.
    """
    answers = [record.answer for record in records]
    observed = metric(examples, answers).value
    members: Mapping[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        members[record.cluster].append(i)
    clusters = sorted(members)
    if observed is None:
        return MetricSummary(name, None, None, 0, 0, len(records))
    if len(clusters) < 2:
        return MetricSummary(name, None, None, len(records), len(clusters), 0)
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(n_resamples):
        chosen = [i for c in rng.integers(len(clusters), size=len(clusters)) for i in members[clusters[c]]]
        value = metric([examples[i] for i in chosen], [answers[i] for i in chosen]).value
        if value is not None:
            drawn.append(value)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (observed, observed)
    interval = Interval(
        observed, min(float(low), observed), max(float(high), observed), 0.95, "clustered percentile bootstrap"
    )
    return MetricSummary(name, None, interval, len(records), len(clusters), 0)
