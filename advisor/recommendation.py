"""From paired differences to a verdict that can be defended, and to what it would take to get one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.comparison import AuditFinding, PairedDifference, QuestionRecord, Recommendation, Severity, Verdict
from advisor.errors import EvaluationError
from advisor.scorecard import score_values
from advisor.statistics import (
    ArmBootstrap,
    ScoreTable,
    bootstrap_arms,
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
    """The verdict.

    An arm wins when it beats every other candidate: the interval of each difference clears 0 after Holm, and the
    difference reaches the margin. Without a winner the cheapest arm is named that is non-inferior to the best (the
    interval clears minus the margin). An arm with more than 5 % unscored answers is out, and a winner must also win
    when its unscored answers count as wrong and its rivals' as right, so that failing can never help.

    Args:
        candidates: Records of each candidate arm, same questions in the same order.
        differences: Of every pair of candidates by the rule's metric.
        usd_per_query: Serving cost, for choosing among arms that are as good.
    """
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        headline = f"No verdict: the comparison is invalid. {blocking[0].message}"
        return _without_verdict(Verdict.INVALID_COMPARISON, headline, [f.remedy for f in blocking], rule, weights)
    shares = {arm: float(np.isnan(score_values(rows, rule.metric)).mean()) for arm, rows in candidates.items()}
    fit = {arm: rows for arm, rows in candidates.items() if shares[arm] <= MAX_UNSCORED_SHARE}
    dropped = [
        f"{arm} is out: {shares[arm]:.0%} of its answers could not be scored." for arm in candidates if arm not in fit
    ]
    if not fit:
        return _without_verdict(
            Verdict.INSUFFICIENT_DATA, "No verdict: no arm could be scored well enough.", dropped, rule, weights
        )
    records = next(iter(fit.values()))
    n_questions, n_clusters = len(records), len({record.cluster for record in records})
    if n_questions < MIN_QUESTIONS or n_clusters < MIN_CLUSTERS:
        headline = (
            f"No verdict: {n_questions} test questions on {n_clusters} documents or facts are too few; "
            f"at least {MIN_QUESTIONS} on {MIN_CLUSTERS} are needed."
        )
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, dropped, rule, weights)
    joint = bootstrap_arms(_table(fit, rule, weights), seed=rule.seed)
    best = fit_best(joint)
    if len(fit) == 1:
        headline = f"{best} is the only arm that was measured, so there is nothing to choose between."
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, dropped, rule, weights)
    against = {other: _oriented(differences, best, other) for other in fit if other != best}
    standard_error = _largest_standard_error(joint, best)
    detectable = minimum_detectable_effect(standard_error)
    undecided = [
        other for other, d in against.items() if not _superior(d, rule) or not _robust(fit, best, other, rule, weights)
    ]
    if not undecided:
        closest = min(against.values(), key=lambda d: d.interval.estimate)
        headline = (
            f"Ship {best}: it beats every other arm, the closest ({closest.second}) by "
            f"{_points(closest.interval.estimate)} points of {rule.metric} "
            f"[{_points(closest.interval.low)}, {_points(closest.interval.high)}]."
        )
        return Recommendation(
            Verdict.WINNER, best, headline, tuple(dropped), rule.metric, rule.margin, rule.coverage, weights,
            joint.probability_best(), detectable, None,
        )  # fmt: skip
    equals = [best] + [o for o in undecided if against[o].interval.high < rule.margin]
    cheapest = min(equals, key=lambda arm: (usd_per_query[arm], arm != best))
    widest = max(undecided, key=lambda o: abs(against[o].interval.high - against[o].interval.low))
    needed = questions_needed(max(against[widest].interval.estimate, rule.margin), standard_error, n_questions)
    return Recommendation(
        Verdict.NO_CLEAR_WINNER,
        cheapest,
        _undecided_headline(best, cheapest, undecided, against),
        (*dropped, *_undecided_reasons(best, undecided, against, rule, detectable, needed)),
        rule.metric, rule.margin, rule.coverage, weights, joint.probability_best(), detectable, needed,
    )  # fmt: skip


def fit_best(joint: ArmBootstrap) -> str:
    """The arm with the highest observed mean; the alphabet decides an exact tie, so that order of arms never does."""
    return min(zip(-joint.observed, joint.arms, strict=True))[1]


def _table(
    arms: Mapping[str, Sequence[QuestionRecord]], rule: DecisionRule, weights: Mapping[str, float]
) -> ScoreTable:
    records = next(iter(arms.values()))
    return ScoreTable(
        tuple(arms),
        np.array([score_values(rows, rule.metric) for rows in arms.values()]),
        tuple(str(record.slice) for record in records),
        tuple(record.cluster for record in records),
        weights,
    )


def _oriented(differences: Sequence[PairedDifference], first: str, second: str) -> PairedDifference:
    """The difference first - second, whichever way round it was computed."""
    for d in differences:
        if (d.first, d.second) == (first, second):
            return d
        if (d.first, d.second) == (second, first):
            flipped = d.interval.__class__(
                -d.interval.estimate, -d.interval.high, -d.interval.low, d.interval.level, d.interval.method
            )
            return PairedDifference(
                d.metric, first, second, flipped, d.p_value, d.p_adjusted, d.test, d.n, d.n_clusters, d.n_unscored
            )
    raise EvaluationError(f"the difference between {first} and {second} was not computed")


def _superior(difference: PairedDifference, rule: DecisionRule) -> bool:
    interval = difference.interval
    return interval.low > 0 and difference.p_adjusted < ALPHA and interval.estimate >= rule.margin


def _robust(
    arms: Mapping[str, Sequence[QuestionRecord]],
    best: str,
    other: str,
    rule: DecisionRule,
    weights: Mapping[str, float],
) -> bool:
    """Whether `best` leads even with its unscored answers taken as wrong, the rival's as right (Manski's bounds)."""
    ours, theirs = score_values(arms[best], rule.metric), score_values(arms[other], rule.metric)
    if not np.isnan(ours).any() and not np.isnan(theirs).any():
        return True
    table = _table({best: arms[best], other: arms[other]}, rule, weights)
    bounds = np.array([np.nan_to_num(ours, nan=0.0), np.nan_to_num(theirs, nan=1.0)])
    worst = bootstrap_arms(
        ScoreTable(table.arms, bounds, table.slices, table.clusters, weights), seed=rule.seed, n_resamples=2_000
    )
    return float(np.quantile(worst.resampled[:, 0] - worst.resampled[:, 1], ALPHA / 2)) > 0


def _largest_standard_error(joint: ArmBootstrap, best: str) -> float:
    i = joint.arms.index(best)
    differences = joint.resampled[:, [i]] - np.delete(joint.resampled, i, axis=1)
    return float(differences.std(axis=0).max())


def _points(difference: float) -> str:
    return f"{100 * difference:.1f}"


def _undecided_headline(
    best: str, cheapest: str, undecided: Sequence[str], against: Mapping[str, PairedDifference]
) -> str:
    rivals = " and ".join(sorted(undecided))
    text = f"No clear winner: {best} has the highest score, but {rivals} cannot be told apart from it."
    if cheapest != best:
        return f"{text} {cheapest} is as good within the margin and cheaper to serve."
    return f"{text} None of them is shown to be as good within the margin; {best} is the best guess."


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
