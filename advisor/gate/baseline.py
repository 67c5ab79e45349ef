"""A comparison against a stored one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
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
from advisor.gate.latency import check_latency_growth
from advisor.gate.pairing import BaselineDifference, baseline_difference, judged_difference
from advisor.gate.rules import RECOMMENDED, BaselineRule, GateRules
from advisor.metrics.registry import JUDGE_METRICS, METRICS
from advisor.results.comparison import ArmSummary, Comparison, QuestionRecord, Verdict
from advisor.results.quantities import ScoreScale, count, exact_usd, percent, scale_of


@dataclass(frozen=True, slots=True)
class GatedComparison:
    """What a gate reads of one comparison: its `report.json` and `results.jsonl`."""

    comparison: Comparison
    records: Sequence[QuestionRecord]


def check_against_baseline(
    rule: BaselineRule, now: GatedComparison, baseline: GatedComparison, rules: GateRules
) -> Iterable[GateCheck | GateTest]:
    """A check for each arm, metric and slice named, or one that says why nothing can be compared."""
    before = baseline.comparison
    reason = _incomparable(now.comparison, before)
    if reason is not None:
        yield cannot_compare("baseline", reason)
        return
    metrics = rule.metrics or (before.recommendation.metric,)
    for wanted in rule.arms:
        kind = before.recommendation.arm if wanted == RECOMMENDED else wanted
        if kind is None:
            yield cannot_compare("baseline", "The baseline recommends no arm; name the arms to compare.")
            continue
        ours, theirs = find_arm(now.comparison, kind), find_arm(before, kind)
        if ours is None or theirs is None:
            who = "This comparison" if ours is None else "The baseline"
            has = arm_names(now.comparison if ours is None else before)
            yield cannot_compare(f"{kind}: baseline", f"{who} has no arm {kind!r}; it has {has}.")
            continue
        for metric in metrics:
            for part in (None, *rule.slices):
                yield _metric_loss(rule, now, baseline, kind, metric, part)
        if rule.max_latency_increase is not None:
            sides = ([r for r in side.records if r.arm == kind] for side in (now, baseline))
            yield check_latency_growth(ours, theirs, rule.max_latency_increase, rules, *sides)
        if rule.max_cost_increase is not None:
            yield _cost_growth(ours, theirs, rule.max_cost_increase, rules)


def _incomparable(now: Comparison, before: Comparison) -> str | None:
    if before.recommendation.verdict is Verdict.INVALID_COMPARISON:
        return "The audit blocked the baseline, so its figures prove nothing; store another."
    if now.card.name != before.card.name:
        return f"The baseline is of another dataset: {before.card.name}, and this comparison of {now.card.name}."
    if now.card.task is not before.card.task:
        return f"The task changed from {before.card.task} to {now.card.task}; store a new baseline."
    if now.recommendation.metric != before.recommendation.metric:
        return (
            f"The deciding metric changed from {before.recommendation.metric} to {now.recommendation.metric}; store a "
            "new baseline."
        )
    return None


def _metric_loss(
    rule: BaselineRule, now: GatedComparison, baseline: GatedComparison, kind: str, metric: str, part: Slice | None
) -> GateCheck | GateTest:
    name = f"{kind}: {metric}{f' on {part}' if part else ''} against the baseline"
    for need in METRICS[metric].needs.split():
        if now.comparison.settings.get(need) != baseline.comparison.settings.get(need):
            return cannot_compare(
                name, f"{metric} was scored with another {need} in the baseline; store a new baseline."
            )
    excuse = stopped_early(now.comparison, kind) or stopped_early(baseline.comparison, kind)
    if excuse is not None:
        return cannot_compare(name, excuse)
    ours = [r for r in now.records if r.arm == kind and metric in r.scores and part in (None, r.slice)]
    theirs = [r for r in baseline.records if r.arm == kind and metric in r.scores and part in (None, r.slice)]
    n_unscored = 0
    for who, records in ((f"{kind} today", ours), (f"{kind} in the baseline", theirs)):
        missing = sum(record.scores[metric].value is None for record in records)
        n_unscored += missing
        if (excuse := too_many_unscored(missing, len(records) - missing, who)) is not None:
            return cannot_compare(name, excuse)
    recommendation = now.comparison.recommendation
    weights = dict(recommendation.slice_weights) if part is None else {str(part): 1.0}
    try:
        differ = judged_difference if metric in JUDGE_METRICS else baseline_difference
        found = differ(ours, theirs, metric, weights=weights)
    except EvaluationError as error:
        return cannot_compare(name, f"No difference can be formed: {error}.")
    return _loss_test(rule, name, metric, found, n_unscored, scale_of(now.comparison, metric), kind)


def _loss_test(
    rule: BaselineRule,
    name: str,
    metric: str,
    found: BaselineDifference,
    n_unscored: int,
    scale: ScoreScale,
    kind: str,
) -> GateTest:
    interval = found.interval
    # Every metric of the registry says which way is better; a loss is a fall of those where higher is.
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    how = f"paired on {count(found.n)} questions"
    if metric in JUDGE_METRICS:
        how = f"{count(found.n)} questions, each side corrected by people's labels"
    elif not found.paired:
        how = f"{count(found.n)} questions, unpaired, since the baseline asked other questions"
    elif found.n_left_out:
        how += f", {count(found.n_left_out)} asked on one side only left out"
    bad_end = interval.low if sign > 0 else -interval.high
    gap, worst_gap = -sign * interval.estimate, -sign * found.worst_estimate
    return GateTest(
        GateCheck(
            name, GateVerdict.PASS, "", interval.estimate, interval.low, interval.high, -sign * rule.minimum_effect
        ),
        found.p_value if gap > 0 else 1.0,
        found.worst_p_value if worst_gap > 0 else 1.0,
        gap,
        worst_gap,
        rule.minimum_effect,
        bad_end - (worst_gap - gap) > -rule.minimum_effect,
        minimum_detectable_effect((interval.high - interval.low) / 2 / normal_quantile(interval.level)),
        f"{metric} of {kind} changed by {scale.difference(interval)} {scale.unit} ({how}); a loss of "
        f"{scale.value(rule.minimum_effect)} matters.",
        found.n,
        n_unscored,
        scale,
    )


def _cost_growth(now: ArmSummary, before: ArmSummary, allowed: float, rules: GateRules) -> GateCheck:
    name = f"{now.id}: cost of a question against the baseline"
    if now.cost is None or before.cost is None:
        return cannot_compare(name, "There is no price on both sides.")
    ours, theirs = now.cost.serve_interval, before.cost.serve_interval
    limit = before.cost.serve_usd_per_query * (1 + allowed)
    measured = now.cost.serve_usd_per_query
    figures = {
        "measured": measured,
        "low": ours.low if ours else None,
        "high": ours.high if ours else None,
        "limit": limit,
    }
    was = exact_usd(before.cost.serve_usd_per_query)
    found = (
        f"A question costs {exact_usd(measured)} with {now.id}, {was} in the baseline; {percent(allowed)} more is "
        "allowed."
    )
    if measured <= limit:
        return GateCheck(name, GateVerdict.PASS, found, **figures)
    surely = (ours.low if ours else measured) > (theirs.high * (1 + allowed) if theirs else limit)
    if surely:
        return GateCheck(name, GateVerdict.FAIL, found, **figures)
    return unclear(name, f"{found} The spreads of the two costs overlap.", rules, figures)


def changes_since(now: Comparison, before: Comparison) -> Iterable[str]:
    """What else differs between the two, in sentences; none of it decides."""
    yield f"The baseline is the comparison {before.id} of {before.created_at[:10]}."
    if now.model != before.model:
        yield f"The base model changed from {before.model} to {now.model}."
    if now.dtype and before.dtype and now.dtype != before.dtype:
        yield (
            f"The base model computed in {before.dtype} in the baseline and in {now.dtype} now: some answers differ "
            "for that alone."
        )
    constrain, was = (str(one.settings.get("constrain", "off")) for one in (now, before))
    has_form = any(arm.n_outside_form is not None for arm in now.arms)
    if has_form and constrain != was:
        yield (
            f"Answers were decoded with constrain = {was} in the baseline and {constrain} now: only "
            "constrained answers are sure to be labels or valid records."
        )
    if now.dataset_hash != before.dataset_hash:
        yield "Documents, questions or what of them was used changed since the baseline."
    if dict(now.recommendation.slice_weights) != dict(before.recommendation.slice_weights):
        yield "Slices are weighed as they are today on both sides; the baseline weighed them otherwise."
    if before.recommendation.arm != now.recommendation.arm:
        yield (
            f"The baseline recommended {before.recommendation.arm or 'no arm'}, this comparison recommends "
            f"{now.recommendation.arm or 'no arm'}."
        )
