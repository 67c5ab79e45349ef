"""The checks on measured arms together."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from advisor.audit.abilities import audit_known_already, audit_no_skill
from advisor.audit.answers import audit_answers, audit_scoring
from advisor.audit.check import Check
from advisor.audit.form import audit_form
from advisor.audit.retrieval import audit_recall
from advisor.data.dataset import Dataset
from advisor.money.prices import PriceList
from advisor.results.comparison import ArmSummary, AuditFinding, QuestionRecord, Severity

_DAYS_PER_MONTH = 365.25 / 12


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
        *audit_no_skill(arms, metric),
        *audit_answers(candidates),
        *(audit_form(arms) if held_to_form else ()),
    ]


def audit_model_ends(
    models: Mapping[str, str], prices: PriceList, today: date, amortisation_months: float
) -> list[AuditFinding]:
    """Arms whose model its vendor shuts down before the cost of building them is spread.

    Args:
        models: Of each arm on a hosted model, the name the endpoint knows.
    """
    # Beyond the calendar's end no vendor has announced anything.
    days = min(amortisation_months * _DAYS_PER_MONTH, (date.max - today).days)
    end = (today + timedelta(days=days)).isoformat()
    arms_by_model: dict[str, list[str]] = {}
    for arm, model in models.items():
        if model in prices.models and (prices.models[model].shutdown_on or end) < end:
            arms_by_model.setdefault(model, []).append(arm)
    return [
        AuditFinding(
            Check.MODEL_ENDS,
            Severity.WARN,
            f"{model} is shut down on {prices.models[model].shutdown_on}, before the build's cost is spread. "
            f"Arms: {', '.join(arms)}.",
            "Compare with the model that its vendor names as the replacement.",
            (str(prices.models[model].shutdown_source),),
        )
        for model, arms in arms_by_model.items()
    ]
