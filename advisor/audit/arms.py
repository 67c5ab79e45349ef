"""The checks on measured arms together."""

from collections.abc import Sequence

from advisor.audit.abilities import audit_known_already
from advisor.audit.answers import audit_scoring
from advisor.audit.retrieval import audit_recall
from advisor.data.dataset import Dataset
from advisor.results.comparison import ArmSummary, AuditFinding


def audit_arms(arms: Sequence[ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
    """Unscored and cut answers, weak retrieval, a base model that knew it all along."""
    by_kind = {arm.kind: arm for arm in arms}
    return [
        *audit_scoring(arms, metric),
        *audit_recall(by_kind, metric),
        *audit_known_already(by_kind, dataset, metric),
    ]
