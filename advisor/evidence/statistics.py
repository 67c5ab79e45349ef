"""Intervals and tests for paired scores on clustered questions.

Questions on one document succeed and fail together, so whole clusters are resampled; clustered standard errors can be
three times the naive ones (Miller 2024, arXiv:2411.00640). Below a few hundred questions intervals by the central limit
theorem are too short (Bowyer 2025, arXiv:2503.01747), so none are used.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from advisor.errors import EvaluationError
from advisor.results.comparison import Interval

Floats = NDArray[np.float64]
N_RESAMPLES = 10_000
ALPHA = 0.05
POWER = 0.8
_BLOCK = 1_000
_DECIMALS = 12


def wilson_interval(n_successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Interval of a proportion of independent trials.

    Raises:
        EvaluationError: no trials, or more successes than trials.
    Source:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    if n < 1 or not 0 <= n_successes <= n:
        raise EvaluationError(
            f"a proportion of {n_successes} in {n} trials has no interval; score at least one question"
        )
    from scipy.stats import norm

    low, high = _wilson_bounds(n_successes / n, n, float(norm.ppf(0.5 + level / 2)))
    return Interval(n_successes / n, low, high, level, "Wilson")


def _wilson_bounds(share: float, n: float, z: float) -> tuple[float, float]:
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class _Sums:
    """Per cluster and slice: sums of scores and counts, so that a resample is one matrix product."""

    names: tuple[str, ...]  # of the slices
    totals: Floats  # (n_clusters, n_columns, n_slices)
    counts: Floats  # (n_clusters, n_columns, n_slices)
    weights: Floats  # (n_slices,)

    def means(self, multiplicity: Floats) -> Floats:
        """Weighted means for multiplicities of clusters, shape (n_resamples, n_columns); NaN where a slice is empty."""
        return _weighted(self.slice_means(multiplicity), self.weights)

    def slice_means(self, multiplicity: Floats) -> Floats:
        """Means of each slice, shape (n_resamples, n_columns, n_slices); NaN where a slice is empty."""
        n_clusters, n_columns, n_slices = self.totals.shape
        flat = (n_clusters, n_columns * n_slices)
        totals = (multiplicity @ self.totals.reshape(flat)).reshape(-1, n_columns, n_slices)
        counts = (multiplicity @ self.counts.reshape(flat)).reshape(-1, n_columns, n_slices)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(totals / counts)


def _weighted(slice_means: Floats, shares: Floats) -> Floats:
    """Means over slices, shape (..., n_columns), of those of each slice, shape (..., n_columns, n_slices)."""
    # Sums in another order differ in the last bit; rounding keeps ties ties, whatever the order of the questions.
    return np.asarray(np.round(slice_means @ shares, _DECIMALS))


def _shares(weights: Sequence[float]) -> Floats:
    raw = np.array(weights)
    return np.asarray(raw / raw.sum())


def _sums(columns: Floats, slices: Sequence[str], clusters: Sequence[str], weights: Mapping[str, float]) -> _Sums:
    """Columns of shape (n_columns, n_questions), NaN where there is no value."""
    names = sorted({name for name in slices if weights.get(name, 0.0) > 0})
    cluster_ids = {name: i for i, name in enumerate(sorted(set(clusters)))}
    shape = (len(cluster_ids), len(columns), len(names))
    totals, counts = np.zeros(shape), np.zeros(shape)
    cluster_index = np.array([cluster_ids[name] for name in clusters])
    for k, name in enumerate(names):
        members = np.array([s == name for s in slices])
        for j, column in enumerate(columns):
            scored = members & ~np.isnan(column)
            np.add.at(totals[:, j, k], cluster_index[scored], column[scored])
            np.add.at(counts[:, j, k], cluster_index[scored], 1.0)
    return _Sums(tuple(names), totals, counts, _shares([weights[name] for name in names]))


@lru_cache(maxsize=4)
def _multiplicities(n_clusters: int, n_resamples: int, seed: int) -> NDArray[np.uint8]:
    """How often each cluster is in each resample, shape (n_resamples, n_clusters).

    Kept, since drawing costs far more than the product with it and all arms, pairs and metrics use the same one.
    """
    rng = np.random.default_rng(seed)
    share = np.full(n_clusters, 1 / n_clusters)
    drawn = np.empty((n_resamples, n_clusters), dtype=np.uint8)  # no cluster comes up 256 times in any real draw
    for start in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - start)
        drawn[start : start + size] = rng.multinomial(n_clusters, share, size=size)
    drawn.flags.writeable = False
    return drawn


def _resampled(sums: _Sums, *, n_resamples: int, seed: int) -> Floats:
    """Bootstrap distribution of the weighted means, shape (n_resamples, n_columns)."""
    drawn = _multiplicities(_require_clusters(sums), n_resamples, seed)
    means = np.concatenate(
        [sums.means(drawn[start : start + _BLOCK].astype(np.float64)) for start in range(0, n_resamples, _BLOCK)]
    )
    usable = ~np.isnan(means).any(axis=1)
    _require_usable(usable)
    return np.asarray(means[usable])


def _slice_means(sums: _Sums, drawn: NDArray[np.uint8]) -> Floats:
    """Means of each slice in each resample, shape (n_resamples, n_columns, n_slices)."""
    return np.concatenate(
        [sums.slice_means(drawn[start : start + _BLOCK].astype(np.float64)) for start in range(0, len(drawn), _BLOCK)]
    )


@lru_cache(maxsize=4)
def _seed_draws(n_seeds: int, n_resamples: int, seed: int) -> Floats:
    """Standard normal draws, shape (n_resamples, n_seeds), the same for all arms, so that they are paired by seed."""
    return np.random.default_rng([seed, n_seeds]).normal(size=(n_resamples, n_seeds))


@dataclass(frozen=True)
class SeedDraws:
    """Means over several training seeds, resampled over clusters and seeds.

    Attributes:
        observed: Mean over all seeds, shape (...).
        resampled: Shape (n_resamples, ...).
        by_seed: Mean of each seed, shape (n_seeds, ...), without what they differ by chance of the questions.
    """

    observed: Floats
    resampled: Floats
    by_seed: Floats


def draw_seeds(by_seed: Floats, resampled: Floats, *, spread: Floats | None = None, seed: int = 0) -> SeedDraws:
    """Resamples of clusters, with the training seeds drawn as well.

    A handful of seeds cannot be drawn again with any use (three give ten mixtures, and a third too little variance), so
    the mean over seeds is drawn from a normal distribution with the variance that the seeds show. Adapters that are
    equally good still differ on a sample of questions; that much is in the resampled clusters and taken off here. One
    seed shows no variance and changes nothing.

    Args:
        by_seed: Means of each seed on all clusters, shape (n_seeds, ...).
        resampled: Their bootstrap distribution over clusters, shape (n_resamples, n_seeds, ...).
        spread: Means that tell how far the seeds lie apart, where these are not `by_seed`; same shape.
    Source:
        Searle, Casella & McCulloch 1992, "Variance Components", chapter 4, for the variance of the upper level.
    """
    n_seeds = len(by_seed)
    if n_seeds == 1:
        return SeedDraws(by_seed[0], resampled[:, 0], by_seed)
    mean = by_seed.mean(axis=0)
    drawn_mean = resampled.mean(axis=1)
    noise = (resampled - drawn_mean[:, None]).var(axis=0).sum(axis=0) / (n_seeds - 1)
    apart = by_seed if spread is None else spread
    seen = apart.var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(seen > noise, np.sqrt(1 - noise / seen), 0.0)
    deviations = kept * (apart - apart.mean(axis=0))
    shift = np.tensordot(_seed_draws(n_seeds, len(resampled), seed), deviations, axes=1)
    return SeedDraws(mean, drawn_mean + shift / sqrt(n_seeds * (n_seeds - 1)), mean + deviations)


def seed_variance(by_seed: Floats | None) -> float:
    """Variance of a mean over training seeds, shape (n_seeds,); 0 where there is one seed or all are alike."""
    if by_seed is None or len(by_seed) < 2 or float(np.ptp(by_seed)) < 10.0**-_DECIMALS:
        return 0.0
    return float(by_seed.var(ddof=1)) / len(by_seed)


def _critical_value(tail: float, resampled: Floats, n_clusters: int, by_seed: Floats | None) -> float:
    """Standard errors between an estimate and the end of its interval that leaves out `tail` on that side.

    Clusters and seeds each ask for the t quantile of their number, weighed by what they contribute to the variance.

    Source:
        Cochran & Cox 1957, "Experimental Designs", section 4.14. Satterthwaite's degrees of freedom give shorter
        intervals, which hold the truth too rarely where two or three seeds differ much.
    """
    from scipy.special import stdtrit

    of_clusters = float(stdtrit(n_clusters - 1, 1 - tail))
    of_seeds = seed_variance(by_seed)
    if by_seed is None or of_seeds == 0:
        return of_clusters
    whole = float(resampled.var())
    # Differences of money in huge units are rounded to nothing at all.
    share = min(1.0, of_seeds / whole) if whole > 0 else 1.0
    return (1 - share) * of_clusters + share * float(stdtrit(len(by_seed) - 1, 1 - tail))


def unseen_size(differences: Floats, slices: Sequence[str], clusters: Sequence[str]) -> float:
    """Size of a cluster's difference that was not drawn: 1 where none was seen, then more and more that of those seen.

    Args:
        differences: Of each question, shape (n_questions,), without NaN.
    """
    cells = {cell: i for i, cell in enumerate(dict.fromkeys(zip(slices, clusters, strict=True)))}
    index = np.array([cells[cell] for cell in zip(slices, clusters, strict=True)], dtype=np.intp)
    seen = np.bincount(index, weights=differences) / np.bincount(index)
    n_seen = int((np.abs(seen) > 10.0**-_DECIMALS).sum())
    return sqrt((1 + float(np.sort(seen**2).sum())) / (1 + n_seen))


def unseen_error(slices: Sequence[str], clusters: Sequence[str], weights: Mapping[str, float]) -> float:
    """Standard error of a difference that resampling cannot show, since no question of the kind was drawn.

    With no discordant pair in n independent questions, a difference of 3/n is still possible (rule of three), and a
    bootstrap of nothing but zeros shows none. It is as if each slice held two clusters more, each arm ahead in one:
    1.96 of these standard errors are 2.8/n, and beside the spread of many discordant pairs they vanish. Where clusters
    differ by less than all they can, so do those not drawn: it is multiplied by `unseen_size`.

    Args:
        weights: Share of each slice; n counts the clusters of a slice.
    Source:
        Hanley & Lippman-Hand 1983, "If nothing goes wrong, is everything all right?", JAMA 249, for the rule of three;
        Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
        data", Journal of Educational and Behavioral Statistics 37, for the two pairs more.
    """
    n_clusters = Counter(name for name, _ in set(zip(slices, clusters, strict=True)))
    total = sum(weights.get(name, 0.0) for name in n_clusters)
    return sqrt(2 * sum((weights.get(name, 0.0) / total / n) ** 2 for name, n in n_clusters.items()))


@lru_cache(maxsize=8)
def _normal_draws(n: int) -> Floats:
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(n) + 0.5) / n))


def with_unseen(resampled: Floats, error: float) -> Floats:
    """Resamples of a difference, shape (n,), spread by a normal error to both sides, so that swapped arms mirror them.

    Args:
        error: Of `unseen_error`.
    Returns:
        Shape (2 n,).
    """
    spread = error * _normal_draws(len(resampled))
    return np.concatenate([resampled + spread, resampled - spread])


def _require_clusters(sums: _Sums) -> int:
    n_clusters: int = sums.totals.shape[0]
    if n_clusters < 2:
        raise EvaluationError(
            "all questions belong to one cluster (one document or fact), so no interval can be formed; "
            "add questions on other documents"
        )
    return n_clusters


def _require_usable(usable: NDArray[np.bool_]) -> None:
    if usable.mean() < 0.5:
        raise EvaluationError(
            "a slice has so few documents or facts that most resamples miss it; add questions, or give it weight 0"
        )


# A map of decisions asks for the same few of these thousands of times, and the library takes longer than for the data.
@lru_cache(maxsize=4096)
def _t_quantile(share: float, n_clusters: int) -> float:
    from scipy.stats import t

    return float(t.ppf(share, n_clusters - 1))


@lru_cache(maxsize=4096)
def _expanded_tail(n_clusters: int, level: float) -> float:
    """Share of resamples beyond each end of an interval."""
    from scipy.stats import norm

    return float(norm.cdf(sqrt(n_clusters / (n_clusters - 1)) * _t_quantile((1 - level) / 2, n_clusters)))


@lru_cache(maxsize=65_536)
def _errors_and_p(tail: float, n_clusters: int) -> tuple[float, float]:
    """Standard errors of a tail of resamples, and the two-sided p-value of a t distribution there."""
    from scipy.stats import norm, t

    errors = sqrt((n_clusters - 1) / n_clusters) * float(norm.ppf(tail))
    return errors, min(1.0, 2 * float(t.cdf(errors, n_clusters - 1)))


def expanded_percentile_interval(
    observed: float, resampled: Floats, n_clusters: int, *, by_seed: Floats | None = None, level: float = 0.95
) -> Interval:
    """Percentile interval with tails moved out as a t interval's are: plain percentiles are short for few clusters.

    Args:
        resampled: Bootstrap distribution of the estimate, shape (n_resamples,), of clusters and seeds.
        by_seed: The estimate of each training seed, shape (n_seeds,); the fewer seeds and the more they differ, the
            further the interval is stretched.
    Source:
        Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69: expanded
        percentile interval.
    """
    tail = _expanded_tail(n_clusters, level)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    if seed_variance(by_seed) == 0:
        return Interval(observed, float(low), float(high), level, "clustered bootstrap")
    beyond = (1 - level) / 2
    stretch = _critical_value(beyond, resampled, n_clusters, by_seed) / -_t_quantile(beyond, n_clusters)
    low, high = (observed + stretch * (float(end) - observed) for end in (low, high))
    return Interval(observed, low, high, level, "hierarchical bootstrap")


def _effective_wilson_interval(
    observed: float, resampled: Floats, n_clusters: int, by_seed: Floats, level: float
) -> Interval:
    """Wilson's interval at the number of independent questions that would vary as much as these clusters do.

    Percentile intervals of a mean near 0 or 1 are too short on the far side: of 20 documents on which an arm is right
    92 % of the time they held the truth in 88 % of simulated runs, this one in 92 %.

    Source:
        Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
        estimated from survey data", Survey Methodology 24, for the effective size and the t quantile.
    """
    variance = float(resampled.var()) * n_clusters / (n_clusters - 1)
    effective = observed * (1 - observed) / variance if variance > 0 else float(n_clusters)
    z = _t_quantile(0.5 + level / 2, n_clusters)
    if seed_variance(by_seed) > 0:
        z = _critical_value((1 - level) / 2, resampled, n_clusters, by_seed)
    low, high = _wilson_bounds(observed, effective, z)
    method = "clustered" if len(by_seed) == 1 else "hierarchical"
    return Interval(observed, min(low, observed), max(high, observed), level, f"Wilson, {method} bootstrap variance")


def mean_interval(
    values: Floats,
    clusters: Sequence[str],
    *,
    slices: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of one arm's mean score, by whole clusters; weighted over slices if they are given.

    Args:
        values: Scores, shape (n_questions,), NaN where unscored; of an arm that was trained several times shape
            (n_seeds, n_questions). A question that is unscored for any seed is left out.
        clusters: Cluster of each question.
    Returns:
        A Wilson interval when every question is its own cluster, scores are 0 or 1 and nothing is weighted; Wilson's
        with the clustered variance for other scores in [0, 1]; a clustered bootstrap for metrics with another range.
    Raises:
        EvaluationError: nothing scored, or a single cluster.
    """
    rows, mean = _seed_rows(values)
    scored = ~np.isnan(mean)
    if not scored.any():
        raise EvaluationError("no question could be scored, so there is no mean; see the reasons of the unscored ones")
    kept = mean[scored]
    independent = len({c for c, is_scored in zip(clusters, scored.tolist(), strict=True) if is_scored}) == len(kept)
    alike = bool((rows[:, scored] == kept).all())
    if alike and slices is None and independent and np.isin(kept, (0.0, 1.0)).all():
        return wilson_interval(int(kept.sum()), len(kept))
    names = list(slices) if slices is not None else ["all"] * len(mean)
    shares = weights if weights is not None else {"all": 1.0}
    return bootstrap_mean(values, clusters, names, shares, n_resamples=n_resamples, seed=seed).interval(shares)


@dataclass(frozen=True)
class MeanBootstrap:
    """One arm's mean score in each slice, resampled once, so that other weights of these need no new resampling.

    Attributes:
        slices: Names of those with weight, length n_slices.
        observed: Shape (1, n_seeds, n_slices). resampled: (n_resamples, n_seeds, n_slices), NaN where one is missed.
        n_clusters: Resampled. n_scored_clusters: those that hold a scored question.
        is_share: Whether all scores lie in [0, 1].
        seed: Of the resampling.
    """

    slices: tuple[str, ...]
    observed: Floats
    resampled: Floats
    n_clusters: int
    n_scored_clusters: int
    is_share: bool
    seed: int

    def interval(self, weights: Mapping[str, float], *, level: float = 0.95) -> Interval:
        """As `mean_interval` gives it for weights above 0 of these slices, and of no others.

        Raises:
            EvaluationError: most resamples miss a slice.
        """
        shares = _shares([weights[name] for name in self.slices])
        resampled = _weighted(self.resampled, shares)
        usable = np.asarray(~np.isnan(resampled).any(axis=1))
        _require_usable(usable)
        draws = draw_seeds(_weighted(self.observed, shares)[0], np.asarray(resampled[usable]), seed=self.seed)
        observed = float(draws.observed)
        if self.n_scored_clusters > 1 and self.is_share:
            return _effective_wilson_interval(observed, draws.resampled, self.n_scored_clusters, draws.by_seed, level)
        return expanded_percentile_interval(
            observed, draws.resampled, self.n_clusters, by_seed=draws.by_seed, level=level
        )


def bootstrap_mean(
    values: Floats,
    clusters: Sequence[str],
    slices: Sequence[str],
    weights: Mapping[str, float],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> MeanBootstrap:
    """Resample one arm's mean in each slice that has weight.

    Args:
        values: As `mean_interval` takes them. slices: Slice of each question. clusters: Cluster of each.
    Raises:
        EvaluationError: a single cluster.
    """
    rows, mean = _seed_rows(values)
    scored = ~np.isnan(mean)
    sums = _sums(rows, slices, clusters, weights)
    drawn = _multiplicities(_require_clusters(sums), n_resamples, seed)
    return MeanBootstrap(
        sums.names,
        sums.slice_means(np.ones((1, sums.totals.shape[0]))),
        _slice_means(sums, drawn),
        sums.totals.shape[0],
        len({cluster for cluster, is_scored in zip(clusters, scored.tolist(), strict=True) if is_scored}),
        bool(((mean[scored] >= 0) & (mean[scored] <= 1)).all()),
        seed,
    )


def _seed_rows(values: Floats) -> tuple[Floats, Floats]:
    """Scores by seed, shape (n_seeds, n_questions), and their mean (n_questions,); NaN where any seed has none."""
    rows = np.atleast_2d(values)
    mean = rows[0] if len(rows) == 1 else rows.mean(axis=0)
    return np.where(np.isnan(mean), np.nan, rows), mean


@dataclass(frozen=True)
class ArmBootstrap:
    """Joint bootstrap of all arms: the same clusters are drawn for every arm, so differences are paired.

    Attributes:
        observed: Weighted mean of each arm, shape (n_arms,).
        resampled: Shape (n_resamples, n_arms).
    """

    arms: tuple[str, ...]
    observed: Floats
    resampled: Floats

    def probability_best(self) -> dict[str, float]:
        """Share of resamples in which each arm has the highest mean; ties are shared."""
        best = self.resampled == self.resampled.max(axis=1, keepdims=True)
        share = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
        return {arm: float(p) for arm, p in zip(self.arms, share, strict=True)}


@dataclass(frozen=True)
class SliceBootstrap:
    """Means in each slice, resampled once for all columns, so that other slice weights need no new resampling.

    Attributes:
        slices: Names, length n_slices.
        observed: Shape (n_columns, n_slices).
        resampled: Shape (n_resamples, n_columns, n_slices), NaN where a resample misses a slice.
    """

    slices: tuple[str, ...]
    n_clusters: int
    observed: Floats
    resampled: Floats

    def weighted(self, weights: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Weighted means, shape (n_columns,), and their bootstrap distribution, shape (n_usable_resamples, n_columns).

        Raises:
            EvaluationError: no weight on any slice that has questions, or most resamples miss a slice with weight.
        """
        shares = np.array([weights.get(name, 0.0) for name in self.slices])
        if (shares < 0).any() or shares.sum() <= 0:
            raise EvaluationError(f"slice weights {dict(weights)} leave no weight on any slice that has questions")
        kept = shares > 0
        shares = shares[kept] / shares[kept].sum()
        means = self.resampled[:, :, kept] @ shares
        usable = np.asarray(~np.isnan(means).any(axis=1))
        _require_usable(usable)
        return np.round(self.observed[:, kept] @ shares, _DECIMALS), np.round(means[usable], _DECIMALS)


def bootstrap_slices(
    columns: Floats,
    slices: Sequence[str],
    clusters: Sequence[str],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> SliceBootstrap:
    """Resample clusters once for several columns of values and keep the means of each slice apart.

    Args:
        columns: Shape (n_columns, n_questions), without NaN.
        slices: Slice of each question. clusters: Cluster of each question.
    Raises:
        EvaluationError: no question, or a single cluster.
    """
    if not slices:
        raise EvaluationError("there is no test question to compare on; mark some questions as test")
    names = tuple(sorted(set(slices)))
    sums = _sums(columns, slices, clusters, dict.fromkeys(names, 1.0))
    n_clusters = _require_clusters(sums)
    drawn = _multiplicities(n_clusters, n_resamples, seed)
    return SliceBootstrap(names, n_clusters, sums.slice_means(np.ones((1, n_clusters)))[0], _slice_means(sums, drawn))


def paired_bootstrap(
    first: Floats,
    second: Floats,
    clusters: Sequence[str],
    *,
    slices: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, float]:
    """Interval of mean(first) - mean(second) over the same questions by whole clusters, and a two-sided p-value.

    Args:
        first: Scores, shape (n_questions,), NaN where unscored; pairs with a NaN are left out. Of an arm that was
            trained several times shape (n_seeds, n_questions), in the order of the seeds.
        second: Same order of questions; two arms of several seeds have the same ones and are paired by seed.
        clusters: Cluster of each question.
        slices: Slice of each question, with `weights` for the traffic-weighted difference.
    Returns:
        The expanded percentile interval, with what was not seen (`unseen_error`), and p by inverting it. But for that
        both are monotone: a higher score in `first` never lowers the interval nor raises p of a positive difference.
    Raises:
        EvaluationError: shapes differ, no scored pair, or fewer than 2 clusters.
    Source:
        Miller 2024, arXiv:2411.00640, section 3.
    """
    shapes = np.atleast_2d(first).shape, np.atleast_2d(second).shape
    n_seeds = {n for n, _ in shapes} - {1}
    if len({n for _, n in shapes} | {len(clusters)}) > 1 or len(n_seeds) > 1:
        raise EvaluationError(f"paired scores differ in shape: {first.shape}, {second.shape}, {len(clusters)} clusters")
    rows, difference = _seed_rows(np.atleast_2d(first) - np.atleast_2d(second))
    if np.isnan(difference).all():
        raise EvaluationError("no question is scored for both arms; see the reasons of the unscored ones")
    names = list(slices) if slices is not None else ["all"] * len(difference)
    sums = _sums(rows, names, clusters, weights if weights is not None else {"all": 1.0})
    n_clusters = sums.totals.shape[0]
    means = sums.means(np.ones((1, n_clusters)))[0]
    draws = draw_seeds(means, _resampled(sums, n_resamples=n_resamples, seed=seed), seed=seed)
    scored = np.flatnonzero(~np.isnan(difference)).tolist()
    shares = dict(zip(sums.names, sums.weights.tolist(), strict=True))
    cells = [names[i] for i in scored], [clusters[i] for i in scored]
    error = unseen_error(*cells, shares) * unseen_size(difference[scored], *cells)
    drawn = with_unseen(draws.resampled, error)
    interval = expanded_percentile_interval(
        float(draws.observed), drawn, n_clusters, by_seed=draws.by_seed, level=level
    )
    return interval, bootstrap_p_value(drawn, n_clusters, by_seed=draws.by_seed)


def bootstrap_p_value(resampled: Floats, n_clusters: int, *, by_seed: Floats | None = None) -> float:
    """Two-sided p-value of a difference of 0: one minus the level at which the interval of these resamples touches 0.

    Args:
        resampled: Bootstrap distribution of the difference, shape (n_resamples,), of clusters and seeds.
        by_seed: The difference of each training seed, shape (n_seeds,).
    Source:
        Davison & Hinkley 1997, "Bootstrap methods and their application", chapter 4, for counting the observed one too.
    """
    tail = (int(min((resampled <= 0).sum(), (resampled >= 0).sum())) + 1) / (len(resampled) + 1)
    # The interval's tails are those of a t distribution; tails taken as they are claim too much for few clusters.
    errors, p_value = _errors_and_p(tail, n_clusters)
    if errors >= 0 or seed_variance(by_seed) == 0:
        return p_value
    from scipy.optimize import brentq

    return 2 * float(
        brentq(lambda p: _critical_value(p, resampled, n_clusters, by_seed) + errors, 1e-12, 0.5, xtol=1e-10)
    )


def mcnemar_exact(first: Floats, second: Floats) -> float:
    """Two-sided exact p-value for paired scores of 0 and 1 on independent questions; pairs with a NaN are left out.

    Raises:
        EvaluationError: a score is neither 0 nor 1.
    Source:
        McNemar 1947, Psychometrika 12; exact binomial form.
    """
    pair = ~np.isnan(first) & ~np.isnan(second)
    a, b = first[pair], second[pair]
    if not np.isin(np.concatenate([a, b]), (0.0, 1.0)).all():
        raise EvaluationError("McNemar's test is for scores of 0 and 1; use the paired bootstrap for graded ones")
    n_first, n_second = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    if n_first + n_second == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(n_first, n_first + n_second, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for testing all of them, in the order given.

    Source:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """Level of the interval of each difference that says the same as its p-value after Holm.

    What is tested at alpha over m has an interval of level 1 - alpha / m: at each step of Holm the pairs that are left,
    and all that are not shown at the step where it stops. Those then hold all at once.

    Source:
        Strassburger & Bretz 2008, "Compatible simultaneous lower confidence bounds for the Holm procedure", Statistics
        in Medicine 27.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels = [0.0] * len(p_values)
    left, stopped = len(order), False
    for rank, i in enumerate(order):
        # Pairs with one p-value share a level, so that their order decides nothing.
        if rank and not stopped and p_values[i] > p_values[order[rank - 1]]:
            stopped = p_values[order[rank - 1]] * left >= ALPHA
            left = left if stopped else len(order) - rank
        levels[i] = 1 - ALPHA / left
    return levels


def agreeing(interval: Interval, p_adjusted: float) -> Interval:
    """The interval, reaching to 0 where the test does not tell the difference from 0."""
    if p_adjusted < ALPHA:
        return interval
    return replace(interval, low=min(interval.low, 0.0), high=max(interval.high, 0.0))


def normal_quantile(level: float) -> float:
    """Standard errors from the estimate to the end of an interval of that level."""
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 2))


def minimum_detectable_effect(standard_error: float, *, level: float = 0.95) -> float:
    """The smallest true difference that an interval of that level tells from 0 with the power of `POWER`.

    Args:
        standard_error: Of the paired, clustered difference.
    Source:
        Miller 2024, arXiv:2411.00640, section 5 (about 2.8 standard errors at the defaults).
    """
    return (normal_quantile(level) + normal_quantile(2 * POWER - 1)) * standard_error


def deciding_error(difference: float, margin: float, *, level: float = 0.95) -> float:
    """The standard error at which a true difference of this size would be decided with the power of `POWER`.

    A difference above the margin is decided when its interval clears 0 and its estimate the margin; one below, when the
    interval shows that it is below. One that is the margin itself no number of questions decides: 0.
    """
    to_keep = normal_quantile(2 * POWER - 1)
    to_show = normal_quantile(level) + to_keep
    if difference > margin:
        return min(difference / to_show, (difference - margin) / to_keep)
    return max(0.0, margin - difference) / to_show


def questions_needed(
    wanted_error: float,
    standard_error: float,
    n_questions: int,
    *,
    seed_error: float = 0.0,
    unseen: float = 0.0,
) -> int | None:
    """Test questions, drawn like these, that would bring the standard error down; None where no number would.

    Args:
        wanted_error: As `deciding_error` gives it.
        standard_error: Of the difference, training seeds included.
        seed_error: The part of it that comes of the training seeds, which more questions do not make smaller.
        unseen: Of `unseen_error`; it shrinks with the number of questions and not with its root.
    """
    room = wanted_error**2 - seed_error**2
    of_questions = max(0.0, standard_error**2 - seed_error**2)
    if wanted_error <= seed_error or of_questions + unseen == 0:
        return None
    return ceil(n_questions * (of_questions + sqrt(of_questions**2 + 4 * room * unseen**2)) / (2 * room))
