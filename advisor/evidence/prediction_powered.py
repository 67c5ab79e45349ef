"""A judge's scores corrected by people's labels: many cheap verdicts that may be biased, some that are right.

People label a random sample of an arm's answers. Among the answers that the judge calls good the labels say how many
are, and among those it calls bad likewise; the judge's verdicts on all answers weigh the two. That is
prediction-powered inference with the tuned weight λ of PPI++: with two verdicts the best λ is the difference of the two
shares, and the estimate is the same to the last digit (a test holds it to the formula). A useless judge (λ = 0) leaves
the labels alone to speak; a biased one is corrected for each arm by that arm's own labels.

Intervals by the central limit theorem are far too short here: with 15 labels they held the truth in 40 to 95 % of
simulated runs. Here whole clusters are weighted at random (the Bayesian bootstrap) and each share of the labels gets
Jeffreys' prior, half a right and half a wrong label. docs/simulations.md has how often that holds, and what
`MIN_LABELS` follows from.

Sources:
    Angelopoulos, Duchi & Zrnic 2023, "PPI++: Efficient prediction-powered inference", arXiv:2311.01453; Hofer et al.
    2024, "Bayesian prediction-powered inference", arXiv:2405.06034, for the posterior of each verdict's share; Rubin
    1981, "The Bayesian bootstrap", Annals of Statistics 9; Brown, Cai & DasGupta 2001, "Interval estimation for a
    binomial proportion", Statistical Science 16, for Jeffreys' prior.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.evidence.statistics import (
    N_RESAMPLES,
    Floats,
    SeedDraws,
    SliceBootstrap,
    draw_seeds,
    expanded_percentile_interval,
)
from advisor.results.comparison import Interval

MIN_LABELS = 30
"""Labelled answers of an arm from which its corrected scores may decide; docs/simulations.md says why."""

METHOD = "corrected by human labels"
_BLOCK = 1_000


def verdict_cut(scores: Floats) -> float:
    """The lowest score that counts as the judge's "good": the cut that tells high from low scores best.

    It comes of the judge's scores alone, so that no label is used twice. Scores of 0 and 1 are cut between them.

    Args:
        scores: Of any shape; NaN where the judge gave none.
    Source:
        Otsu 1979, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
        Cybernetics 9.
    """
    values, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
    if len(values) < 2:
        return float(values[0]) if len(values) else 0.0
    n_below, sum_below = np.cumsum(counts)[:-1], np.cumsum(counts * values)[:-1]
    n, total = counts.sum(), (counts * values).sum()
    apart = sum_below / n_below - (total - sum_below) / (n - n_below)
    return float(values[1:][np.argmax(n_below * (n - n_below) * apart**2)])


def effective_labels(n_by_slice: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """As many labels as a sample spread like the traffic would need to be worth the same; 0 where a slice has none.

    Args:
        n_by_slice: Labelled answers in each slice that has questions. weights: Share of the traffic of each slice.
    Source:
        Kish 1965, "Survey Sampling", section 11.7, for the effective size of a weighted sample.
    """
    shares = {name: weights.get(name, 0.0) for name in n_by_slice if weights.get(name, 0.0) > 0}
    if not shares or not all(n_by_slice[name] for name in shares):
        return 0.0
    return sum(shares.values()) ** 2 / sum(share**2 / n_by_slice[name] for name, share in shares.items())


def label_counts(labels: Floats, slices: Sequence[str]) -> dict[str, int]:
    """Questions of one arm with a label for any of its trainings, by slice; shape of labels (n_seeds, n_questions)."""
    labelled = np.asarray(~np.isnan(labels).all(axis=0)).tolist()
    return {
        part: sum(own for own, other in zip(labelled, slices, strict=True) if other == part)
        for part in sorted(set(slices))
    }


def enough_labels(judged: Floats, labels: Floats) -> bool:
    """Whether each arm that a judge scored at all has `MIN_LABELS`; shapes as `corrected_bootstrap` takes them."""
    scored = ~np.isnan(judged).all(axis=(1, 2))
    n_labelled = np.asarray(~np.isnan(labels).all(axis=1)).sum(axis=1)
    return bool(scored.any() and (n_labelled[scored] >= MIN_LABELS).all())


def corrected_bootstrap(
    judged: Floats,
    labels: Floats,
    declined: Floats,
    slices: Sequence[str],
    clusters: Sequence[str],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> SliceBootstrap:
    """Corrected means in each slice, and draws of where the true ones lie, jointly for all arms.

    Arms are weighted by the same draw of clusters, so that differences of two columns are paired. The trainings of an
    arm share its labels: a judge is taken to err alike on what adapters of one arm answer.

    Args:
        judged: The judge's scores, shape (n_arms, n_seeds, n_questions), NaN where it gave none.
        labels: People's, same shape, in [0, 1], NaN where nobody looked; a random sample of each slice.
        declined: Whether an answer abstains, same shape.
        slices: Slice of each question. clusters: Cluster of each.
    Returns:
        Columns as `Evidence.bootstrap` has them: by seed the score, the loss by abstaining, and the unscored of every
        arm. Answers without a judge's score stay unscored, whatever their label.
    """
    names = tuple(sorted(set(slices)))
    table = _table(judged, labels, declined, np.array([[name == other for other in slices] for name in names]))
    index = {name: i for i, name in enumerate(sorted(set(clusters)))}
    where = np.array([index[name] for name in clusters], dtype=np.intp)
    sums = np.zeros((len(index), *table.shape[:-1]))
    np.add.at(sums, where, np.moveaxis(table, -1, 0))
    shape = judged.shape[:2]
    rng = np.random.default_rng(seed)
    draws = []
    for start in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - start)
        drawn = np.tensordot(rng.exponential(size=(size, len(index))), sums, axes=1)
        prior = rng.gamma(0.5, size=(size, 2, 2, shape[0], len(names)))
        draws.append(_columns(drawn, prior, shape))
    # The estimate has no prior, but where a verdict has no label of its own.
    whole = sums.sum(axis=0)[None]
    unlabelled = _split(whole, shape)[0].sum(axis=1, keepdims=True) == 0
    observed = _columns(whole, np.where(unlabelled, 0.5, 0.0), shape)[0]
    return SliceBootstrap(names, len(index), observed, np.concatenate(draws))


def corrected_mean(
    values: Floats,
    labels: Floats,
    clusters: Sequence[str],
    *,
    slices: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Interval:
    """One arm's corrected mean, where `statistics.mean_interval` gives that of the judge's scores alone.

    Args:
        values: The judge's scores, shape (n_seeds, n_questions), NaN where it gave none. labels: People's, likewise.
    """
    draws, n_clusters = corrected_draws(values, labels, clusters, slices=slices, weights=weights, seed=seed)
    estimate = float(draws.observed)
    interval = expanded_percentile_interval(estimate, draws.resampled, n_clusters, by_seed=draws.by_seed)
    # The estimate may stand at an end of the scale, which no draw reaches.
    ends = min(interval.low, estimate), max(interval.high, estimate)
    return Interval(estimate, *ends, interval.level, METHOD)


def corrected_draws(
    values: Floats,
    labels: Floats,
    clusters: Sequence[str],
    *,
    slices: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
) -> tuple[SeedDraws, int]:
    """The corrected mean with its resampled distribution, and the number of clusters; arguments of `corrected_mean`."""
    names, shares = (slices, weights) if slices is not None and weights is not None else (["all"] * len(clusters), None)
    found = corrected_bootstrap(values[None], labels[None], np.zeros_like(values)[None], names, clusters, seed=seed)
    observed, resampled = found.weighted(shares or {"all": 1.0})
    return draw_seeds(observed[::3], resampled[:, ::3], seed=seed), found.n_clusters


def _table(judged: Floats, labels: Floats, declined: Floats, in_slice: NDArray[np.bool_]) -> Floats:
    """What is summed over the questions of a cluster, shape (n_rows, n_slices, n_questions): see `_split`."""
    n_questions = judged.shape[-1]
    unscored = np.isnan(judged)
    good = judged >= verdict_cut(judged)
    verdicts = np.stack([good, ~good & ~unscored]).astype(np.float64)  # (2, n_arms, n_seeds, n_questions)
    known = ~np.isnan(labels) & ~unscored
    # A question is one label, of however many trainings the answers were looked at.
    share = known / np.maximum(1, known.sum(axis=1, keepdims=True))
    right = np.nan_to_num(labels) * share
    rows = [
        (verdicts * right).sum(axis=2),
        (verdicts * (share - right)).sum(axis=2),
        verdicts,
        verdicts * declined,
        unscored,
        np.ones((1, n_questions)),
    ]
    flat = np.concatenate([np.asarray(row, dtype=np.float64).reshape(-1, n_questions) for row in rows])
    return np.asarray(flat[:, None] * in_slice)


def _split(sums: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Rows of `_table`, shape (n_draws, n_rows, n_slices), taken apart.

    Returns:
        Labels, right and wrong, by verdict: (n_draws, 2, 2, n_arms, n_slices); answers by verdict, and those of them
        that abstain: (n_draws, 2, n_arms, n_seeds, n_slices); the unscored: (n_draws, n_arms, n_seeds, n_slices);
        questions: (n_draws, 1, 1, n_slices).
    """
    n_arms, n_seeds = shape
    n_draws, _, n_slices = sums.shape
    sizes = [4 * n_arms, 2 * n_arms * n_seeds, 2 * n_arms * n_seeds, n_arms * n_seeds]
    parts = np.split(sums, np.cumsum(sizes), axis=1)
    return (
        parts[0].reshape(n_draws, 2, 2, n_arms, n_slices),
        parts[1].reshape(n_draws, 2, n_arms, n_seeds, n_slices),
        parts[2].reshape(n_draws, 2, n_arms, n_seeds, n_slices),
        parts[3].reshape(n_draws, n_arms, n_seeds, n_slices),
        parts[4].reshape(n_draws, 1, 1, n_slices),
    )


def _columns(sums: Floats, prior: Floats, shape: tuple[int, int]) -> Floats:
    """Score, loss by abstaining and unscored share of every arm, shape (n_draws, n_seeds * 3 * n_arms, n_slices).

    Args:
        prior: Labels added to each share, right and wrong, by verdict: (n_draws, 2, 2, n_arms, n_slices).
    """
    own, answers, abstained, unscored, n_questions = _split(sums, shape)
    labels = own + prior
    right = (labels[:, 0] / labels.sum(axis=1))[:, :, :, None]  # (n_draws, 2, n_arms, 1, n_slices)
    score = (answers * right).sum(axis=1) / n_questions
    loss = (abstained * (1 - right)).sum(axis=1) / n_questions
    columns = np.concatenate([score, loss, unscored / n_questions], axis=1).swapaxes(1, 2)
    return columns.reshape(len(sums), -1, sums.shape[-1])
