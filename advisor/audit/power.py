"""Can the test set see what it is asked to see?"""

from advisor.audit.check import Check
from advisor.results.comparison import AuditFinding, Recommendation, Severity, Verdict


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
