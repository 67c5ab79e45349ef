"""Scores of one arm in two comparisons: paired where both asked the same questions, else two separate samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np

from advisor.errors import EvaluationError
from advisor.evidence.prediction_powered import MIN_LABELS, corrected_draws, enough_labels
from advisor.evidence.scorecard import seed_values
from advisor.evidence.statistics import (
    Floats,
    bootstrap_p_value,
    bootstrap_slices,
    expanded_percentile_interval,
    mcnemar_exact,
    paired_bootstrap,
    unseen_error,
    with_unseen,
)
from advisor.metrics.human import label_key
from advisor.results.comparison import Interval, QuestionRecord

PAIRED_SHARE = 0.8
"""Below this share of the larger set of questions in common, pairing would speak of too few of them."""

_Key = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class BaselineDifference:
    """Mean score now minus mean score in the baseline.

    Attributes:
        p_value: Two-sided, of no difference. worst_p_value and worst_estimate: likewise with unscored answers of today
            at 0 and of the baseline at 1, None where no metric within [0, 1] has unscored answers.
        n: Questions compared; in an unpaired comparison, of today. n_left_out: asked in one of the two only.
    """

    interval: Interval
    p_value: float
    worst_estimate: float
    worst_p_value: float
    paired: bool
    n: int
    n_left_out: int


@dataclass(frozen=True, slots=True)
class _Sample:
    keys: tuple[_Key, ...]
    values: Floats  # (n_seeds, n_questions)
    slices: tuple[str, ...]
    clusters: tuple[str, ...]


def baseline_difference(
    now: Sequence[QuestionRecord],
    before: Sequence[QuestionRecord],
    metric: str,
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> BaselineDifference:
    """Difference of one arm between two comparisons, weighed over the slices of today.

    A question is the same where id, text and references are. Questions that only one of the two has are left out of a
    paired comparison. Where fewer than `PAIRED_SHARE` are shared, both samples are resampled on their own; shared
    documents then make the interval too wide, never too narrow. Training seeds are resampled too, if paired.

    Args:
        now: Records of the arm; before: of the arm in the baseline. Only questions the metric applies to count.
    Raises:
        EvaluationError: no scored question, a single cluster, or a slice on too few of them.
    """
    ours, theirs = _sample(now, metric), _sample(before, metric)
    if not ours.keys or not theirs.keys:
        raise EvaluationError(
            f"{metric} applies to no question of {'this comparison' if not ours.keys else 'the baseline'}"
        )
    index = {key: i for i, key in enumerate(theirs.keys)}
    shared = [i for i, key in enumerate(ours.keys) if key in index]
    n_left_out = len(ours.keys) + len(theirs.keys) - 2 * len(shared)
    if len(shared) < PAIRED_SHARE * max(len(ours.keys), len(theirs.keys)):
        return _unpaired(ours, theirs, weights, seed)
    kept = _Sample(
        tuple(ours.keys[i] for i in shared),
        ours.values[:, shared],
        tuple(ours.slices[i] for i in shared),
        tuple(ours.clusters[i] for i in shared),
    )
    first, other = _same_seeds(kept.values, theirs.values[:, [index[key] for key in kept.keys]])
    interval, p_value = _paired(first, other, kept, weights, seed)
    worst, worst_p = interval, p_value
    if np.isnan(first).any() or np.isnan(other).any():
        worst, worst_p = _paired(np.nan_to_num(first, nan=0.0), np.nan_to_num(other, nan=1.0), kept, weights, seed)
    return BaselineDifference(interval, p_value, worst.estimate, worst_p, True, len(shared), n_left_out)


def judged_difference(
    now: Sequence[QuestionRecord],
    before: Sequence[QuestionRecord],
    metric: str,
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> BaselineDifference:
    """`baseline_difference` of scores that a judge gave, each side corrected by people's labels of its own answers.

    The sides are resampled apart: labels and the judge's errors that both have in common make the interval too wide,
    never too narrow.

    Raises:
        EvaluationError: a side has too few labels, or no scored question with traffic.
    """
    sides = []
    for name, records, start in (("of today", now, seed), ("of the baseline", before, seed + 1)):
        sample = _sample(records, metric)
        labels = seed_values(records, label_key(metric)) if sample.keys else np.empty((1, 0))
        if not sample.keys or not enough_labels(sample.values[None], labels[None]):
            raise EvaluationError(
                f"a judge's scores decide only where people labelled {MIN_LABELS} answers of each arm, and the answers "
                f"{name} have fewer (docs/judges.md)"
            )
        usable = _usable(weights, sample.slices)
        sides.append(
            corrected_draws(sample.values, labels, sample.clusters, slices=sample.slices, weights=usable, seed=start)
        )
    (ours, n_ours), (theirs, n_theirs) = sides
    drawn = ours.resampled - theirs.resampled
    n_clusters = min(n_ours, n_theirs)
    interval = expanded_percentile_interval(float(ours.observed - theirs.observed), drawn, n_clusters)
    p_value = bootstrap_p_value(drawn, n_clusters)
    return BaselineDifference(interval, p_value, interval.estimate, p_value, False, len(now), 0)


def _sample(records: Sequence[QuestionRecord], metric: str) -> _Sample:
    by_key = {(r.example_id, r.question, r.references): r for r in records if metric in r.scores}
    kept = list(by_key.values())
    values = seed_values(kept, metric) if kept else np.empty((1, 0))
    return _Sample(tuple(by_key), values, tuple(str(r.slice) for r in kept), tuple(r.cluster for r in kept))


def _same_seeds(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """As many training seeds on both sides, or one on either."""
    n_seeds = min(len(first), len(second))
    return (first[:n_seeds], second[:n_seeds]) if n_seeds > 1 else (first, second)


def _usable(weights: Mapping[str, float], slices: Sequence[str]) -> Mapping[str, float]:
    """The weights; where none falls on a slice that has questions, each question counts the same."""
    if any(weights.get(name, 0) > 0 for name in slices):
        return weights
    return {name: slices.count(name) / len(slices) for name in set(slices)}


def _paired(
    first: Floats, second: Floats, sample: _Sample, weights: Mapping[str, float], seed: int
) -> tuple[Interval, float]:
    usable = _usable(weights, sample.slices)
    interval, p_value = paired_bootstrap(
        first, second, sample.clusters, slices=sample.slices, weights=usable, seed=seed
    )
    if len(first) > 1 or len(second) > 1 or len(set(sample.slices)) > 1:
        return interval, p_value
    pair = ~np.isnan(first[0]) & ~np.isnan(second[0])
    clusters = np.array(sample.clusters)[pair]
    binary = np.isin(np.concatenate([first[0, pair], second[0, pair]]), (0.0, 1.0)).all()
    if binary and len(set(clusters)) == len(clusters):
        p_value = mcnemar_exact(first[0], second[0])
    return interval, p_value


def _unpaired(ours: _Sample, theirs: _Sample, weights: Mapping[str, float], seed: int) -> BaselineDifference:
    interval, p_value = _separate(ours, theirs, ours.values, theirs.values, weights, seed)
    worst, worst_p = interval, p_value
    if np.isnan(ours.values).any() or np.isnan(theirs.values).any():
        filled = np.nan_to_num(ours.values, nan=0.0), np.nan_to_num(theirs.values, nan=1.0)
        worst, worst_p = _separate(ours, theirs, *filled, weights, seed)
    n_left_out = len(set(ours.keys) ^ set(theirs.keys))
    return BaselineDifference(interval, p_value, worst.estimate, worst_p, False, len(ours.keys), n_left_out)


def _separate(
    ours: _Sample, theirs: _Sample, first: Floats, second: Floats, weights: Mapping[str, float], seed: int
) -> tuple[Interval, float]:
    common = set(ours.slices) & set(theirs.slices)
    if not common:
        raise EvaluationError("the two comparisons have no slice of questions in common")
    usable = {name: weight for name, weight in _usable(weights, ours.slices).items() if name in common}
    if sum(usable.values()) <= 0:
        raise EvaluationError("no slice with production traffic has questions in both comparisons")
    means = []
    for sample, values, start in ((ours, first, seed), (theirs, second, seed + 1)):
        mean = values.mean(axis=0)
        kept = [i for i, name in enumerate(sample.slices) if name in common and not np.isnan(mean[i])]
        drawn = bootstrap_slices(
            mean[kept][None, :], [sample.slices[i] for i in kept], [sample.clusters[i] for i in kept], seed=start
        )
        observed, resampled = drawn.weighted(usable)
        # Each side brings half of what a difference does not show.
        unseen = unseen_error([sample.slices[i] for i in kept], [sample.clusters[i] for i in kept], usable)
        means.append((float(observed[0]), resampled[:, 0], drawn.n_clusters, unseen / sqrt(2)))
    n_resamples = min(len(means[0][1]), len(means[1][1]))
    unseen = hypot(means[0][3], means[1][3])
    difference = with_unseen(means[0][1][:n_resamples] - means[1][1][:n_resamples], unseen)
    n_clusters = min(means[0][2], means[1][2])
    interval = expanded_percentile_interval(means[0][0] - means[1][0], difference, n_clusters)
    return interval, bootstrap_p_value(difference, n_clusters)
