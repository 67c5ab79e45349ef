"""Simulated judges whose errors are known: how often scores corrected by human labels hold the truth.

Run with `make simulate`, which writes the table of docs/simulations.md. All replays of a scenario are arms of one call,
each with its own data, so that the code under test is the one that decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from advisor.evidence.prediction_powered import MIN_LABELS, corrected_bootstrap
from advisor.evidence.statistics import Floats, expanded_percentile_interval

Rng = np.random.Generator
Bools = NDArray[np.bool_]

N_QUESTIONS, DOCUMENT_SIZE = 300, 4
PREVALENCES = (0.05, 0.2, 0.5, 0.8, 0.95)
LABEL_COUNTS = (10, 15, 30, 50, 100, 200)
N_REPLAYS, N_RESAMPLES = 500, 500


@dataclass(frozen=True)
class Judge:
    """How often a judge errs on each of two arms: wrong answers called good, good ones called wrong."""

    false_good: tuple[float, float]
    false_bad: tuple[float, float]
    n_claims: int = 1

    def scores(self, rng: Rng, right: Bools) -> Floats:
        """Shape (2, n_replays, n_questions), as `right`; shares of claims found good where there are several."""
        good = np.where(right, 1 - np.array(self.false_bad)[:, None, None], np.array(self.false_good)[:, None, None])
        return np.asarray(rng.binomial(self.n_claims, good) / self.n_claims)


def alike(false_good: float, false_bad: float, n_claims: int = 1) -> Callable[[float], Judge]:
    """A judge that errs alike on both arms, whatever the share of right answers."""
    return lambda _: Judge((false_good, false_good), (false_bad, false_bad), n_claims)


def unbiased(share: float) -> Judge:
    """As many wrong answers called good as good ones called wrong; the rarer kind in one of ten."""
    most = max(share, 1 - share)
    return Judge((0.1 * share / most,) * 2, (0.1 * (1 - share) / most,) * 2)


JUDGES: Mapping[str, Callable[[float], Judge]] = {
    "unbiased": unbiased,
    "harsh": alike(0.02, 0.35),
    "lenient": alike(0.35, 0.02),
    "biased towards one arm": lambda _: Judge((0.35, 0.02), (0.02, 0.35)),
    "nearly useless": alike(0.45, 0.45),
    "nearly perfect": alike(0.02, 0.02),
    "graded, four claims": alike(0.3, 0.15, 4),
}


def other_share(share: float) -> float:
    """Of right answers of the second arm: ten points off."""
    return share + 0.1 if share < 0.5 else share - 0.1


def two_arms(rng: Rng, n_replays: int, share: float, *, clustered: bool) -> Bools:
    """Whether answers are right, shape (2, n_replays, N_QUESTIONS): latent normal, correlation .5 between arms.

    Clustered, documents of four questions have an intra-cluster correlation of .35 in the latent scale.
    """
    of_document = 0.35 if clustered else 0.0
    document = np.repeat(rng.normal(size=(n_replays, N_QUESTIONS // DOCUMENT_SIZE)), DOCUMENT_SIZE, axis=1)
    shared = np.sqrt(of_document) * document + np.sqrt(0.5 - of_document) * rng.normal(size=document.shape)
    latent = shared + np.sqrt(0.5) * rng.normal(size=(2, *document.shape))
    return np.asarray(latent < norm.ppf([share, other_share(share)])[:, None, None])


def random_sample(rng: Rng, n_replays: int, n_labels: int) -> Bools:
    """Which questions people label, shape (n_replays, N_QUESTIONS): the same for both arms."""
    return np.asarray(rng.random((n_replays, N_QUESTIONS)).argsort(axis=1).argsort(axis=1) < n_labels)


def where_arms_differ(rng: Rng, scores: Floats, n_labels: int) -> Bools:
    """The questions on which the judge tells the arms apart first, then others: what a sample must not be."""
    order = rng.random(scores.shape[1:]) - np.abs(scores[0] - scores[1])
    return np.asarray(order.argsort(axis=1).argsort(axis=1) < n_labels)


@dataclass(frozen=True)
class Held:
    """How often 95 % intervals hold the truth, and how wide they are on average."""

    share: float
    width: float


def _held(low: Floats, high: Floats, truth: float) -> Held:
    return Held(float(((low <= truth) & (truth <= high)).mean()), float((high - low).mean()))


def corrected(
    judge: Callable[[float], Judge],
    share: float,
    n_labels: int,
    *,
    clustered: bool,
    n_replays: int = N_REPLAYS,
    seed: int = 0,
    sample: str = "random",
) -> dict[str, Held]:
    """Of an arm's mean, of the difference of two arms, and of the mean by PPI++ with a normal interval.

    Args:
        share: Of right answers of the first arm. sample: "random", or "differing" questions first.
    """
    rng = np.random.default_rng([seed, n_labels, round(100 * share), clustered])
    right = two_arms(rng, n_replays, share, clustered=clustered)
    scores = judge(share).scores(rng, right)
    chosen = random_sample(rng, n_replays, n_labels) if sample == "random" else where_arms_differ(rng, scores, n_labels)
    labels = np.where(chosen, right, np.nan)
    size = DOCUMENT_SIZE if clustered else 1
    clusters = [f"c{i // size}" for i in range(N_QUESTIONS)]
    as_arms = (2 * n_replays, 1, N_QUESTIONS)
    bootstrap = corrected_bootstrap(
        scores.reshape(as_arms),
        labels.reshape(as_arms),
        np.zeros(as_arms),
        ("s",) * N_QUESTIONS,
        clusters,
        n_resamples=N_RESAMPLES,
    )
    draws = bootstrap.resampled[:, : 2 * n_replays, 0].reshape(-1, 2, n_replays)
    truth = share - other_share(share)
    return {
        "mean": _held(*_ends(draws[:, 0], bootstrap.n_clusters), share),
        "difference": _held(*_ends(draws[:, 0] - draws[:, 1], bootstrap.n_clusters), truth),
        "plain": _held(*_normal_ends(scores[0], labels[0]), share),
    }


def _ends(draws: Floats, n_clusters: int) -> tuple[Floats, Floats]:
    """Of the interval that decides, for every replay; draws of shape (n_draws, n_replays)."""
    intervals = [expanded_percentile_interval(0.0, own, n_clusters) for own in draws.T]
    return np.array([one.low for one in intervals]), np.array([one.high for one in intervals])


def _normal_ends(scores: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """PPI++ as published: tuned weight, independent questions, an interval by the central limit theorem."""
    known = ~np.isnan(labels)
    n, n_all = known.sum(axis=1), scores.shape[1]
    right = np.nan_to_num(labels)

    def mean(values: Floats) -> Floats:
        return np.asarray((values * known).sum(axis=1) / n)

    centred = (scores - mean(scores)[:, None]) * known
    spread = (centred**2).sum(axis=1)
    weight = np.where(spread > 0, (centred * right).sum(axis=1) / np.where(spread > 0, spread, 1), 0)
    rest = right - weight[:, None] * scores
    variance = (known * (rest - mean(rest)[:, None]) ** 2).sum(axis=1) / (n - 1) / n
    error = np.sqrt(variance + weight**2 * scores.var(axis=1) / n_all)
    estimate = mean(rest) + weight * scores.mean(axis=1)
    return estimate - norm.ppf(0.975) * error, estimate + norm.ppf(0.975) * error


def scenarios(
    n_labels: int, *, clustered: bool, n_replays: int = N_REPLAYS, seed: int = 0, sample: str = "random"
) -> dict[tuple[str, float], dict[str, Held]]:
    """Every judge at every share of right answers."""
    return {
        (name, share): corrected(
            judge, share, n_labels, clustered=clustered, n_replays=n_replays, seed=seed + 100 * i, sample=sample
        )
        for i, (name, judge) in enumerate(JUDGES.items())
        for share in PREVALENCES
    }


def summary(held: Sequence[Held]) -> str:
    """Lowest and average share of intervals that hold the truth, and their average width in points."""
    shares = [100 * one.share for one in held]
    width = 100 * np.mean([one.width for one in held])
    return f"{min(shares):.1f} % | {np.mean(shares):.1f} % | {width:.1f}"


def judge_tables(*, n_replays: int = N_REPLAYS, seed: int = 40) -> list[str]:
    """Lines of Markdown: by number of labels, then by judge at the number that is asked for."""
    lines = [
        "| labels of an arm | questions | mean: lowest | average | width | difference: lowest | average | width "
        "| normal interval: lowest | average | width |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    asked = {}
    for n_labels in LABEL_COUNTS:
        for clustered in (False, True):
            found = scenarios(n_labels, clustered=clustered, n_replays=n_replays, seed=seed)
            of = {name: [one[name] for one in found.values()] for name in ("mean", "difference", "plain")}
            questions = "75 documents of 4" if clustered else "300 independent"
            lines.append(f"| {n_labels} | {questions} | {' | '.join(summary(of[name]) for name in of)} |")
            print(lines[-1], flush=True)
            if n_labels == MIN_LABELS:
                asked[clustered] = found
    lines += [
        "",
        f"With {MIN_LABELS} labels of each arm, by judge, both kinds of questions:",
        "",
        "| judge | mean: lowest | average | width | difference: lowest | average | width |",
        "|---|---|---|---|---|---|---|",
    ]
    for judge in JUDGES:
        own = [held for found in asked.values() for (name, _), held in found.items() if name == judge]
        lines.append(f"| {judge} | {' | '.join(summary([one[k] for one in own]) for k in ('mean', 'difference'))} |")
        print(lines[-1], flush=True)
    chosen = scenarios(100, clustered=False, n_replays=n_replays, seed=seed, sample="differing")
    worst = summary([one["mean"] for one in chosen.values()]), summary([one["difference"] for one in chosen.values()])
    lines += [
        "",
        "With 100 labels of each arm on the questions where the judge tells the arms apart (why the queue does not):",
        "",
        "| mean: lowest | average | width | difference: lowest | average | width |",
        "|---|---|---|---|---|---|",
        f"| {worst[0]} | {worst[1]} |",
    ]
    print(lines[-1], flush=True)
    return lines
