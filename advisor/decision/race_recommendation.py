"""The verdict of a race, in the words of every other comparison. It says only what the race's evidence supports."""

from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from math import ceil

from advisor.data.wording import listed, points
from advisor.decision.race_plan import RacePlan
from advisor.decision.recommendation import (
    DecisionRule,
    are_too_few,
    invalid_headline,
    nothing_to_choose,
    too_few_headline,
    undecided_headline,
)
from advisor.errors import EvaluationError
from advisor.results.comparison import AuditFinding, PairedDifference, RaceOutcome, Recommendation, Severity, Verdict


def is_too_small(plan: RacePlan) -> bool:
    """Whether the test set is below what any verdict needs, raced or not."""
    return are_too_few(plan.n_questions, plan.n_clusters)


def recommend_from_race(
    outcome: RaceOutcome,
    differences: Sequence[PairedDifference],
    usd_per_month: Mapping[str, float],
    findings: Sequence[AuditFinding],
    rule: DecisionRule,
    *,
    out: Mapping[str, str] | None = None,
) -> Recommendation:
    """The verdict: an arm wins when every other one was dropped by it, or by an arm that was dropped in turn.

    Without a winner the cheapest arm is named that is surely less than the margin below every arm that scored higher.

    Args:
        differences: Confidence sequences of all pairs, for the words.
        out: Arms that break a declared constraint, each with the sentence that says which and by how much.
    """
    out = out or {}
    notes = [*out.values(), *_notes(outcome)]
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        verdict, remedies = Verdict.INVALID_COMPARISON, [finding.remedy for finding in blocking]
        return _recommendation(outcome, rule, verdict, None, invalid_headline(blocking[0]), remedies)
    if (reason := _no_verdict(outcome, out)) is not None:
        return _recommendation(outcome, rule, Verdict.INSUFFICIENT_DATA, None, reason, notes)
    fit = _fit(outcome, out)
    if len(fit) == 1:
        headline = _won(fit[0], outcome, differences, rule)
        return _recommendation(outcome, rule, Verdict.WINNER, fit[0], headline, notes)
    best, named = _named(outcome, fit, usd_per_month)
    among = [d for d in differences if d.first in fit and d.second in fit]
    reasons = [
        f"{d.first} minus {d.second}: between {points(d.interval.low)} and {points(d.interval.high)} points."
        for d in among
    ]
    if _settled(outcome, fit):
        headline = (
            f"No clear winner: {listed(fit)} are surely within {points(rule.margin)} points of each other; {named} is "
            "the cheapest of them."
        )
        return _recommendation(outcome, rule, Verdict.NO_CLEAR_WINNER, named, headline, [*reasons, *notes])
    needed = _questions_needed(outcome, [d for d in among if best in (d.first, d.second)], rule)
    if needed is not None:
        reasons.append(f"If the differences stay as they are, about {needed:,} test questions would settle it.")
    rivals = [other for other in fit if other != best]
    headline = undecided_headline(best, named, rivals, f"{points(rule.margin)} points")
    return _recommendation(outcome, rule, Verdict.NO_CLEAR_WINNER, named, headline, [*reasons, *notes], needed)


def require_declared(outcome: RaceOutcome, margin: float, coverage: float, *, by_score: bool) -> None:
    """Refuse to read from a race what it was not run for.

    Raises:
        EvaluationError: another margin or coverage, or net values.
    """
    if (margin, coverage, by_score) != (outcome.margin, outcome.coverage, True):
        raise EvaluationError(
            f"the arms were raced by score for a margin of {outcome.margin:g} and a coverage of {outcome.coverage:g}, "
            "and answers that another one needs were not asked; compare again with it"
        )


def raced_arm(outcome: RaceOutcome, usd_per_month: Mapping[str, float], out: Collection[str]) -> str | None:
    """The arm that the verdict would name at these costs and constraints; None where it would name none."""
    if _no_verdict(outcome, out) is not None:
        return None
    return _named(outcome, _fit(outcome, out), usd_per_month)[1]


def _fit(outcome: RaceOutcome, out: Collection[str]) -> list[str]:
    return [arm for arm in outcome.remaining if arm not in out]


def _settled(outcome: RaceOutcome, arms: Sequence[str]) -> bool:
    """Whether every two of these arms are surely within the margin of each other."""
    return all(pair in outcome.not_worse for pair in permutations(arms, 2))


def _no_verdict(outcome: RaceOutcome, out: Collection[str]) -> str | None:
    """Why there can be none, if so."""
    if are_too_few(outcome.n_questions_planned, outcome.n_clusters_planned):
        return too_few_headline(outcome.n_questions_planned, outcome.n_clusters_planned)
    fit = _fit(outcome, out)
    if stranger := next((arm for arm in outcome.kept_out if arm not in out), None):
        return f"No verdict: {stranger} took no part in the race, for a constraint that no longer holds. Race again."
    unscored = {drop.arm for drop in outcome.drops if drop.by is None}
    for drop in outcome.drops:
        if drop.by is None or drop.arm in out or (drop.by not in out and drop.by not in unscored):
            continue
        what = "then could not be scored" if drop.by in unscored else "may not be shipped"
        return f"No verdict: {drop.arm} left the race behind {drop.by}, which {what}. Race again without {drop.by}."
    beaten = any(drop.by is not None for drop in outcome.drops)
    only = len(fit) == 1 and not beaten and len(outcome.remaining) == 1 and not outcome.kept_out
    if not fit or only:
        return nothing_to_choose(fit, outcome.remaining, fit)
    return None


def _named(outcome: RaceOutcome, fit: Sequence[str], usd_per_month: Mapping[str, float]) -> tuple[str, str]:
    """The arm that scored highest, and the cheapest that is surely less than the margin below all above it."""
    standing = {arm: outcome.standing[arm] for arm in fit if arm not in outcome.behind}
    standing = standing or {arm: outcome.standing[arm] for arm in fit}
    best = min(standing, key=lambda arm: (-standing[arm], arm))
    equals = [
        arm
        for arm in standing
        if all((arm, other) in outcome.not_worse for other in standing if standing[other] > standing[arm])
    ]
    return best, min(equals, key=lambda arm: (usd_per_month[arm], -standing[arm], arm))


def _won(winner: str, outcome: RaceOutcome, differences: Sequence[PairedDifference], rule: DecisionRule) -> str:
    dropped = {drop.arm for drop in outcome.drops if drop.by == winner}
    rivals = [d for d in differences if d.first == winner and d.second in dropped]
    if not rivals:
        return f"Ship {winner}: it is the only arm that meets the declared constraints."
    closest = min(rivals, key=lambda d: (d.interval.low, d.second))
    return (
        f"Ship {winner}: every other arm is surely worse, the closest ({closest.second}) by "
        f"{points(closest.interval.low)} to {points(closest.interval.high)} points of {rule.metric}."
    )


def _questions_needed(outcome: RaceOutcome, differences: Sequence[PairedDifference], rule: DecisionRule) -> int | None:
    """The widest interval shrinks with the root of the questions: how many until it clears 0, or fits the margin."""
    intervals = [d.interval for d in differences]
    half, size = max(((i.high - i.low) / 2, max(abs(i.estimate), rule.margin)) for i in intervals)
    return ceil(outcome.n_questions * (half / size) ** 2) if size > 0 else None


def _notes(outcome: RaceOutcome) -> list[str]:
    notes = []
    for drop in outcome.drops:
        why = f"was surely worse than {drop.by}" if drop.by is not None else "is out: too many answers were unscored"
        notes.append(f"{drop.arm} {why} after {drop.n_questions} questions and was asked no more.")
    for arm, n_unscored in outcome.n_unscored.items():
        if n_unscored:
            notes.append(f"{n_unscored} answers of {arm} could not be scored; in choosing they count against it.")
    notes.append(f"The race asked for {outcome.n_evaluations:,} of {outcome.n_evaluations_in_full:,} answers.")
    return notes


def _recommendation(
    outcome: RaceOutcome,
    rule: DecisionRule,
    verdict: Verdict,
    arm: str | None,
    headline: str,
    reasons: Sequence[str],
    needed: int | None = None,
) -> Recommendation:
    # The probability of being best and the detectable effect belong to samples of a size fixed beforehand.
    return Recommendation(
        verdict, arm, headline, tuple(reasons), rule.metric, rule.margin, rule.coverage, outcome.slice_weights,
        {}, None, needed,
    )  # fmt: skip
