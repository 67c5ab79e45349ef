"""How far a verdict goes: whether the test set can see the margin, and whether another metric says the same."""

from collections.abc import Sequence

from advisor.audit.check import Check
from advisor.data.wording import listed, points
from advisor.results.comparison import AuditFinding, Interval, MetricVerdict, Recommendation, Severity, Verdict

_TOLD = 2
"""The message of a finding is read at a glance; all are among its items."""


def audit_power(recommendation: Recommendation) -> list[AuditFinding]:
    """A trade-off whose smallest detectable difference is above the margin; a winner was seen anyhow."""
    effect, margin = recommendation.minimum_detectable_effect, recommendation.margin
    if recommendation.verdict is not Verdict.NO_CLEAR_WINNER or effect is None or effect <= margin:
        return []
    more = f"Ask about {recommendation.questions_needed:,} questions" if recommendation.questions_needed else "Ask more"
    return [
        AuditFinding(
            Check.POWER,
            Severity.NOTE,
            f"This test set can show differences of about {100 * effect:.1f} points; the margin is {100 * margin:.1f}.",
            f"{more}, or declare a larger margin before the next run.",
        )
    ]


def audit_other_metrics(decided: Recommendation, verdicts: Sequence[MetricVerdict]) -> list[AuditFinding]:
    """The metrics by which another arm would be shipped, or none surely, with their figures."""
    changed = [verdict for verdict in verdicts if verdict.changes]
    if not changed:
        return []
    sentences = [_sentence(verdict, decided) for verdict in changed]
    rest = [verdict.metric for verdict in changed[_TOLD:]]
    more = f" Another verdict also by {listed(rest)}." if rest else ""
    return [
        AuditFinding(
            Check.OTHER_METRIC,
            Severity.WARN,
            " ".join(sentences[:_TOLD]) + more,
            f"Make sure that {decided.metric} scores what your users need; the first of `metrics` in dataset.toml "
            "decides.",
            tuple(sentences),
        )
    ]


def _sentence(verdict: MetricVerdict, decided: Recommendation) -> str:
    figures = (
        f"{verdict.first} {points(verdict.scores[verdict.first])} points, {verdict.second} "
        f"{points(verdict.scores[verdict.second])}, difference {_interval(verdict.lead)}."
    )
    if verdict.verdict is Verdict.WINNER:
        return f"By {verdict.metric} {verdict.arm} would win: {figures}"
    if verdict.verdict is Verdict.BEST_CHOICE:
        return f"By {verdict.metric} {verdict.arm} would be the choice: {figures}"
    if decided.verdict is not Verdict.NO_CLEAR_WINNER:
        return f"By {verdict.metric} there would be no clear winner: {figures}"
    return f"By {verdict.metric} there is no clear winner either, and {verdict.arm} would be named: {figures}"


def _interval(interval: Interval) -> str:
    return f"{points(interval.estimate)} [{points(interval.low)}, {points(interval.high)}]"
