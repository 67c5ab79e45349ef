"""The verdict of a race, in the words of every other comparison. It says only what the race's evidence supports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import ceil

from advisor.comparison import AuditFinding, PairedDifference, Recommendation, Severity, Verdict
from advisor.race_plan import RacePlan
from advisor.recommendation import MIN_CLUSTERS, MIN_QUESTIONS, DecisionRule
from advisor.wording import listed, points


@dataclass(frozen=True, slots=True)
class Drop:
    """An arm that is asked no more.

    Attributes:
        by: The arm that is surely better; None where too many answers could not be scored.
        n_blocks: That it was asked until then. n_questions: likewise.
    """

    arm: str
    by: str | None
    n_blocks: int
    n_questions: int


@dataclass(frozen=True, slots=True)
class RaceOutcome:
    """How a race stands after some block.

    Attributes:
        drops: In the order they happened.
        differences: Confidence sequences: of each pair of remaining arms, and of each dropped arm below the one that
            dropped it. They hold whatever the unscored answers would have been; `estimate` is the middle of the
            interval, since the mean at a moment chosen by the data is biased. n counts questions scored for both.
        standing: Of each remaining arm: the higher, the better it scored, unscored answers counted as wrong.
        not_worse: Pairs (a, b) of remaining arms of which a is surely not worse than b by the margin or more.
        behind: Remaining arms that are surely worse than another, if unscored answers count as wrong.
        n_unscored: Of each remaining arm.
        n_questions: Asked of the remaining arms.
        n_evaluations: Answers asked for. n_evaluations_in_full: what all arms on all questions would have been.
    """

    plan: RacePlan
    drops: tuple[Drop, ...]
    differences: tuple[PairedDifference, ...]
    standing: Mapping[str, float] = field(hash=False)
    not_worse: frozenset[tuple[str, str]]
    behind: frozenset[str]
    n_unscored: Mapping[str, int] = field(hash=False)
    n_questions: int
    n_evaluations: int
    n_evaluations_in_full: int

    @property
    def remaining(self) -> tuple[str, ...]:
        """Arms that were not dropped, in alphabetical order."""
        return tuple(sorted(self.standing))

    @property
    def share_saved(self) -> float:
        """Share of the evaluations that were not needed, in [0, 1]."""
        return 1 - self.n_evaluations / self.n_evaluations_in_full

    @property
    def settled(self) -> bool:
        """Whether every two remaining arms are surely within the margin of each other."""
        return all(pair in self.not_worse for pair in permutations(self.standing, 2))


def is_too_small(plan: RacePlan) -> bool:
    """Whether the test set is below what any verdict needs, raced or not."""
    return plan.n_questions < MIN_QUESTIONS or plan.n_clusters < MIN_CLUSTERS


def recommend_from_race(
    outcome: RaceOutcome, usd_per_month: Mapping[str, float], findings: Sequence[AuditFinding], rule: DecisionRule
) -> Recommendation:
    """The verdict: an arm wins when every other one was dropped by it, or by an arm that was dropped in turn.

    Without a winner the cheapest arm is named that is surely less than the margin below every arm that scored higher.
    """
    reason = _no_verdict(outcome, findings)
    notes = _notes(outcome)
    if reason is not None:
        verdict, headline, remedies = reason
        return _recommendation(outcome, rule, verdict, None, headline, remedies or notes)
    if len(outcome.remaining) == 1:
        return _recommendation(outcome, rule, Verdict.WINNER, outcome.remaining[0], _won(outcome, rule), notes)
    best, arm = _named(outcome, usd_per_month)
    reasons = [
        f"{d.first} minus {d.second}: between {points(d.interval.low)} and {points(d.interval.high)} points."
        for d in outcome.differences
        if d.second in outcome.standing
    ]
    needed = None if outcome.settled else _questions_needed(outcome, best, rule)
    if needed is not None:
        reasons.append(f"If the differences stay as they are, about {needed:,} test questions would settle it.")
    headline = _settled(outcome, arm, rule) if outcome.settled else _open(outcome, best, arm, rule)
    return _recommendation(outcome, rule, Verdict.NO_CLEAR_WINNER, arm, headline, [*reasons, *notes], needed)


def _no_verdict(outcome: RaceOutcome, findings: Sequence[AuditFinding]) -> tuple[Verdict, str, list[str]] | None:
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        headline = f"No verdict: the comparison is invalid. {blocking[0].message}"
        return Verdict.INVALID_COMPARISON, headline, [finding.remedy for finding in blocking]
    if is_too_small(outcome.plan):
        headline = (
            f"No verdict: {outcome.plan.n_questions} test questions on {outcome.plan.n_clusters} documents or facts "
            f"are too few; at least {MIN_QUESTIONS} on {MIN_CLUSTERS} are needed."
        )
        return Verdict.INSUFFICIENT_DATA, headline, []
    if not outcome.standing:
        return Verdict.INSUFFICIENT_DATA, "No verdict: no arm could be scored well enough.", []
    if all(drop.by is None for drop in outcome.drops) and len(outcome.standing) == 1:
        headline = f"{outcome.remaining[0]} is the only arm that was measured, so there is nothing to choose between."
        return Verdict.INSUFFICIENT_DATA, headline, []
    unscored = {drop.arm for drop in outcome.drops if drop.by is None}
    orphan = next((drop for drop in outcome.drops if drop.by in unscored), None)
    if orphan is not None:
        headline = (
            f"No verdict: {orphan.arm} left the race behind {orphan.by}, which then could not be scored. "
            f"Race again without {orphan.by}."
        )
        return Verdict.INSUFFICIENT_DATA, headline, []
    return None


def _named(outcome: RaceOutcome, usd_per_month: Mapping[str, float]) -> tuple[str, str]:
    """The arm that scored highest, and the cheapest that is surely less than the margin below all above it."""
    standing = {arm: s for arm, s in outcome.standing.items() if arm not in outcome.behind} or outcome.standing
    best = min(standing, key=lambda arm: (-standing[arm], arm))
    equals = [
        arm
        for arm in standing
        if all((arm, other) in outcome.not_worse for other in standing if standing[other] > standing[arm])
    ]
    return best, min(equals, key=lambda arm: (usd_per_month[arm], -standing[arm], arm))


def _won(outcome: RaceOutcome, rule: DecisionRule) -> str:
    (winner,) = outcome.remaining
    closest = min((d for d in outcome.differences if d.first == winner), key=lambda d: (d.interval.low, d.second))
    return (
        f"Ship {winner}: every other arm is surely worse, the closest ({closest.second}) by "
        f"{points(closest.interval.low)} to {points(closest.interval.high)} points of {rule.metric}."
    )


def _settled(outcome: RaceOutcome, arm: str, rule: DecisionRule) -> str:
    return (
        f"No clear winner: {listed(outcome.remaining)} are surely within {points(rule.margin)} points of each "
        f"other; {arm} is the cheapest of them."
    )


def _open(outcome: RaceOutcome, best: str, arm: str, rule: DecisionRule) -> str:
    rivals = listed([other for other in outcome.remaining if other != best])
    text = (
        f"No clear winner: {best} has the highest score, but its lead over {rivals} is not shown to be real and "
        f"{points(rule.margin)} points or more."
    )
    if arm != best:
        return f"{text} {arm} is as good within the margin and cheaper."
    return f"{text} No cheaper arm is shown to be as good within the margin; {best} is the best guess."


def _questions_needed(outcome: RaceOutcome, best: str, rule: DecisionRule) -> int | None:
    """The widest interval shrinks with the root of the questions: how many until it clears 0, or fits the margin."""
    intervals = [
        d.interval for d in outcome.differences if best in (d.first, d.second) and d.second in outcome.standing
    ]
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
        verdict, arm, headline, tuple(reasons), rule.metric, rule.margin, rule.coverage, outcome.plan.weights,
        {}, None, needed,
    )  # fmt: skip
