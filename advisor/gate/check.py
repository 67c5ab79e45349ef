"""One thing that a gate asks, before and after it is decided."""

from dataclasses import dataclass
from enum import StrEnum

from advisor.gate.rules import GateRules, WhenUnclear
from advisor.results.comparison import ArmRole, ArmSummary, Comparison
from advisor.results.quantities import ScoreScale, count, percent

MAX_UNSCORED = 0.05


class GateVerdict(StrEnum):
    """How a check, or the whole gate, ends."""

    PASS = "pass"
    FAIL = "fail"
    CANNOT_COMPARE = "cannot compare"


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One thing that was asked.

    Attributes:
        name: What was asked, in short. reason: what was found, in sentences.
        measured: The figure, or the difference to the baseline; None where there is none.
        low, high: Its 95 % interval, not adjusted for the number of checks; None where it has none.
        limit: What it is held against.
        p_adjusted: That chance explains the breach, after Holm over all checks; None where no test was made.
    """

    name: str
    verdict: GateVerdict
    reason: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class GateTest:
    """A check that statistics decide; its verdict waits for the others, since p-values are adjusted together.

    Attributes:
        gap: How far the estimate lies on the bad side of the limit, in score units; negative on the good side.
        worst_gap: The same with unscored answers at the bad end of the scale.
        least_gap: A gap below it is no breach, however sure.
        shown: Whether the whole interval lies on the good side, unscored answers at the bad end.
        detectable: Smallest breach found with power .8.
        found: What was measured, in a sentence; n_questions: on so many.
    """

    check: GateCheck
    p_value: float
    worst_p_value: float
    gap: float
    worst_gap: float
    least_gap: float
    shown: bool
    detectable: float
    found: str
    n_questions: int
    n_unscored: int
    scale: ScoreScale


def cannot_compare(name: str, reason: str, **figures: float | None) -> GateCheck:
    """A check about which nothing can be said."""
    return GateCheck(name, GateVerdict.CANNOT_COMPARE, reason, **figures)


def unclear(name: str, found: str, rules: GateRules, figures: dict[str, float | None] | dict[str, float]) -> GateCheck:
    """A check whose limit lies within the spread of what was measured, by the declared rule."""
    told = "That passes." if rules.unclear is WhenUnclear.PASS else f"Unclear checks were declared: {rules.unclear}."
    return GateCheck(name, GateVerdict(rules.unclear.value), f"{found} {told}", **figures)


def too_many_unscored(n_unscored: int, n: int, who: str) -> str | None:
    """Why so many unscored answers forbid a verdict; None where they are few."""
    asked = n_unscored + n
    if n_unscored <= MAX_UNSCORED * asked:
        return None
    return (
        f"{count(n_unscored)} of {count(asked)} answers of {who} could not be scored ({percent(n_unscored / asked)}, "
        f"at most {percent(MAX_UNSCORED)} may be); see their reasons in results.jsonl."
    )


def stopped_early(comparison: Comparison, kind: str) -> str | None:
    """Why a race forbids a verdict on an arm; None where it was asked every question.

    An arm that is asked until it looks good or bad enough looks better or worse than it is.
    """
    race = comparison.race
    if race is None:
        return None
    n_questions = next((drop.n_questions for drop in race.drops if drop.arm == kind), race.n_questions)
    if n_questions >= race.n_questions_planned and kind not in race.kept_out:
        return None
    return (
        f"{kind} was raced and asked {count(n_questions)} of {count(race.n_questions_planned)} questions; figures of a "
        "race that stopped early are no sample. Compare for a gate without a race."
    )


def find_arm(comparison: Comparison, kind: str) -> ArmSummary | None:
    """The arm of that name, if the comparison has it."""
    return next((arm for arm in comparison.arms if arm.id == kind), None)


def arm_names(comparison: Comparison) -> str:
    """The candidates, for messages."""
    return ", ".join(arm.id for arm in comparison.arms if arm.role is ArmRole.CANDIDATE)
