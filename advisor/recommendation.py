"""From paired differences to a verdict that can be defended, and to what it would take to get one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from advisor.comparison import (
    AuditFinding,
    Interval,
    PairedDifference,
    QuestionRecord,
    Recommendation,
    Severity,
    Verdict,
)
from advisor.errors import EvaluationError
from advisor.scorecard import applicable, paired_difference, score_values
from advisor.statistics import (
    ArmBootstrap,
    Floats,
    ScoreTable,
    bootstrap_arms,
    holm,
    minimum_detectable_effect,
    questions_needed,
)

MAX_UNSCORED_SHARE = 0.05
MIN_QUESTIONS = 30
MIN_CLUSTERS = 10
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What was declared before the run.

    Attributes:
        metric: The one the verdict is about.
        margin: Differences smaller than this do not matter, in score units, in [0, 1).
        coverage: Share of production questions whose fact training covers, in [0, 1].
        seed: Of the resampling.
    """

    metric: str
    margin: float = 0.02
    coverage: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise EvaluationError(
                f"the margin is {self.margin}; give a difference in score units, at least 0 and below 1"
            )
        if not 0 <= self.coverage <= 1:
            raise EvaluationError(f"the coverage is {self.coverage}; give a share between 0 and 1")


def recommend(
    candidates: Mapping[str, Sequence[QuestionRecord]],
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    usd_per_query: Mapping[str, float],
    rule: DecisionRule,
    weights: Mapping[str, float],
) -> Recommendation:
    """The verdict; it does not depend on the order of arms or questions.

    An arm wins when it beats every other candidate: the interval of each difference clears 0 after Holm, and the
    difference reaches the margin. Without a winner the cheapest arm is named that is non-inferior (the interval clears
    minus the margin) to every arm that scored higher.

    Failing can never help an arm. With more than 5 % unscored it is out. Otherwise its unscored answers stand at the
    bottom of the scale whenever it is judged itself, and to win it must also beat rivals whose unscored answers stand
    at the top (Manski's bounds). Leaving such questions out instead would reward an arm for failing on hard ones.

    Args:
        candidates: Records of each candidate arm, same questions in the same order; scores in [0, 1], higher is better.
        differences: Of every pair of candidates by the rule's metric.
        usd_per_query: Serving cost, for choosing among arms that are as good.
    Source:
        Horowitz & Manski 2000, "Nonparametric analysis of randomized experiments with missing covariate and outcome
        data", JASA 95, for the bounds.
    """
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        headline = f"No verdict: the comparison is invalid. {blocking[0].message}"
        return _without_verdict(Verdict.INVALID_COMPARISON, headline, [f.remedy for f in blocking], rule, weights)
    candidates = applicable(candidates, rule.metric)
    questions = next(iter(candidates.values()), [])
    n_questions, n_clusters = len(questions), len({record.cluster for record in questions})
    if n_questions < MIN_QUESTIONS or n_clusters < MIN_CLUSTERS:
        headline = (
            f"No verdict: {n_questions} test questions on {n_clusters} documents or facts are too few; "
            f"at least {MIN_QUESTIONS} on {MIN_CLUSTERS} are needed."
        )
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, [], rule, weights)
    values = {arm: score_values(candidates[arm], rule.metric) for arm in sorted(candidates)}
    shares = {arm: float(np.isnan(scores).mean()) for arm, scores in values.items()}
    fit = {arm: scores for arm, scores in values.items() if shares[arm] <= MAX_UNSCORED_SHARE}
    notes = [_unscored_note(arm, shares[arm], out=arm not in fit) for arm in values if shares[arm]]
    if len(fit) < 2:
        headline = (
            f"{next(iter(fit))} is the only arm that was measured, so there is nothing to choose between."
            if fit
            else "No verdict: no arm could be scored well enough."
        )
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, notes, rule, weights)
    field = _Field(fit, questions, differences, rule, weights)
    try:
        joint = field.joint_bootstrap()
    except EvaluationError as error:  # a slice on so few documents that resamples miss it
        return _without_verdict(Verdict.INSUFFICIENT_DATA, f"No verdict: {error}.", notes, rule, weights)
    standing = dict(zip(joint.arms, joint.observed, strict=True))
    best = min(fit, key=lambda arm: (-standing[arm], arm))
    against = {other: field.reported(best, other) for other in fit if other != best}
    standard_error = _largest_standard_error(joint, best)
    detectable = minimum_detectable_effect(standard_error)
    undecided = [other for other, d in field.to_win(best).items() if not _superior(d, rule)]
    if not undecided:
        closest = min(against.values(), key=lambda d: (d.interval.estimate, d.second))
        headline = (
            f"Ship {best}: it beats every other arm, the closest ({closest.second}) by "
            f"{_points(closest.interval.estimate)} points of {rule.metric} "
            f"[{_points(closest.interval.low)}, {_points(closest.interval.high)}]."
        )
        return Recommendation(
            Verdict.WINNER, best, headline, tuple(notes), rule.metric, rule.margin, rule.coverage, weights,
            joint.probability_best(), detectable, None,
        )  # fmt: skip
    equals = [
        arm
        for arm in fit
        if all(field.at_floor(rival, arm).high < rule.margin for rival in fit if standing[rival] > standing[arm])
    ]
    cheapest = min(equals, key=lambda arm: (usd_per_query[arm], -standing[arm], arm))
    widest = max(undecided, key=lambda o: (against[o].interval.high - against[o].interval.low, o))
    needed = questions_needed(max(against[widest].interval.estimate, rule.margin), standard_error, n_questions)
    return Recommendation(
        Verdict.NO_CLEAR_WINNER,
        cheapest,
        _undecided_headline(best, cheapest, undecided, rule),
        (*notes, *_undecided_reasons(best, undecided, against, rule, detectable, needed)),
        rule.metric, rule.margin, rule.coverage, weights, joint.probability_best(), detectable, needed,
    )  # fmt: skip


@dataclass(frozen=True)
class _Field:
    """Arms fit for a verdict, by name in alphabetical order, and how two of them compare where answers are unscored."""

    values: Mapping[str, Floats]
    questions: Sequence[QuestionRecord]
    differences: Sequence[PairedDifference]
    rule: DecisionRule
    weights: Mapping[str, float]

    def joint_bootstrap(self) -> ArmBootstrap:
        """All arms, unscored answers at the bottom of the scale."""
        table = ScoreTable(
            tuple(self.values),
            np.array([np.nan_to_num(scores, nan=0.0) for scores in self.values.values()]),
            tuple(str(record.slice) for record in self.questions),
            tuple(record.cluster for record in self.questions),
            self.weights,
        )
        return bootstrap_arms(table, seed=self.rule.seed)

    def reported(self, first: str, second: str) -> PairedDifference:
        """First minus second as it was computed; else with unscored answers at the bottom of the scale."""
        return _oriented(self.differences, first, second) or self._difference(first, second, rival_unscored=0.0)

    def to_win(self, arm: str) -> dict[str, PairedDifference]:
        """`arm` minus each rival, rivals' unscored answers at the top; p-values adjusted by Holm over all pairs."""
        pairs: list[PairedDifference] = []
        for first, second in combinations(self.values, 2):
            if arm in (first, second):
                pairs.append(self._difference(arm, second if first == arm else first, rival_unscored=1.0))
            else:
                pairs.append(self.reported(first, second))
        adjusted = holm([pair.p_value for pair in pairs])
        return {
            pair.second: replace(pair, p_adjusted=p)
            for pair, p in zip(pairs, adjusted, strict=True)
            if pair.first == arm
        }

    def at_floor(self, first: str, second: str) -> Interval:
        """First minus second, unscored answers of both at the bottom of the scale."""
        return self._difference(first, second, rival_unscored=0.0).interval

    def _difference(self, first: str, second: str, *, rival_unscored: float) -> PairedDifference:
        ours, theirs = self.values[first], self.values[second]
        given = _oriented(self.differences, first, second)
        if given is not None and not np.isnan(ours).any() and not np.isnan(theirs).any():
            return given
        return paired_difference(
            self.rule.metric,
            first,
            second,
            np.nan_to_num(ours, nan=0.0),
            np.nan_to_num(theirs, nan=rival_unscored),
            self.questions,
            weights=self.weights,
            seed=self.rule.seed,
        )


def _unscored_note(arm: str, share: float, *, out: bool) -> str:
    if out:
        return f"{arm} is out: {share:.0%} of its answers could not be scored."
    return f"{share:.1%} of the answers of {arm} could not be scored; in choosing they count against it."


def _oriented(differences: Sequence[PairedDifference], first: str, second: str) -> PairedDifference | None:
    """The difference first - second, whichever way round it was computed; None if it was not."""
    for d in differences:
        if (d.first, d.second) == (first, second):
            return d
        if (d.first, d.second) == (second, first):
            interval = replace(d.interval, estimate=-d.interval.estimate, low=-d.interval.high, high=-d.interval.low)
            return replace(d, first=first, second=second, interval=interval)
    return None


def _superior(difference: PairedDifference, rule: DecisionRule) -> bool:
    interval = difference.interval
    return interval.low > 0 and difference.p_adjusted < ALPHA and interval.estimate >= rule.margin


def _largest_standard_error(joint: ArmBootstrap, best: str) -> float:
    i = joint.arms.index(best)
    differences = joint.resampled[:, [i]] - np.delete(joint.resampled, i, axis=1)
    return float(differences.std(axis=0).max())


def _points(difference: float) -> str:
    return f"{100 * difference:.1f}"


def _undecided_headline(best: str, cheapest: str, undecided: Sequence[str], rule: DecisionRule) -> str:
    rivals = " and ".join(undecided)
    text = (
        f"No clear winner: {best} has the highest score, but its lead over {rivals} is not shown to be real and "
        f"{_points(rule.margin)} points or more."
    )
    if cheapest != best:
        return f"{text} {cheapest} is as good within the margin and cheaper to serve."
    return f"{text} No cheaper arm is shown to be as good within the margin; {best} is the best guess."


def _undecided_reasons(
    best: str,
    undecided: Sequence[str],
    against: Mapping[str, PairedDifference],
    rule: DecisionRule,
    detectable: float,
    needed: int | None,
) -> list[str]:
    reasons = [
        f"{best} minus {other}: {_points(against[other].interval.estimate)} points "
        f"[{_points(against[other].interval.low)}, {_points(against[other].interval.high)}]."
        for other in undecided
    ]
    reasons.append(
        f"This test set can show differences of about {_points(detectable)} points; "
        f"the margin is {_points(rule.margin)}."
    )
    if needed is not None:
        reasons.append(f"About {needed:,} test questions like these would settle it.")
    return reasons


def _without_verdict(
    verdict: Verdict, headline: str, reasons: Sequence[str], rule: DecisionRule, weights: Mapping[str, float]
) -> Recommendation:
    return Recommendation(
        verdict, None, headline, tuple(reasons), rule.metric, rule.margin, rule.coverage, weights, {}, None, None
    )
