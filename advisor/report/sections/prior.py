"""The prior beside the evidence as a table."""

from advisor.advice.prior import ArmPrior
from advisor.report.table import Cell, Row, RowKind, Table
from advisor.results.comparison import ArmRole, Comparison
from advisor.results.quantities import MISSING, scale_of

PRIOR_HEADING = "What was expected before measuring"


def prior_sentences(comparison: Comparison) -> tuple[str, ...]:
    """The outcome, what was expected and for which reasons, what to see to; nothing without a questionnaire."""
    check = comparison.prior_check
    if check is None:
        return ()
    outcome = check.outcome.value
    expected = next((one for one in check.prior.ranking if one.arm == check.prior.arm), None)
    reasons = [
        f"{reason.text} ({signed(reason.points)} for {check.prior.arm}; {'; '.join(reason.sources)})"
        for reason in (expected.reasons if expected else ())
    ]
    cautions = [f"Caution: {caution.text} ({'; '.join(caution.sources)})" for caution in check.prior.cautions]
    return (f"{outcome[0].upper()}{outcome[1:]}. {check.explanation}", check.prior.headline, *reasons, *cautions)


def prior_table(comparison: Comparison) -> Table | None:
    """Each arm's points, what was measured, and the reasons that weighed most."""
    check = comparison.prior_check
    if check is None:
        return None
    rows = tuple(
        Row(
            (
                Cell(one.arm),
                Cell(_points(one)),
                Cell(_measured(comparison, one.arm)),
                _strongest(one),
            ),
            RowKind.RECOMMENDED if one.arm == comparison.recommendation.arm else RowKind.PLAIN,
        )
        for one in check.prior.ranking
    )
    metric = comparison.recommendation.metric
    return Table(
        caption="Expected and measured",
        columns=("Arm", "Points before", f"Measured, {metric}", "What weighed most"),
        rows=rows,
        note="Points add up what the answers to the questionnaire favour, by the studies named: a judgement. "
        "What is measured on your own data overrules them. A dash means that the arm was not measured.",
    )


def signed(points: float) -> str:
    """Points with their sign."""
    return f"{points:+g}".replace("-", "−") if points else "0"


def _points(one: ArmPrior) -> str:
    return "ruled out" if one.ruled_out else signed(one.points)


def _measured(comparison: Comparison, arm: str) -> str:
    metric = comparison.recommendation.metric
    measured = next((a for a in comparison.arms if a.id == arm and a.role is ArmRole.CANDIDATE), None)
    summary = measured.metric(metric) if measured else None
    return scale_of(comparison, metric).interval(summary.interval if summary else None)


def _strongest(one: ArmPrior) -> Cell:
    reasons = one.ruled_out or one.reasons
    if not reasons:
        return Cell(MISSING)
    n_more = len(reasons) - 1
    more = f". And {n_more} more reason{'s' if n_more > 1 else ''}" if n_more else ""
    points = "" if one.ruled_out else f" ({signed(reasons[0].points)})"
    return Cell(f"{reasons[0].text}{points}", "; ".join(reasons[0].sources) + more)
