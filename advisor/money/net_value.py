"""What an arm brings in money: the worth of its answers minus what it costs."""

from collections.abc import Mapping

from advisor.errors import EvaluationError
from advisor.evidence.evidence import Evidence
from advisor.evidence.statistics import expanded_percentile_interval
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import CostEstimate, Interval, NetValue


def net_value(
    evidence: Evidence,
    arm: str,
    cost: CostEstimate,
    values: AnswerValues,
    weights: Mapping[str, float],
    *,
    queries_per_month: float,
) -> NetValue:
    """Monthly net value of one arm; its unscored answers count as the worst there is.

    The interval subtracts the cost's high end from the worth's low end and the other way round, as if both erred
    together: somewhat wide, never too short on that account.

    Args:
        weights: Share of production traffic of each slice.
    Raises:
        EvaluationError: an impossible volume, or the evidence cannot bear these weights.
    """
    if not 0 <= queries_per_month < float("inf"):
        raise EvaluationError(f"queries_per_month is {queries_per_month}; give a number of at least 0")
    quality = evidence.quality(weights, [arm], values)
    worth = expanded_percentile_interval(
        float(quality.floor[0]),
        quality.floor_resampled[:, 0],
        quality.n_clusters,
        by_seed=quality.floor_by_seed[:, 0],
    )
    spent = cost.monthly_interval
    dearest, cheapest = (spent.high, spent.low) if spent else (cost.monthly_usd, cost.monthly_usd)
    monthly = Interval(
        worth.estimate * queries_per_month - cost.monthly_usd,
        worth.low * queries_per_month - dearest,
        worth.high * queries_per_month - cheapest,
        worth.level,
        f"{worth.method}, and the cost's interval",
    )
    return NetValue(arm, worth, monthly)
