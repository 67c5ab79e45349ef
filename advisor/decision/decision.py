"""The rule of decision: one function of evidence and stakes, for the verdict and for what would change it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite, sqrt

import numpy as np

from advisor.evidence.evidence import Evidence, Quality
from advisor.evidence.statistics import (
    ALPHA,
    ArmBootstrap,
    Floats,
    agreeing,
    bootstrap_p_value,
    expanded_percentile_interval,
    holm,
    holm_levels,
    seed_variance,
    unseen_error,
    with_unseen,
)
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Interval

LATENCY_TOLERANCE = 0.1
"""Share by which a measured wait may exceed another and pass for equal, as machines vary from run to run."""
USD_TOLERANCE = 0.01
"""Dollars a month by which an arm may cost more than another and pass for as cheap: nobody acts on less than a cent."""
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
        good_enough: Score below which no arm is shipped; None where none was declared.
        p95_s: p95 latency of each arm, None where it was not measured.
    """

    weights: Mapping[str, float] = field(hash=False)
    margin: float
    usd_per_month: Mapping[str, float] = field(hash=False)
    queries_per_month: float = 0.0
    values: AnswerValues | None = None
    good_enough: float | None = None
    p95_s: Mapping[str, float | None] = field(default_factory=dict, hash=False)

    def costs_no_more(self, arm: str, rival: str) -> bool:
        """Whether an arm is shown to cost no more than another, neither money nor time; what is unknown shows nothing.

        A wait that was measured for neither counts for neither.
        """
        rival_usd = self.usd_per_month[rival]
        wait_s, rival_wait_s = self.p95_s.get(arm), self.p95_s.get(rival)
        if not isfinite(rival_usd) or self.is_dearer(arm, rival) or (wait_s is None) != (rival_wait_s is None):
            return False
        return wait_s is None or rival_wait_s is None or wait_s <= rival_wait_s * (1 + LATENCY_TOLERANCE)

    def is_dearer(self, arm: str, rival: str) -> bool:
        """Whether an arm costs so much more money than another that somebody would act on it."""
        return self.usd_per_month[arm] > self.usd_per_month[rival] + USD_TOLERANCE

    def fit(self, evidence: Evidence, out: Collection[str]) -> list[str]:
        """The arms a verdict may name: enough of them was scored, they break no constraint, their value is known."""
        admissible = [arm for arm in evidence.scored_arms if arm not in out]
        return [arm for arm in admissible if self.values is None or isfinite(self.usd_per_month[arm])]


@dataclass(frozen=True)
class Outcome:
    """How the arms stand to each other, before cost chooses among equals.

    Attributes:
        best: The arm that stands highest of those that are good enough; of all, where none is.
        good_enough: Arms that reach the declared bar; without one all of them.
        undecided: Arms that `best` does not beat; empty where it wins.
        equals: Arms that are good enough and non-inferior to all that stand higher.
        beaten: Pairs of which the first, `best` or an equal, is shown to be better by the margin or more.
        standing: Score or net value of each arm.
    """

    best: str
    good_enough: tuple[str, ...]
    undecided: tuple[str, ...]
    equals: tuple[str, ...]
    beaten: frozenset[tuple[str, str]]
    standing: Mapping[str, float]

    def shipped(self, usd_per_month: Mapping[str, float]) -> str | None:
        """The winner; without one the cheapest of the equals, of equally cheap the higher; None if none will do."""
        if not self.good_enough:
            return None
        return min(self.equals, key=lambda arm: (usd_per_month[arm], -self.standing[arm], arm))

    def cheaper_rivals(self, arm: str, stakes: Stakes) -> tuple[str, ...]:
        """Arms that one does not beat, and that may cost less: while there are any, choosing it is a trade-off."""
        others = [other for other in sorted(self.standing) if other != arm and (arm, other) not in self.beaten]
        return tuple(other for other in others if not stakes.costs_no_more(arm, other))


@dataclass(frozen=True)
class Ruling:
    """What the rule says, and the figures behind it.

    Attributes:
        arm: To ship; None where no arm is good enough.
        joint: All fit arms by score or net value, unscored answers at the bottom of the scale.
        scores: Of each fit arm, unscored answers counted as wrong.
        usd_per_unit: US dollars a month of one unit of differences; None where the unit is the score.
        level: Of the interval of each pair of arms, in either order.
    """

    arm: str | None
    outcome: Outcome
    joint: ArmBootstrap
    scores: Mapping[str, float]
    usd_per_unit: float | None
    _pairs: "_Pairs" = field(repr=False, compare=False)

    def lead(self, first: str, second: str) -> Interval:
        """First minus second, unscored answers of the second at the top of the scale; adjusted for all pairs."""
        return self._pairs.interval(first, second, top=True)

    def at_most(self, first: str, second: str) -> float:
        """How much better than the second the first may be, unscored answers of both counted as wrong."""
        return self._pairs.interval(first, second, top=False).high

    def level(self, first: str, second: str) -> float:
        """Of the interval of two arms."""
        return self._pairs.levels[frozenset((first, second))]

    def errors(self, first: str, second: str) -> tuple[float, float, float]:
        """Standard error of a difference as it was seen, the part of it that comes of training seeds, and `unseen`."""
        _, resampled, by_seed = self._pairs.resampled(first, second, top=False)
        return float(resampled.std()), sqrt(seed_variance(by_seed)), self._pairs.unseen(first, second)


def decide(evidence: Evidence, stakes: Stakes, arms: Sequence[str]) -> Ruling:
    """Which of these arms to ship, by the rule that `advisor.decision.recommendation` puts into words.

    With declared values each arm's score is replaced by its net value a month over that of one whole point of score,
    so that the margin keeps its meaning and money decides no more than it is worth.

    Args:
        arms: Those fit for a verdict, at least one.
    Raises:
        EvaluationError: the evidence cannot bear these weights.
    """
    arms = sorted(arms)
    by_score = stakes.values is None
    # P-values are adjusted over all pairs that are reported, of unfit arms too; of net values those are the fit ones.
    family = list(evidence.arms) if by_score else arms
    quality = evidence.quality(stakes.weights, family)
    scores = dict(zip(family, quality.floor.tolist(), strict=True))
    usd_per_unit, margin = None, stakes.margin
    # Labels that correct a judge bring a prior for what they did not see.
    unseen = 0.0 if evidence.corrected else unseen_error(evidence.slices, evidence.clusters, stakes.weights)
    if stakes.values is not None:
        quality = evidence.quality(stakes.weights, family, stakes.values)
        quality, usd_per_unit, margin = _net(quality, stakes, stakes.values)
        unseen = unseen if stakes.queries_per_month * stakes.values.range_usd else 0.0
    standing = dict(zip(family, quality.floor.tolist(), strict=True))
    good = [arm for arm in arms if stakes.good_enough is None or scores[arm] >= stakes.good_enough]
    best = min(good or arms, key=lambda arm: (-standing[arm], arm))
    # By net value an arm may stand higher and not be good enough; it is then no rival.
    arms = [arm for arm in arms if not good or arm in good or standing[arm] <= standing[best]]
    pairs = _Pairs(evidence, quality, best, unseen, by_score)
    rivals = [other for other in arms if other != best]
    undecided = tuple(other for other in rivals if not pairs.beats(best, other, margin))
    equals = tuple(
        arm
        for arm in (good if undecided else [best])
        if all(pairs.interval(rival, arm, top=False).high < margin for rival in arms if standing[rival] > standing[arm])
    )
    beaten = frozenset((a, b) for a in {best, *equals} for b in arms if a != b and pairs.beats(a, b, margin))
    outcome = Outcome(best, tuple(good), undecided, equals, beaten, {arm: standing[arm] for arm in arms})
    chosen = [quality.arms.index(arm) for arm in arms]
    joint = ArmBootstrap(tuple(arms), quality.floor[chosen], quality.floor_resampled[:, chosen])
    kept = {arm: scores[arm] for arm in arms}
    return Ruling(outcome.shipped(stakes.usd_per_month), outcome, joint, kept, usd_per_unit, pairs)


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


class _Pairs:
    """Differences of all pairs of arms, with p-values by Holm and intervals of the same level."""

    def __init__(self, evidence: Evidence, quality: Quality, best: str, unseen: float, by_score: bool) -> None:
        self._evidence, self._quality, self._unseen = evidence, quality, unseen
        self._exact = by_score and evidence.exact
        self._index = {arm: i for i, arm in enumerate(quality.arms)}
        self._kept: dict[tuple[str, str, bool], Interval] = {}
        pairs = [(b, a) if b == best else (a, b) for a, b in combinations(quality.arms, 2)]
        p_values = [self._p_value(first, second, top=first == best) for first, second in pairs]
        keys = [frozenset(pair) for pair in pairs]
        self._adjusted = dict(zip(keys, holm(p_values), strict=True))
        self.levels = dict(zip(keys, holm_levels(p_values), strict=True))

    def unseen(self, first: str, second: str) -> float:
        """Standard error of what was not seen of a difference."""
        return self._unseen * self._evidence.unseen_size(first, second) if self._unseen else 0.0

    def beats(self, first: str, second: str, margin: float) -> bool:
        """Whether the first is shown to be better than the second, by the margin or more."""
        if self._quality.floor[self._index[first]] < self._quality.floor[self._index[second]]:
            return False
        if self._adjusted[frozenset((first, second))] >= ALPHA:
            return False
        lead = self.interval(first, second, top=True)
        return lead.low > 0 and lead.estimate >= margin

    def interval(self, first: str, second: str, *, top: bool) -> Interval:
        """First minus second, at the pair's level after Holm; the second's unscored answers right if `top`."""
        if (first, second, top) not in self._kept:
            observed, resampled, by_seed = self.resampled(first, second, top=top)
            key = frozenset((first, second))
            found = expanded_percentile_interval(
                observed,
                with_unseen(resampled, self.unseen(first, second)),
                self._quality.n_clusters,
                by_seed=by_seed,
                level=self.levels[key],
            )
            self._kept[first, second, top] = agreeing(found, self._adjusted[key])
        return self._kept[first, second, top]

    def resampled(self, first: str, second: str, *, top: bool) -> tuple[float, Floats, Floats]:
        """Observed, resampled and of each training seed."""
        i, j = self._index[first], self._index[second]
        ours = self._quality
        theirs = (
            (ours.ceiling, ours.ceiling_resampled, ours.ceiling_by_seed)
            if top
            else (ours.floor, ours.floor_resampled, ours.floor_by_seed)
        )
        observed = round(float(ours.floor[i] - theirs[0][j]), _DECIMALS)
        resampled = np.round(ours.floor_resampled[:, i] - theirs[1][:, j], _DECIMALS)
        return observed, resampled, np.round(ours.floor_by_seed[:, i] - theirs[2][:, j], _DECIMALS)

    def _p_value(self, first: str, second: str, *, top: bool) -> float:
        if self._exact:
            return self._evidence.exact_p_values[first, second, float(top)]
        _, resampled, by_seed = self.resampled(first, second, top=top)
        return bootstrap_p_value(
            with_unseen(resampled, self.unseen(first, second)), self._quality.n_clusters, by_seed=by_seed
        )
