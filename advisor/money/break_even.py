"""From which volume on an arm is the cheaper one. Monthly totals are straight lines, so it is solved, not tried."""

from collections.abc import Mapping
from itertools import combinations
from math import isclose

from advisor.results.comparison import BreakEven, CostEstimate


def break_evens(costs: Mapping[str, CostEstimate]) -> tuple[BreakEven, ...]:
    """Every pair of arms, in the order given."""
    return tuple(break_even(first, costs[first], second, costs[second]) for first, second in combinations(costs, 2))


def break_even(first: str, first_cost: CostEstimate, second: str, second_cost: CostEstimate) -> BreakEven:
    """The volume at which the monthly totals of two arms are equal.

    The interval takes both serving costs at opposite ends of their intervals, as if one arm erred up and the other
    down: somewhat wide, never too short on that account. Builds are measured once and taken as exact.
    """
    # Put the arm with the lower fixed cost first: it is the cheaper one at a volume of 0.
    low_cost, high_cost = first_cost, second_cost
    low_name, high_name = first, second
    if low_cost.fixed_usd_per_month > high_cost.fixed_usd_per_month:
        low_cost, high_cost, low_name, high_name = high_cost, low_cost, high_name, low_name
    head_start_usd = _difference(high_cost.fixed_usd_per_month, low_cost.fixed_usd_per_month)
    saving_usd = _difference(low_cost.serve_usd_per_query, high_cost.serve_usd_per_query)
    low, high = _spread(low_cost, high_cost, head_start_usd)
    if head_start_usd == 0:
        cheaper = None if saving_usd == 0 else low_name if saving_usd < 0 else high_name
        return BreakEven(first, second, None, None, None, cheaper, cheaper)
    if saving_usd <= 0:
        return BreakEven(first, second, None, low, high, low_name, low_name)
    return BreakEven(first, second, head_start_usd / saving_usd, low, high, low_name, high_name)


def _difference(first_usd: float, second_usd: float) -> float:
    """0 where only rounding tells the two apart: it would put a break-even at an absurd volume."""
    return 0.0 if isclose(first_usd, second_usd, rel_tol=1e-12) else first_usd - second_usd


def _spread(
    low_cost: CostEstimate, high_cost: CostEstimate, head_start_usd: float
) -> tuple[float | None, float | None]:
    """Earliest and latest volume, as `BreakEven` tells them."""
    serving, rival = low_cost.serve_interval, high_cost.serve_interval
    if serving is None or rival is None or head_start_usd == 0:
        return None, None
    most, least = serving.high - rival.low, serving.low - rival.high
    return head_start_usd / most if most > 0 else None, head_start_usd / least if least > 0 else None
