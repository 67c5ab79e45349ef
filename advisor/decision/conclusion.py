"""What a comparison comes to: the one place that turns measurements and what was declared into a verdict."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from advisor.audit.verdict import audit_other_metrics, audit_power
from advisor.decision.constraints import check_constraints
from advisor.decision.flip import find_flips, map_decision
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.metric_verdicts import verdicts_by_metric
from advisor.decision.race_recommendation import recommend_from_race
from advisor.decision.recommendation import DecisionRule, recommend
from advisor.errors import EvaluationError
from advisor.money.break_even import break_evens
from advisor.money.cost import estimate_cost
from advisor.money.net_value import net_value
from advisor.results.comparison import (
    AuditFinding,
    BreakEven,
    ConstraintOutcome,
    CostEstimate,
    Flip,
    FlipMap,
    MetricSummary,
    MetricVerdict,
    NetValue,
    PairedDifference,
    Recommendation,
)

PARTS = ("flips", "flip_map", "metric_verdicts")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The fields of a comparison that follow from measurements and declared inputs alone.

    Attributes:
        scores: The deciding metric of each candidate, weighed as declared.
        costs: Of each candidate; None without a price.
        findings: On how far the verdict goes: whether the test set could see the margin, and another metric.
    """

    recommendation: Recommendation
    scores: Mapping[str, MetricSummary] = field(hash=False)
    costs: Mapping[str, CostEstimate | None] = field(hash=False)
    break_evens: tuple[BreakEven, ...]
    net_values: tuple[NetValue, ...]
    constraints: tuple[ConstraintOutcome, ...]
    metric_verdicts: tuple[MetricVerdict, ...]
    findings: tuple[AuditFinding, ...]
    flips: tuple[Flip, ...]
    flip_map: FlipMap | None


def conclude(
    measured: MeasuredArms,
    declared: DecisionInputs,
    *,
    differences: Sequence[PairedDifference] = (),
    findings: Sequence[AuditFinding] = (),
    parts: Collection[str] = PARTS,
) -> Conclusion:
    """Scores, costs, constraints, verdict, what limits it and what would change it.

    Args:
        differences: Of every pair of candidates, for the words; after a race their confidence sequences.
        findings: Of the audit so far; one that blocks leaves no verdict.
        parts: Of what takes longest, that which is wanted; the other fields are always there.
    Raises:
        EvaluationError: coverage puts all the weight on slices without questions, or a race was run for other inputs.
    """
    stakes = measured.stakes(declared)
    out = measured.broken(declared, stakes.usd_per_month)
    rule = DecisionRule(measured.metric, declared.margin, declared.coverage, measured.evidence.seed)
    scores = {arm: measured.score(arm, stakes.weights) for arm in measured.uses}
    if measured.race is not None:
        recommendation = recommend_from_race(
            measured.race, differences, stakes, measured.race_scores(), findings, rule, out=out
        )
    else:
        recommendation = recommend(measured.evidence, differences, findings, stakes, rule, out=out, scores=scores)
    costs = {arm: _cost(measured, declared, arm, scores[arm]) for arm in measured.uses}
    priced = {arm: cost for arm, cost in costs.items() if cost is not None}
    constraints = tuple(
        outcome
        for arm, traits in measured.traits.items()
        for outcome in check_constraints(
            declared.constraints, arm, traits, priced[arm].monthly_usd if arm in priced else None, scores[arm].interval
        )
    )
    by_metric: tuple[MetricVerdict, ...] = ()
    if "metric_verdicts" in parts and measured.race is None:
        by_metric = verdicts_by_metric(measured.others, recommendation, stakes, rule, out)
    flips: tuple[Flip, ...] = ()
    flip_map = None
    if recommendation.arm is not None:
        flips = find_flips(measured, declared) if "flips" in parts else ()
        # A race speaks for the coverage it was run for and no other.
        y_axis = Axis.COVERAGE if measured.race is None else Axis.REFRESHES_PER_MONTH
        flip_map = map_decision(measured, declared, y_axis=y_axis) if "flip_map" in parts else None
    return Conclusion(
        recommendation,
        scores,
        costs,
        break_evens(priced),
        _net_values(measured, declared, priced, stakes.weights),
        constraints,
        by_metric,
        (*audit_power(recommendation), *audit_other_metrics(recommendation, by_metric)),
        flips,
        flip_map,
    )


def _cost(measured: MeasuredArms, declared: DecisionInputs, arm: str, score: MetricSummary) -> CostEstimate | None:
    accuracy = score.interval.estimate if score.interval is not None else None
    return estimate_cost(measured.uses[arm], declared.prices, declared.traffic, accuracy=accuracy)


def _net_values(
    measured: MeasuredArms, inputs: DecisionInputs, costs: Mapping[str, CostEstimate], weights: Mapping[str, float]
) -> tuple[NetValue, ...]:
    if inputs.values is None:
        return ()
    volume = inputs.traffic.queries_per_month
    # Where the questions bear no interval the recommendation has said so.
    with suppress(EvaluationError):
        return tuple(
            net_value(measured.evidence, arm, cost, inputs.values, weights, queries_per_month=volume)
            for arm, cost in costs.items()
        )
    return ()
