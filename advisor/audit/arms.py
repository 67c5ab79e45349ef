"""The checks on measured arms together."""

from collections.abc import Sequence

from advisor.audit.abilities import audit_known_already
from advisor.audit.answers import audit_scoring
from advisor.audit.retrieval import audit_recall
from advisor.data.dataset import Dataset
from advisor.results.comparison import ArmSummary, AuditFinding


def audit_arms(arms: Sequence[ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
    """Unscored and cut answers, weak retrieval, a base model that knew it all along."""
    return [
        *audit_scoring(arms, metric),
        *audit_recall(arms, metric),
        *audit_known_already(arms, dataset, metric),
    ]
