"""What a comparison comes to: the verdict, and all that a team needs to defend it when something changes."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from advisor.decision.constraints import check_constraints
from advisor.decision.flip import find_flips, map_decision
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.race_recommendation import recommend_from_race, require_declared
from advisor.decision.recommendation import DecisionRule, recommend_from
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
    NetValue,
    PairedDifference,
    Recommendation,
)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The fields of a comparison that follow from measurements and declared inputs alone."""

    recommendation: Recommendation
    break_evens: tuple[BreakEven, ...]
    net_values: tuple[NetValue, ...]
    constraints: tuple[ConstraintOutcome, ...]
    flips: tuple[Flip, ...]
    flip_map: FlipMap | None


def conclude(
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    measured: MeasuredArms,
    inputs: DecisionInputs,
    rule: DecisionRule,
    *,
    parts: Collection[str] = ("flips", "flip_map"),
) -> Conclusion:
    """Verdict, break-even volumes, net values, constraints and flips.

    Args:
        differences: Of every pair of candidates; after a race their confidence sequences.
        rule: With the margin and coverage of `inputs`, and the seed of `measured`.
        parts: Of the two that take longest, those wanted; the other fields are always there.
    Raises:
        EvaluationError: coverage puts all the weight on slices without questions, or a race was run for other inputs.
    """
    usd_per_month = measured.monthly_usd(inputs)
    out = measured.broken(usd_per_month)
    if measured.race is not None:
        require_declared(measured.race, inputs.margin, inputs.coverage, by_score=inputs.values is None)
        weights = measured.race.slice_weights
        recommendation = recommend_from_race(measured.race, differences, usd_per_month, findings, rule, out=out)
    else:
        weights = measured.weights(inputs.coverage)
        recommendation = recommend_from(
            measured.evidence,
            differences,
            findings,
            usd_per_month,
            rule,
            weights,
            out=out,
            values=inputs.values,
            queries_per_month=inputs.traffic.queries_per_month,
        )
    estimates = {arm: estimate_cost(use, inputs.prices, inputs.traffic) for arm, use in measured.uses.items()}
    costs = {arm: cost for arm, cost in estimates.items() if cost is not None}
    constraints = tuple(
        outcome
        for arm, traits in measured.traits.items()
        for outcome in check_constraints(
            measured.constraints, arm, traits, costs[arm].monthly_usd if arm in costs else None
        )
    )
    flips: tuple[Flip, ...] = ()
    flip_map = None
    if recommendation.arm is not None:
        flips = find_flips(measured, inputs) if "flips" in parts else ()
        # A race speaks for the coverage it was run for and no other.
        y_axis = Axis.COVERAGE if measured.race is None else Axis.REFRESHES_PER_MONTH
        flip_map = map_decision(measured, inputs, y_axis=y_axis) if "flip_map" in parts else None
    return Conclusion(
        recommendation,
        break_evens(costs),
        _net_values(measured, inputs, costs, weights),
        constraints,
        flips,
        flip_map,
    )


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
