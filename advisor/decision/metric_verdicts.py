"""What the rule of decision says by each of the other metrics of a dataset, on the same answers."""

from collections.abc import Mapping
from dataclasses import replace

from advisor.decision.decision import Stakes, decide
from advisor.decision.recommendation import DecisionRule, recommend
from advisor.evidence.evidence import Evidence
from advisor.results.comparison import MetricVerdict, Recommendation, Verdict

_DECIDED = (Verdict.WINNER, Verdict.BEST_CHOICE, Verdict.NO_CLEAR_WINNER)


def verdicts_by_metric(
    metrics: Mapping[str, Evidence],
    decided: Recommendation,
    stakes: Stakes,
    rule: DecisionRule,
    out: Mapping[str, str],
) -> tuple[MetricVerdict, ...]:
    """The verdict by each metric, by the same rule with the same margin; metrics that bear none are left out.

    Args:
        metrics: Besides the deciding one, each with scores from 0 to 1 of single answers.
        decided: By the deciding metric. Without a verdict there is nothing that another metric could change.
        out: Arms that break a declared constraint.
    """
    if decided.verdict not in _DECIDED:
        return ()
    # The bar was declared for the deciding metric.
    stakes = replace(stakes, good_enough=None)
    found = []
    for metric, evidence in metrics.items():
        verdict = recommend(evidence, (), (), stakes, replace(rule, metric=metric), out=out)
        compared = sorted(verdict.probability_best)
        if verdict.verdict not in _DECIDED or len(compared) < 2:
            continue
        ruling = decide(evidence, stakes, stakes.fit(evidence, out))
        # With unscored answers counted as wrong, as the rule counts them.
        scores = {arm: ruling.scores[arm] for arm in compared}
        first, second = _told_pair(verdict, decided, scores)
        unclear = Verdict.NO_CLEAR_WINNER
        changes = verdict.arm != decided.arm or (verdict.verdict is unclear) != (decided.verdict is unclear)
        lead = ruling.lead(first, second)
        found.append(MetricVerdict(metric, verdict.verdict, verdict.arm, changes, scores, first, second, lead))
    return tuple(found)


def _told_pair(verdict: Recommendation, decided: Recommendation, scores: Mapping[str, float]) -> tuple[str, str]:
    """The arm that stands out by a metric, and the one to set it against: the arm of the verdict, else the next."""
    by_score = sorted(scores, key=lambda arm: (-scores[arm], arm))
    first = verdict.arm if verdict.verdict is Verdict.WINNER and verdict.arm is not None else by_score[0]
    others = [arm for arm in by_score if arm != first]
    return first, decided.arm if decided.arm in others else others[0]
