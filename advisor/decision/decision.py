"""The rule of decision: one function of evidence and stakes, for the verdict and for what would change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite

import numpy as np

from advisor.evidence.evidence import Evidence, Quality
from advisor.evidence.statistics import ArmBootstrap, Floats, bootstrap_p_value, expanded_percentile_interval, holm
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Interval

ALPHA = 0.05
_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Stakes:
    """What a decision weighs besides the answers: declared, or computed from prices.

    Attributes:
        weights: Share of production traffic of each slice.
        margin: Differences smaller than this do not matter, in score units.
        usd_per_month: Total of each arm; infinite where it has no price.
        queries_per_month: Volume, which turns the worth of an answer into that of a month.
        values: What answers are worth, if declared: then arms are compared by net value and not by score.
    """

    weights: Mapping[str, float] = field(hash=False)
    margin: float
    usd_per_month: Mapping[str, float] = field(hash=False)
    queries_per_month: float = 0.0
    values: AnswerValues | None = None


@dataclass(frozen=True)
class Outcome:
    """How the arms stand to each other, before cost chooses among equals.

    Attributes:
        best: The arm that stands highest.
        undecided: Arms that `best` does not beat; empty where it wins.
        equals: Arms that are non-inferior to all that stand higher; `best` among them.
        standing: Score or net value of each arm.
    """

    best: str
    undecided: tuple[str, ...]
    equals: tuple[str, ...]
    standing: Mapping[str, float]

    def shipped(self, usd_per_month: Mapping[str, float]) -> str:
        """The winner; without one the cheapest of the equals, of equally cheap ones the higher."""
        if not self.undecided:
            return self.best
        return min(self.equals, key=lambda arm: (usd_per_month[arm], -self.standing[arm], arm))


@dataclass(frozen=True)
class Ruling:
    """What the rule says, and the figures behind it.

    Attributes:
        leads: The best arm minus each other arm, rivals' unscored answers at the top of the scale.
        joint: All arms by score or net value, unscored answers at the bottom of the scale.
        by_seed: The same of each training seed, shape (n_seeds, n_arms).
        usd_per_unit: US dollars a month of one unit of `leads` and `joint`; None where the unit is the score.
    """

    arm: str
    outcome: Outcome
    leads: Mapping[str, Interval]
    joint: ArmBootstrap
    by_seed: Floats
    usd_per_unit: float | None


def decide(evidence: Evidence, stakes: Stakes, arms: Sequence[str]) -> Ruling:
    """Which of these arms to ship, by the rule that `advisor.decision.recommendation.recommend` puts into words.

    With declared values each arm's score is replaced by its net value a month over that of one whole point of score,
    so that the margin keeps its meaning and money decides no more than it is worth.

    Args:
        arms: Those fit for a verdict, at least one.
    Raises:
        EvaluationError: the evidence cannot bear these weights.
    """
    arms = sorted(arms)
    quality = evidence.quality(stakes.weights, arms, stakes.values)
    usd_per_unit = None
    margin = stakes.margin
    if stakes.values is not None:
        quality, usd_per_unit, margin = _net(quality, stakes, stakes.values)
    standing = dict(zip(arms, quality.floor.tolist(), strict=True))
    best = min(arms, key=lambda arm: (-standing[arm], arm))
    leads = {other: _difference(quality, best, other, top=True) for other in arms if other != best}
    adjusted = _adjusted(evidence, quality, best, by_score=stakes.values is None)
    undecided = tuple(
        other
        for other, lead in leads.items()
        if not (lead.low > 0 and adjusted[other] < ALPHA and lead.estimate >= margin)
    )
    equals = tuple(
        arm
        for arm in (arms if undecided else [best])
        if all(
            _difference(quality, rival, arm, top=False).high < margin
            for rival in arms
            if standing[rival] > standing[arm]
        )
    )
    outcome = Outcome(best, undecided, equals, standing)
    joint = ArmBootstrap(quality.arms, quality.floor, quality.floor_resampled)
    return Ruling(outcome.shipped(stakes.usd_per_month), outcome, leads, joint, quality.floor_by_seed, usd_per_unit)


def priced_arms(stakes: Stakes, arms: Sequence[str]) -> list[str]:
    """The arms whose net value can be known; without declared values all of them."""
    return [arm for arm in arms if stakes.values is None or isfinite(stakes.usd_per_month[arm])]


def _net(quality: Quality, stakes: Stakes, values: AnswerValues) -> tuple[Quality, float, float]:
    """Net value a month in units of a point of score, what such a unit is worth, and the margin in that unit."""
    cost = np.array([stakes.usd_per_month[arm] for arm in quality.arms])
    unit, margin = stakes.queries_per_month * values.range_usd, stakes.margin
    if unit == 0:  # answers are worth nothing, so that only cost is left and no difference is too small to matter
        unit, margin = float(cost.max()) or 1.0, 0.0

    def net(worth: Floats) -> Floats:
        return np.asarray(np.round((stakes.queries_per_month * worth - cost) / unit, _DECIMALS))

    ends = (
        quality.floor, quality.floor_resampled, quality.floor_by_seed,
        quality.ceiling, quality.ceiling_resampled, quality.ceiling_by_seed,
    )  # fmt: skip
    return Quality(quality.arms, quality.n_clusters, *map(net, ends)), unit, margin


def _resampled_difference(quality: Quality, first: str, second: str, *, top: bool) -> tuple[float, Floats, Floats]:
    """Observed, resampled and of each training seed."""
    i, j = quality.arms.index(first), quality.arms.index(second)
    theirs = (
        (quality.ceiling, quality.ceiling_resampled, quality.ceiling_by_seed)
        if top
        else (quality.floor, quality.floor_resampled, quality.floor_by_seed)
    )
    observed = round(float(quality.floor[i] - theirs[0][j]), _DECIMALS)
    resampled = np.round(quality.floor_resampled[:, i] - theirs[1][:, j], _DECIMALS)
    return observed, resampled, np.round(quality.floor_by_seed[:, i] - theirs[2][:, j], _DECIMALS)


def _difference(quality: Quality, first: str, second: str, *, top: bool) -> Interval:
    observed, resampled, by_seed = _resampled_difference(quality, first, second, top=top)
    return expanded_percentile_interval(observed, resampled, quality.n_clusters, by_seed=by_seed)


def _adjusted(evidence: Evidence, quality: Quality, best: str, *, by_score: bool) -> dict[str, float]:
    """P-values of `best` against each other arm, adjusted by Holm over all pairs of arms."""
    pairs = [(b, a) if b == best else (a, b) for a, b in combinations(quality.arms, 2)]
    p_values = []
    for first, second in pairs:
        top = first == best
        if by_score and evidence.exact:
            p_values.append(evidence.exact_p_values[first, second, float(top)])
        else:
            _, resampled, by_seed = _resampled_difference(quality, first, second, top=top)
            p_values.append(bootstrap_p_value(resampled, quality.n_clusters, by_seed=by_seed))
    return {second: p for (first, second), p in zip(pairs, holm(p_values), strict=True) if first == best}
