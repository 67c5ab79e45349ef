"""The checks on measured arms together."""

from collections.abc import Mapping, Sequence

from advisor.audit.abilities import audit_known_already
from advisor.audit.answers import audit_answers, audit_scoring
from advisor.audit.form import audit_form
from advisor.audit.retrieval import audit_recall
from advisor.data.dataset import Dataset
from advisor.results.comparison import ArmSummary, AuditFinding, QuestionRecord


def audit_arms(
    arms: Sequence[ArmSummary],
    candidates: Mapping[str, Sequence[QuestionRecord]],
    dataset: Dataset,
    metric: str,
    *,
    held_to_form: bool,
) -> list[AuditFinding]:
    """Unscored, cut, empty, repeated and malformed answers, weak retrieval, a base model that knew it all along.

    Args:
        candidates: Answers of the arms that can win.
        held_to_form: Whether answers were to be held to the labels or the schema.
    """
    return [
        *audit_scoring(arms, metric),
        *audit_recall(arms, metric),
        *audit_known_already(arms, dataset, metric),
        *audit_answers(candidates),
        *(audit_form(arms) if held_to_form else ()),
    ]
