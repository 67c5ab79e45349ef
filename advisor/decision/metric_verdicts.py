"""What the rule of decision says by each of the other metrics of a dataset, on the same answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.recommendation import DecisionRule, recommend_from
from advisor.evidence.evidence import Evidence, gather_evidence
from advisor.evidence.scorecard import applicable, paired_difference, seed_values
from advisor.results.comparison import Interval, MetricVerdict, QuestionRecord, Recommendation, Verdict

_DECIDED = (Verdict.WINNER, Verdict.NO_CLEAR_WINNER)


def verdicts_by_metric(
    candidates: Mapping[str, Sequence[QuestionRecord]],
    metrics: Sequence[str],
    decided: Recommendation,
    measured: MeasuredArms,
    inputs: DecisionInputs,
    rule: DecisionRule,
) -> tuple[MetricVerdict, ...]:
    """The verdict by each metric, by the same rule with the same margin; metrics that bear none are left out.

    Args:
        candidates: Records of each, same questions in the same order.
        metrics: Besides the deciding one, each with scores from 0 to 1 of single answers.
        decided: By the deciding metric. Without a verdict there is nothing that another metric could change, and a race
            asks for one metric alone: both give none.
    """
    if decided.verdict not in _DECIDED or measured.race is not None:
        return ()
    usd_per_month = measured.monthly_usd(inputs)
    out = measured.broken(usd_per_month)
    weights = measured.weights(inputs.coverage)
    found = []
    for metric in metrics:
        rows = applicable(candidates, metric)
        evidence = gather_evidence(rows, metric, seed=rule.seed)
        verdict = recommend_from(
            evidence,
            (),
            (),
            usd_per_month,
            replace(rule, metric=metric),
            weights,
            out=out,
            values=inputs.values,
            queries_per_month=inputs.traffic.queries_per_month,
        )
        compared = sorted(verdict.probability_best)
        if verdict.verdict not in _DECIDED or len(compared) < 2:
            continue
        scores = _scores(evidence, weights, compared)
        first, second = _told_pair(verdict, decided, scores)
        found.append(
            MetricVerdict(
                metric,
                verdict.verdict,
                verdict.arm,
                (verdict.verdict, verdict.arm) != (decided.verdict, decided.arm),
                scores,
                first,
                second,
                _lead(rows, metric, first, second, weights, rule.seed),
            )
        )
    return tuple(found)


def _scores(evidence: Evidence, weights: Mapping[str, float], arms: Sequence[str]) -> dict[str, float]:
    """Weighted means, unscored answers counted as wrong, as the rule counts them."""
    return dict(zip(arms, evidence.quality(weights, arms).floor.tolist(), strict=True))


def _told_pair(verdict: Recommendation, decided: Recommendation, scores: Mapping[str, float]) -> tuple[str, str]:
    """The arm that stands out by a metric, and the one to set it against: the arm of the verdict, else the next."""
    by_score = sorted(scores, key=lambda arm: (-scores[arm], arm))
    first = verdict.arm if verdict.verdict is Verdict.WINNER and verdict.arm is not None else by_score[0]
    others = [arm for arm in by_score if arm != first]
    return first, decided.arm if decided.arm in others else others[0]


def _lead(
    rows: Mapping[str, Sequence[QuestionRecord]],
    metric: str,
    first: str,
    second: str,
    weights: Mapping[str, float],
    seed: int,
) -> Interval:
    ours, theirs = (np.nan_to_num(seed_values(rows[arm], metric), nan=0.0) for arm in (first, second))
    return paired_difference(metric, first, second, ours, theirs, rows[first], weights=weights, seed=seed).interval
