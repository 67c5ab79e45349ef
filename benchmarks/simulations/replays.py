"""Simulated comparisons whose truth is known: how often the statistics are wrong, and what a race saves.

Run with `make simulate`, which writes docs/simulations.md. The tests run the same functions with fewer replays.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from advisor.data.dataset import Slice
from advisor.decision.decision import Stakes, decide
from advisor.decision.race import Race
from advisor.decision.race_plan import RacePlan, plan_race
from advisor.decision.race_recommendation import recommend_from_race
from advisor.decision.recommendation import DecisionRule, recommend
from advisor.evidence.evidence import Evidence, gather_evidence
from advisor.evidence.scorecard import applicable
from advisor.evidence.statistics import (
    ALPHA,
    bootstrap_p_value,
    bootstrap_slices,
    holm,
    mean_interval,
    paired_bootstrap,
    unseen_error,
    unseen_size,
    with_unseen,
)
from advisor.results.comparison import AuditFinding, Interval, PairedDifference, QuestionRecord, Recommendation, Verdict

Floats = NDArray[np.float64]
Rng = np.random.Generator

N_QUESTIONS = 300
CORRELATION = 0.5
RULE = DecisionRule("exact_match")
EQUAL = (0.7,) * 5
LADDER = {0.2: (0.9, 0.7, 0.5, 0.3, 0.1), 0.1: (0.7, 0.6, 0.5, 0.4, 0.3)}
LEVEL = {0.2: (0.7,) + (0.5,) * 4, 0.1: (0.7,) + (0.6,) * 4}


def names(n_clusters: int, size: int = 1) -> list[str]:
    """Cluster of each question, `size` questions a cluster."""
    return [f"c{i}" for i in range(n_clusters) for _ in range(size)]


def clustered_scores(rng: Rng, n_clusters: int, size: int, mean: float) -> Floats:
    """Binary scores whose probability varies by cluster (beta, intra-cluster correlation .35)."""
    concentration = 1 / 0.35 - 1
    probability = rng.beta(mean * concentration, (1 - mean) * concentration, n_clusters)
    return (rng.random((n_clusters, size)) < probability[:, None]).astype(float).ravel()


def correlated_arms(
    rng: Rng, accuracies: Sequence[float], *, n: int = N_QUESTIONS, correlation: float = CORRELATION
) -> Floats:
    """Binary scores, shape (n_arms, n), of arms that find the same questions hard: latent normal, equal correlation."""
    latent = np.sqrt(correlation) * rng.normal(size=n) + np.sqrt(1 - correlation) * rng.normal(
        size=(len(accuracies), n)
    )
    return np.asarray((latent < norm.ppf(accuracies)[:, None]).astype(float))


def clustered_arms(rng: Rng, n_arms: int, n_clusters: int, size: int, shift: Floats) -> Floats:
    """Binary scores of equal arms, shape (n_arms, n_clusters * size); each arm has its own good and bad documents.

    The paired differences have a design effect above 3, which a test asserts.

    Args:
        shift: Latent ease of each arm in each slice, shape (n_arms, n_slices); questions take the slices in turn.
    """
    easy = rng.normal(0, 0.6, (1, n_clusters, 1)) + rng.normal(0, 1.2, (n_arms, n_clusters, 1))
    part = shift[:, np.arange(size) % shift.shape[1]][:, None, :]
    return np.asarray(
        (easy + part + rng.normal(0, 1, (n_arms, n_clusters, size)) > 0).astype(float).reshape(n_arms, -1)
    )


def iid_binary_mean(rng: Rng) -> Interval:
    return mean_interval((rng.random(150) < 0.7).astype(float), names(150))


def iid_graded_mean(rng: Rng) -> Interval:
    return mean_interval(rng.beta(2, 1, 100), names(100), n_resamples=1_000)


def iid_binary_difference(rng: Rng) -> Interval:
    shared, own = rng.random(100), rng.random(100)
    first = shared < 0.7
    second = np.where(own < 0.5, shared < 0.6, rng.random(100) < 0.6)
    return paired_bootstrap(first.astype(float), second.astype(float), names(100), n_resamples=1_000)[0]


def clustered_mean(rng: Rng) -> Interval:
    return mean_interval(clustered_scores(rng, 60, 8, 0.6), names(60, 8), n_resamples=1_000)


def clustered_mean_near_one(rng: Rng) -> Interval:
    return mean_interval(clustered_scores(rng, 60, 8, 0.92), names(60, 8), n_resamples=1_000)


def clustered_difference(rng: Rng) -> Interval:
    first, second = clustered_scores(rng, 60, 8, 0.7), clustered_scores(rng, 60, 8, 0.6)
    return paired_bootstrap(first, second, names(60, 8), n_resamples=1_000)[0]


def seeded_scores(rng: Rng, n_seeds: int, seed_sd: float) -> tuple[Floats, Floats]:
    """Binary scores of an arm trained with several seeds, shape (n_seeds, 240), and of an untuned one, shape (240,).

    60 documents of 4 questions, latent normal: documents are hard for both, seeds are better or worse everywhere (sd
    `seed_sd`), and each finds other documents hard (sd .4).
    """
    document = rng.normal(0, 0.6, (1, 60, 1))
    seed, own = rng.normal(0, seed_sd, (n_seeds, 1, 1)), rng.normal(0, 0.4, (n_seeds, 60, 1))
    tuned = SEEDED_EASE + document + seed + own + rng.normal(0, 1, (n_seeds, 60, 4)) > 0
    untuned = document + rng.normal(0, 1, (1, 60, 4)) > 0
    return tuned.astype(float).reshape(n_seeds, -1), untuned.astype(float).ravel()


def seeded_truth(seed_sd: float) -> float:
    """Expected score of the tuned arm over questions and seeds; that of the untuned one is one half."""
    return float(norm.cdf(SEEDED_EASE / np.sqrt(0.6**2 + seed_sd**2 + 0.4**2 + 1)))


def seeded_mean(n_seeds: int, seed_sd: float, rng: Rng) -> Interval:
    return mean_interval(seeded_scores(rng, n_seeds, seed_sd)[0], names(60, 4), n_resamples=1_000)


def seeded_difference(n_seeds: int, seed_sd: float, rng: Rng) -> Interval:
    tuned, untuned = seeded_scores(rng, n_seeds, seed_sd)
    return paired_bootstrap(tuned, untuned, names(60, 4), n_resamples=1_000)[0]


def one_of_many_seeds_difference(seed_sd: float, rng: Rng) -> Interval:
    """What one training alone would report, its luck taken for the arm's."""
    tuned, untuned = seeded_scores(rng, 1, seed_sd)
    return paired_bootstrap(tuned[0], untuned, names(60, 4), n_resamples=1_000)[0]


SEEDED_EASE = 0.3
SEED_SDS = {0.0: "0", 0.1: "3", 0.3: "9"}
"""Standard deviation over seeds, latent and in points of score."""


def seed_coverage() -> dict[str, tuple[Callable[[Rng], Interval], float, bool]]:
    """By what is simulated: the replay, the truth, and whether the coverage of 93 to 97 % is asked of it."""
    rows: dict[str, tuple[Callable[[Rng], Interval], float, bool]] = {}
    for n_seeds in (2, 3, 5):
        for sd, points in SEED_SDS.items():
            truth = seeded_truth(sd)
            what = f"{n_seeds} training seeds, {points} points apart (sd)"
            rows[f"mean_interval, {what}"] = partial(seeded_mean, n_seeds, sd), truth, True
            rows[f"paired_bootstrap, {what}"] = partial(seeded_difference, n_seeds, sd), truth - 0.5, True
    for sd, points in SEED_SDS.items():
        what = f"one training of many, {points} points apart (why we do not)"
        rows[f"paired_bootstrap, {what}"] = partial(one_of_many_seeds_difference, sd), seeded_truth(sd) - 0.5, False
    return rows


COVERAGE: dict[str, tuple[Callable[[Rng], Interval], float]] = {
    "mean_interval, 150 binary scores, mean .7 (Wilson)": (iid_binary_mean, 0.7),
    "mean_interval, 100 graded scores, mean 2/3": (iid_graded_mean, 2 / 3),
    "paired_bootstrap, 100 correlated binary scores, difference .1": (iid_binary_difference, 0.1),
    "mean_interval, 60 documents of 8 questions, mean .6, design effect above 3": (clustered_mean, 0.6),
    "mean_interval, the same at mean .92": (clustered_mean_near_one, 0.92),
    "paired_bootstrap, 60 documents of 8 questions, difference .1, design effect above 3": (clustered_difference, 0.1),
}


def holds(replay: Callable[[Rng], Interval], truth: float, rng: Rng) -> float:
    """1 where the interval holds the truth."""
    interval = replay(rng)
    return float(interval.low <= truth <= interval.high)


def run_blocks(race: Race, scores: Floats) -> None:
    """Drive a race of arms "0", "1", … to its end on known scores."""
    while (block := race.next_block()) is not None:
        race.add({arm: scores[int(arm), list(block.questions)].tolist() for arm in race.arms})


def raced(scores: Floats, plan: RacePlan, *, rule: DecisionRule = RULE) -> Race:
    """A finished race."""
    race = Race([str(i) for i in range(len(scores))], plan, rule)
    run_blocks(race, scores)
    return race


def one_slice(n_clusters: int = N_QUESTIONS, size: int = 1, *, block_questions: int = 20) -> RacePlan:
    """A plan without slices."""
    clusters = names(n_clusters, size)
    return plan_race(["s"] * len(clusters), clusters, {"s": 1.0}, block_questions=block_questions)


def two_slices(n_clusters: int, size: int, *, coverage: float) -> RacePlan:
    """A plan whose documents hold questions of both slices in turn."""
    clusters = names(n_clusters, size)
    slices = ["seen" if i % 2 == 0 else "unseen" for i in range(len(clusters))]
    return plan_race(slices, clusters, {"seen": coverage, "unseen": 1 - coverage})


def race_claims_winner(plan: RacePlan, accuracies: Sequence[float], rng: Rng) -> float:
    """1 where a race of equal, correlated arms ends with a winner, which is always wrong."""
    return float(len(raced(correlated_arms(rng, accuracies), plan).arms) == 1)


def race_ever_drops(plan: RacePlan, accuracies: Sequence[float], rng: Rng) -> float:
    """1 where any arm of equal ones is called worse after any block: wrong for one who stops whenever he likes."""
    race = raced(correlated_arms(rng, accuracies), plan, rule=DecisionRule("exact_match", margin=0.0))
    return float(len(race.arms) < len(accuracies))


def clustered_race_ever_drops(plan: RacePlan, n_arms: int, rng: Rng) -> float:
    """The same where each arm has its own good and bad documents."""
    scores = clustered_arms(rng, n_arms, 60, 8, np.full((n_arms, 1), 0.7))
    return float(len(raced(scores, plan, rule=DecisionRule("exact_match", margin=0.0)).arms) < n_arms)


def opposed_slices_race_ever_drops(plan: RacePlan, rng: Rng) -> float:
    """The same where one arm is good on one slice, the other on the other, and the weighted difference is 0."""
    scores = clustered_arms(rng, 2, 60, 8, np.array([[1.2, -1.2], [-1.2, 1.2]]))
    return float(len(raced(scores, plan, rule=DecisionRule("exact_match", margin=0.0)).arms) < 2)


def race_misstates(plan: RacePlan, accuracies: Sequence[float], rng: Rng) -> float:
    """1 where, at the end of a race, any confidence sequence misses its true difference."""
    differences = raced(correlated_arms(rng, accuracies), plan).differences()
    return float(
        any(
            not d.interval.low <= accuracies[int(d.first)] - accuracies[int(d.second)] <= d.interval.high
            for d in differences
        )
    )


def race_falsely_calls_equal(plan: RacePlan, margin: float, rng: Rng) -> float:
    """1 where two arms exactly the margin apart are called within the margin."""
    scores = correlated_arms(rng, (0.7, 0.7 - margin), n=plan.n_questions, correlation=0.8)
    race = raced(scores, plan, rule=DecisionRule("exact_match", margin=margin))
    return float(len(race.arms) == 2 and len(race.outcome().not_worse) == 2)


def race_share(plan: RacePlan, accuracies: Sequence[float], correlation: float, rng: Rng) -> float:
    """Share of the evaluations that a race of these arms uses."""
    race = raced(correlated_arms(rng, accuracies, correlation=correlation), plan)
    return race.n_evaluations / (len(accuracies) * plan.n_questions)


def known_truth_questions(accuracies: Sequence[float], n_arms: int) -> float:
    """Questions that the best constant bet needs on average for one pair of arms, knowing their joint distribution."""
    scores = correlated_arms(np.random.default_rng(0), accuracies, n=1_000_000)
    difference = scores[0] - scores[1]
    won, lost = float((difference > 0).mean()), float((difference < 0).mean())
    stake = (won - lost) / (won + lost)
    growth = won * np.log1p(stake) + lost * np.log1p(-stake)
    return float(np.log(n_arms * (n_arms - 1) / ALPHA) / growth)


def recommended(
    candidates: Mapping[str, Sequence[QuestionRecord]],
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    usd_per_month: Mapping[str, float],
    rule: DecisionRule,
    weights: Mapping[str, float],
    *,
    out: Mapping[str, str] | None = None,
    **stakes: Any,
) -> Recommendation:
    """The verdict on records of each candidate, same questions in the same order.

    Args:
        stakes: Further fields of `Stakes`.
    """
    evidence = gather_evidence(applicable(candidates, rule.metric), rule.metric, seed=rule.seed)
    weighed = Stakes(weights, rule.margin, usd_per_month, **stakes)
    return recommend(evidence, differences, findings, weighed, rule, out=out)


def fixed_recommendation(
    scores: Floats, clusters: Sequence[str], *, usd: Sequence[float] | None = None, margin: float = RULE.margin
) -> Recommendation:
    """The verdict of the whole sample, arms "0", "1", …; at equal cost where none is given."""
    evidence, stakes = weighed(scores, clusters, usd, margin)
    return recommend(evidence, (), (), stakes, DecisionRule(RULE.metric, margin))


def weighed(
    scores: Floats, clusters: Sequence[str], usd: Sequence[float] | None = None, margin: float = RULE.margin
) -> tuple[Evidence, Stakes]:
    """What a decision is made from."""
    arms = tuple(str(arm) for arm in range(len(scores)))
    rows = scores[:, None, :]
    slices = (str(Slice.NEW_CASE),) * len(clusters)
    evidence = Evidence(arms, rows, np.zeros_like(rows), slices, tuple(clusters))
    prices = dict(zip(arms, usd if usd is not None else [1.0] * len(arms), strict=True))
    return evidence, Stakes({str(Slice.NEW_CASE): 1.0}, margin, prices)


def choice_misstates(accuracies: Sequence[float] | None, rng: Rng) -> float:
    """1 where a verdict says too much: the winner is not the best, or a rival is better than the headline allows.

    Args:
        accuracies: Of five arms, whose costs are in random order; None draws them too.
    """
    truth = np.asarray(accuracies) if accuracies is not None else drawn_accuracies(rng)
    usd = rng.permutation(len(truth)).astype(float)
    evidence, stakes = weighed(correlated_arms(rng, truth.tolist()), names(N_QUESTIONS), usd.tolist())
    ruling = decide(evidence, stakes, list(evidence.arms))
    arm, outcome = ruling.arm or "", ruling.outcome
    if outcome.undecided and outcome.cheaper_rivals(arm, stakes):
        return 0.0  # a trade-off claims nothing
    bounds = {
        other: 0.0 if (arm, other) in outcome.beaten else max(0.0, ruling.at_most(other, arm))
        for other in evidence.arms
        if other != arm
    }
    return float(any(truth[int(other)] - truth[int(arm)] > bound for other, bound in bounds.items()))


def choice_is_made(accuracies: Sequence[float] | None, rng: Rng) -> float:
    """1 where a verdict names what to ship without a trade-off, costs in random order."""
    truth = np.asarray(accuracies) if accuracies is not None else drawn_accuracies(rng)
    usd = rng.permutation(len(truth)).astype(float).tolist()
    found = fixed_recommendation(correlated_arms(rng, truth.tolist()), names(N_QUESTIONS), usd=usd)
    return float(found.verdict is not Verdict.NO_CLEAR_WINNER)


def named_number_decides(gap: float, margin: float, n_pilot: int, rng: Rng) -> float:
    """1 where as many fresh questions as a trade-off named decide it: the better of two arms costs more.

    Args:
        gap: Between the arms, .7 and lower; only pilots that show it (within half a point) and are undecided name a
            number, since it is named for the difference that was seen.
    """
    accuracies = (0.7, 0.7 - gap)
    while True:
        scores = correlated_arms(rng, accuracies, n=n_pilot)
        if abs(float(scores[0].mean() - scores[1].mean()) - gap) > 0.005:
            continue
        pilot = fixed_recommendation(scores, names(n_pilot), usd=(2.0, 1.0), margin=margin)
        if pilot.verdict is Verdict.NO_CLEAR_WINNER and pilot.questions_needed is not None:
            break
    n = pilot.questions_needed
    fresh = fixed_recommendation(correlated_arms(rng, accuracies, n=n), names(n), usd=(2.0, 1.0), margin=margin)
    return float(fresh.verdict is not Verdict.NO_CLEAR_WINNER)


def fixed_claims_winner(accuracies: Sequence[float], rng: Rng) -> float:
    """1 where the verdict on a whole sample of equal arms names a winner."""
    found = fixed_recommendation(correlated_arms(rng, accuracies), names(N_QUESTIONS))
    return float(found.verdict is Verdict.WINNER)


def clustered_fixed_claims_winner(n_arms: int, rng: Rng) -> float:
    """The same on 60 documents of 8 questions."""
    scores = clustered_arms(rng, n_arms, 60, 8, np.full((n_arms, 1), 0.7))
    return float(fixed_recommendation(scores, names(60, 8)).verdict is Verdict.WINNER)


def share_of_claims_among_equal_arms(n_replays: int, seed: int) -> float:
    """Share of runs in which any two of five equal arms are called different after Holm, on 60 documents.

    All replays are columns of one bootstrap, each with its own data: what as many calls would give, in seconds.
    """
    rng = np.random.default_rng(seed)
    n_arms, n_clusters, size = 5, 60, 4
    values = np.empty((n_replays * n_arms, n_clusters * size))
    for replay in range(n_replays):
        difficulty = rng.normal(0.3, 0.6, n_clusters)[:, None]
        for arm in range(n_arms):  # arms share what makes a document hard, as real ones do
            right = difficulty + rng.normal(0, 0.5, (n_clusters, 1)) + rng.normal(0, 1, (n_clusters, size)) > 0
            values[replay * n_arms + arm] = right.ravel()
    clusters = tuple(names(n_clusters, size))
    slices = ("s",) * len(clusters)
    _, resampled = bootstrap_slices(values, slices, clusters, n_resamples=2_000).weighted({"s": 1})
    n_false, unseen = 0, unseen_error(slices, clusters, {"s": 1})
    for replay in range(n_replays):
        scores = values[replay * n_arms : (replay + 1) * n_arms]
        own = resampled[:, replay * n_arms : (replay + 1) * n_arms]
        p_values = [
            bootstrap_p_value(
                with_unseen(
                    own[:, first] - own[:, second],
                    unseen * unseen_size(scores[first] - scores[second], slices, clusters),
                ),
                n_clusters,
            )
            for first, second in combinations(range(n_arms), 2)
        ]
        n_false += min(holm(p_values)) < ALPHA
    return n_false / n_replays


def peeking_t_test_claims(n: int, every: int, rng: Rng) -> float:
    """1 where a t-test of two equal arms, repeated after every few questions, is ever below .05."""
    first, second = correlated_arms(rng, (0.7, 0.7), n=n)
    looks = np.arange(every, n + 1, every)
    mean, square = (np.cumsum(values)[looks - 1] / looks for values in (first - second, (first - second) ** 2))
    error = np.sqrt((square - mean**2) / (looks - 1))
    return float((np.abs(mean) > t.ppf(0.975, looks - 1) * error).any())


def drawn_accuracies(rng: Rng) -> Floats:
    """Five arms somewhere between .4 and .8, as a team that compares pipelines might have them."""
    return rng.uniform(0.4, 0.8, 5)


def race_regret(plan: RacePlan, rng: Rng) -> float:
    """Accuracy on fresh questions of the best arm minus that of the arm a race names; all cost the same."""
    accuracies = drawn_accuracies(rng)
    scores = correlated_arms(rng, accuracies.tolist())
    race = raced(scores, plan)
    stakes = Stakes(plan.weights, RULE.margin, {str(i): 1.0 for i in range(5)})
    arm = recommend_from_race(race.outcome(), race.differences(), stakes, {}, [], RULE).arm
    return float(accuracies.max() - accuracies[int(arm or 0)])


def fixed_regret(equal_costs: bool, rng: Rng) -> float:
    """The same of the verdict on the whole sample, at equal costs or at costs in random order."""
    accuracies = drawn_accuracies(rng)
    usd = None if equal_costs else rng.permutation(5).astype(float).tolist()
    arm = fixed_recommendation(correlated_arms(rng, accuracies.tolist()), names(N_QUESTIONS), usd=usd).arm
    return float(accuracies.max() - accuracies[int(arm or 0)])


def replayed(replay: Callable[[Rng], float], *, n_replays: int, seed: int, n_workers: int = 1) -> float:
    """Mean over replays, each with a generator of its own, so that the number of workers changes nothing."""
    one = partial(_replay, replay, seed)
    if n_workers == 1:
        return float(np.mean([one(i) for i in range(n_replays)]))
    with ProcessPoolExecutor(n_workers) as pool:
        return float(np.mean(list(pool.map(one, range(n_replays), chunksize=50))))


def _replay(replay: Callable[[Rng], float], seed: int, number: int) -> float:
    return replay(np.random.default_rng([seed, number]))
