"""The verdict of a race, in the words of every other comparison. It says only what the race's evidence supports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import ceil

from advisor.data.wording import listed, points
from advisor.decision.decision import Stakes
from advisor.decision.race_plan import RacePlan
from advisor.decision.recommendation import (
    DecisionRule,
    are_too_few,
    invalid_headline,
    nothing_to_choose,
    too_few_headline,
)
from advisor.errors import EvaluationError
from advisor.results.comparison import AuditFinding, PairedDifference, RaceOutcome, Recommendation, Severity, Verdict


def is_too_small(plan: RacePlan) -> bool:
    """Whether the test set is below what any verdict needs, raced or not."""
    return are_too_few(plan.n_questions, plan.n_clusters)


def recommend_from_race(
    outcome: RaceOutcome,
    differences: Sequence[PairedDifference],
    stakes: Stakes,
    scores: Mapping[str, float],
    findings: Sequence[AuditFinding],
    rule: DecisionRule,
    *,
    out: Mapping[str, str] | None = None,
) -> Recommendation:
    """The verdict: an arm wins when every other one was dropped by it, or by an arm that was dropped in turn.

    Without a winner the cheapest arm is named that is surely less than the margin below every arm that scored higher.

    Args:
        differences: Confidence sequences of all pairs, for the words.
        scores: Of each arm, held against the declared bar.
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
    best, named = _named(outcome, fit, stakes, scores)

    def told(verdict: Verdict, headline: str, reasons: Sequence[str], needed: int | None = None) -> Recommendation:
        found = _recommendation(outcome, rule, verdict, named, headline, [*reasons, *notes], needed)
        return replace(found, leader=best, good_enough=stakes.good_enough)

    if named is None:
        headline = (
            f"Not ready to ship: {best} ranks highest and scores {points(scores[best])} points of {rule.metric}; at "
            f"least {points(stakes.good_enough or 0.0)} was declared to be good enough."
        )
        return told(Verdict.NOT_READY, headline, [])
    if len(fit) == 1:
        return told(Verdict.WINNER, _won(best, outcome, differences, rule), [])
    among = [_turned(d, best) for d in differences if best in (d.first, d.second) and {d.first, d.second} <= set(fit)]
    reasons = [
        f"{d.first} minus {d.second}: between {points(d.interval.low)} and {points(d.interval.high)} points."
        for d in among
    ]
    others = [other for other in fit if other != named]
    if all(stakes.costs_no_more(named, other) for other in others):
        risk = max((-d.interval.low for d in among), default=0.0)
        if named == best:
            headline = (
                f"Ship {best}: {listed(others)} cost{'s' * (len(others) == 1)} at least as much and may be at most "
                f"{points(max(0.0, risk))} points better."
            )
        else:
            headline = (
                f"Ship {named}: it is surely less than {points(rule.margin)} points worse than {best}, and costs the "
                "least."
            )
        return told(Verdict.BEST_CHOICE, headline, reasons)
    needed = _questions_needed(outcome, among, stakes, rule)
    if needed is not None:
        reasons.append(f"If the differences stay as they are, about {needed:,} test questions would settle it.")
    unbeaten = [other for other in fit if other != best]
    headline = (
        f"No clear winner: {best} has the highest score, but its lead over {listed(unbeaten)} is not shown to be real "
        f"and {points(rule.margin)} points or more, and not every one of them is shown to cost as much. "
        + (f"{named} is as good within the margin and cheaper." if named != best else "")
    ).rstrip()
    return told(Verdict.NO_CLEAR_WINNER, headline, reasons, needed)


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


def raced_arm(outcome: RaceOutcome, stakes: Stakes, scores: Mapping[str, float], out: Collection[str]) -> str | None:
    """The arm that the verdict would name at these costs and constraints; None where it would name none."""
    if _no_verdict(outcome, out) is not None:
        return None
    return _named(outcome, _fit(outcome, out), stakes, scores)[1]


def _fit(outcome: RaceOutcome, out: Collection[str]) -> list[str]:
    return [arm for arm in outcome.remaining if arm not in out]


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


def _named(
    outcome: RaceOutcome, fit: Sequence[str], stakes: Stakes, scores: Mapping[str, float]
) -> tuple[str, str | None]:
    """The arm that scored highest, and the cheapest that is surely less than the margin below all above it.

    The second is None where the first is not good enough.
    """
    standing = {arm: outcome.standing[arm] for arm in fit if arm not in outcome.behind}
    standing = standing or {arm: outcome.standing[arm] for arm in fit}
    best = min(standing, key=lambda arm: (-standing[arm], arm))
    bar = stakes.good_enough
    equals = [
        arm
        for arm in standing
        if (bar is None or scores[arm] >= bar)
        and all((arm, other) in outcome.not_worse for other in standing if standing[other] > standing[arm])
    ]
    if bar is not None and scores[best] < bar:
        return best, None
    return best, min(equals, key=lambda arm: (stakes.usd_per_month[arm], -standing[arm], arm))


def _turned(d: PairedDifference, first: str) -> PairedDifference:
    if d.first == first:
        return d
    interval = replace(d.interval, estimate=-d.interval.estimate, low=-d.interval.high, high=-d.interval.low)
    return replace(d, first=d.second, second=d.first, interval=interval)


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


def _questions_needed(
    outcome: RaceOutcome, differences: Sequence[PairedDifference], stakes: Stakes, rule: DecisionRule
) -> int | None:
    """An interval shrinks with the root of the questions: how many until that of the closest rival which may cost less
    clears 0, or fits the margin."""
    matter = [d for d in differences if not stakes.costs_no_more(d.first, d.second)] or list(differences)
    closest = min(matter, key=lambda d: (abs(d.interval.estimate), d.second)).interval
    half, size = (closest.high - closest.low) / 2, max(abs(closest.estimate), rule.margin)
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
