"""A limit for one arm, held against what the report says of it."""

from math import inf, sqrt

from advisor.data.dataset import Slice
from advisor.evidence.prediction_powered import METHOD as CORRECTED
from advisor.evidence.prediction_powered import MIN_LABELS
from advisor.evidence.statistics import minimum_detectable_effect, normal_quantile
from advisor.gate.check import (
    GateCheck,
    GateTest,
    GateVerdict,
    arm_names,
    cannot_compare,
    find_arm,
    stopped_early,
    too_many_unscored,
    unclear,
)
from advisor.gate.rules import COSTS, LATENCIES, RECOMMENDED, GateRules, Threshold
from advisor.metrics.registry import JUDGE_METRICS
from advisor.results.comparison import ArmSummary, Comparison, Interval, MetricSummary, Verdict
from advisor.results.quantities import count, exact_usd, percent, scale_of, seconds


def check_threshold(threshold: Threshold, comparison: Comparison, rules: GateRules) -> GateCheck | GateTest:
    """The check of one threshold; of a metric, a test whose p-value is adjusted with the others."""
    kind = comparison.recommendation.arm if threshold.arm == RECOMMENDED else threshold.arm
    name = _threshold_name(threshold, kind or threshold.arm, comparison)
    if kind is None and comparison.recommendation.verdict is Verdict.NOT_READY:
        return GateCheck(name, GateVerdict.FAIL, comparison.recommendation.headline, limit=threshold.limit)
    if kind is None:
        return cannot_compare(name, "The comparison recommends no arm; name one, or see why it has no verdict.")
    arm = find_arm(comparison, kind)
    if arm is None:
        return cannot_compare(name, f"The comparison has no arm {kind!r}; it has {arm_names(comparison)}.")
    if threshold.measure in LATENCIES:
        return _latency_limit(threshold, arm, name, rules)
    if threshold.measure in COSTS:
        return _cost_limit(threshold, arm, name, rules)
    summary = arm.metric(threshold.measure, threshold.slice)
    if summary is None or summary.interval is None:
        part = f" on {threshold.slice}" if threshold.slice else ""
        lacking = (
            "compare with a judge" if threshold.measure in JUDGE_METRICS else "add it to `metrics` in dataset.toml"
        )
        return cannot_compare(
            name,
            f"{threshold.measure} of {kind} was not measured{part}, or on one document only; {lacking}, or test "
            "questions it applies to.",
        )
    if threshold.measure in JUDGE_METRICS and summary.interval.method != CORRECTED:
        return cannot_compare(
            name,
            f"{threshold.measure} is a judge's, and decides only where people labelled {MIN_LABELS} answers of each "
            "arm; label some under Labels in the web UI (docs/judges.md).",
        )
    return _metric_limit(threshold, comparison, arm, summary, name)


def _threshold_name(threshold: Threshold, kind: str, comparison: Comparison) -> str:
    part = f" on {threshold.slice}" if threshold.slice else ""
    side = "at least" if threshold.at_least is not None else "at most"
    return f"{kind}: {threshold.measure}{part} {side} {_limit(threshold, comparison)}"


def _limit(threshold: Threshold, comparison: Comparison) -> str:
    if threshold.measure in LATENCIES:
        return seconds(threshold.limit)
    if threshold.measure in COSTS:
        return exact_usd(threshold.limit)
    scale = scale_of(comparison, threshold.measure)
    return f"{scale.value(threshold.limit)} {scale.unit}"


def _metric_limit(
    threshold: Threshold, comparison: Comparison, arm: ArmSummary, summary: MetricSummary, name: str
) -> GateCheck | GateTest:
    interval = summary.interval
    assert interval is not None
    scale = scale_of(comparison, threshold.measure)
    figures = {
        "measured": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "limit": threshold.limit,
    }
    if (excuse := too_many_unscored(summary.n_unscored, summary.n, arm.id)) is not None:
        return cannot_compare(name, excuse, **figures)
    if (excuse := stopped_early(comparison, arm.id)) is not None:
        return cannot_compare(name, excuse, **figures)
    sign = 1.0 if threshold.at_least is not None else -1.0
    worst = _worst_estimate(arm, summary, comparison, 0.0 if sign > 0 else 1.0)
    gap, worst_gap = sign * (threshold.limit - interval.estimate), sign * (threshold.limit - worst)
    bad_end = interval.low if sign > 0 else interval.high
    return GateTest(
        GateCheck(name, GateVerdict.PASS, "", **figures),
        _chance(interval, summary.n_clusters, threshold.limit, interval.estimate) if gap > 0 else 1.0,
        _chance(interval, summary.n_clusters, threshold.limit, worst) if worst_gap > 0 else 1.0,
        gap,
        worst_gap,
        0.0,
        sign * (bad_end - threshold.limit) + sign * (worst - interval.estimate) >= 0,
        minimum_detectable_effect((interval.high - interval.low) / 2 / normal_quantile(interval.level)),
        f"{arm.id} has {scale.interval(interval)} {scale.unit} on {_questions(summary.n, summary.n_unscored)}; "
        f"{'at least' if sign > 0 else 'at most'} {scale.value(threshold.limit)} is asked.",
        summary.n,
        summary.n_unscored,
        scale,
    )


def _questions(n: int, n_unscored: int) -> str:
    return f"{count(n)} questions" + (f" and {count(n_unscored)} unscored" if n_unscored else "")


def _worst_estimate(arm: ArmSummary, summary: MetricSummary, comparison: Comparison, end: float) -> float:
    """The mean with unscored answers at one end of the scale; as it is for metrics that leave [0, 1]."""
    assert summary.interval is not None
    estimate = summary.interval.estimate
    if not summary.n_unscored or not 0 <= estimate <= 1:
        return estimate
    weights = comparison.recommendation.slice_weights
    parts = [summary]
    if summary.slice is None:
        weighed = [arm.metric(summary.metric, part) for part in Slice if weights.get(part.value, 0) > 0]
        parts = [part for part in weighed if part is not None and part.interval is not None] or parts
    total = moved = 0.0
    for part in parts:
        weight = weights.get(part.slice.value, 1.0) if part.slice is not None else 1.0
        share = part.n_unscored / (part.n + part.n_unscored)
        assert part.interval is not None
        total += weight
        moved += weight * share * (end - part.interval.estimate)
    return estimate + moved / total if total else estimate


def _chance(interval: Interval, n_clusters: int, limit: float, estimate: float) -> float:
    """Two-sided p-value of a mean at the limit: one minus the level at which the reported interval would touch it.

    Wilson's intervals are inverted by their own formula, since their ends are no multiples of one standard error.

    Args:
        estimate: Of the mean; another than the interval's moves it along.
    """
    from scipy.stats import norm, t

    if limit == estimate:
        return 1.0
    quantile, tail = (norm.ppf, norm.sf)
    if interval.method != "Wilson" and n_clusters > 1:
        quantile, tail = (lambda q: t.ppf(q, n_clusters - 1)), (lambda z: t.sf(z, n_clusters - 1))
    ends = (interval.low, interval.high)
    if interval.method.startswith("Wilson") and 0 <= limit <= 1:
        bound = max(ends, key=lambda end: abs(end - interval.estimate))
        reach = abs(bound - interval.estimate)
        spread = sqrt(limit * (1 - limit))
        ratio = abs(limit - estimate) * sqrt(bound * (1 - bound)) / (reach * spread) if reach and spread else inf
    else:
        reach = abs((ends[1] if limit > estimate else ends[0]) - interval.estimate)
        ratio = abs(limit - estimate) / reach if reach else inf
    return float(2 * tail(quantile(0.5 + interval.level / 2) * ratio))


def _latency_limit(threshold: Threshold, arm: ArmSummary, name: str, rules: GateRules) -> GateCheck:
    if arm.latency is None:
        return cannot_compare(name, f"No wait of {arm.id} was measured.", limit=threshold.limit)
    measured = arm.latency.p50_s if threshold.measure == "p50_latency_s" else arm.latency.p95_s
    allowed = threshold.limit * (1 + rules.latency_tolerance)
    found = (
        f"The {threshold.measure[:3]} latency of {arm.id} is {seconds(measured)} ({count(arm.latency.n)} questions "
        f"asked one at a time); at most {seconds(threshold.limit)} is asked"
    )
    figures = {"measured": measured, "limit": threshold.limit}
    if measured <= threshold.limit:
        return GateCheck(name, GateVerdict.PASS, f"{found}.", **figures)
    if measured > allowed:
        tolerance = f" and {percent(rules.latency_tolerance)} tolerated" if rules.latency_tolerance else ""
        return GateCheck(name, GateVerdict.FAIL, f"{found}{tolerance}.", **figures)
    return unclear(name, f"{found}, and machines vary by {percent(rules.latency_tolerance)}.", rules, figures)


def _cost_limit(threshold: Threshold, arm: ArmSummary, name: str, rules: GateRules) -> GateCheck:
    if arm.cost is None:
        return cannot_compare(name, f"{arm.id} has no price; add one to the price file.", limit=threshold.limit)
    amounts: dict[str, tuple[float | None, Interval | None]] = {
        "usd_per_query": (arm.cost.serve_usd_per_query, arm.cost.serve_interval),
        "usd_per_month": (arm.cost.monthly_usd, arm.cost.monthly_interval),
        "usd_per_correct_answer": (arm.cost.usd_per_correct_answer, None),
        "build_usd": (arm.cost.build_usd, None),
    }
    measured, interval = amounts[threshold.measure]
    if measured is None:
        return GateCheck(
            name,
            GateVerdict.FAIL,
            f"{arm.id} gave no right answer, so none can be had at any price.",
            limit=threshold.limit,
        )
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    figures = {"measured": measured, "low": low, "high": high, "limit": threshold.limit}
    spread = f" [{exact_usd(low)}, {exact_usd(high)}]" if interval is not None else ""
    found = f"{arm.id} costs {exact_usd(measured)}{spread}; at most {exact_usd(threshold.limit)} is asked."
    if measured <= threshold.limit:
        return GateCheck(name, GateVerdict.PASS, found, **figures)
    if low is None or low > threshold.limit:
        return GateCheck(name, GateVerdict.FAIL, found, **figures)
    return unclear(name, f"{found} The spread of tokens and seconds holds the limit.", rules, figures)
