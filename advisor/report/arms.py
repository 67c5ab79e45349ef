"""In which order arms are shown, and what each is called."""

from collections.abc import Callable

from advisor.report.table import Cell, RowKind
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Recommendation, Verdict


def candidates(comparison: Comparison) -> list[ArmSummary]:
    """The arms that can win, best weighted mean first; arms without a score come last."""
    return sorted((arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE), key=_by_quality(comparison))


def candidates_as_run(comparison: Comparison) -> list[ArmSummary]:
    """The arms that can win in the order of the run, so that letters and colours are the same in every report of it."""
    return [arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]


def references(comparison: Comparison) -> list[ArmSummary]:
    """The arms that only give scale, best first."""
    return sorted((arm for arm in comparison.arms if arm.role is ArmRole.REFERENCE), key=_by_quality(comparison))


def shown_arms(comparison: Comparison) -> list[ArmSummary]:
    """All arms as the tables list them: candidates, then references."""
    return candidates(comparison) + references(comparison)


def pivot_arm(comparison: Comparison) -> str | None:
    """The arm others are compared with: the recommended one, else the best candidate that was scored."""
    if comparison.recommendation.arm is not None:
        return comparison.recommendation.arm
    for arm in candidates(comparison):
        summary = arm.metric(comparison.recommendation.metric)
        if summary is not None and summary.interval is not None:
            return arm.id
    return None


def arm_cell(comparison: Comparison, arm: ArmSummary) -> Cell:
    """The name of an arm, with what it is."""
    return Cell(arm_name(comparison, arm), arm.label)


def arm_name(comparison: Comparison, arm: ArmSummary) -> str:
    """The name of an arm, with its standing."""
    if arm.role is ArmRole.REFERENCE:
        return f"{arm.id} (reference)"
    if arm.id == comparison.recommendation.arm:
        return f"{arm.id} ({_standing(comparison.recommendation)})"
    if any(outcome.arm == arm.id and not outcome.met for outcome in comparison.constraints):
        return f"{arm.id} (out)"
    return arm.id


def _standing(recommendation: Recommendation) -> str:
    if recommendation.verdict is not Verdict.NO_CLEAR_WINNER:
        return "recommended"
    # Reports of before the leader was kept do not say which of both it is.
    if recommendation.leader is None:
        return "named in the verdict"
    return "highest score" if recommendation.arm == recommendation.leader else "cheapest non-inferior"


def row_kind(comparison: Comparison, arm: ArmSummary) -> RowKind:
    """How the row of an arm is set off."""
    if arm.role is ArmRole.REFERENCE:
        return RowKind.REFERENCE
    return RowKind.RECOMMENDED if arm.id == comparison.recommendation.arm else RowKind.PLAIN


def _by_quality(comparison: Comparison) -> Callable[[ArmSummary], tuple[bool, float]]:
    def key(arm: ArmSummary) -> tuple[bool, float]:
        summary = arm.metric(comparison.recommendation.metric)
        if summary is None or summary.interval is None:
            return True, 0.0
        return False, -summary.interval.estimate

    return key
