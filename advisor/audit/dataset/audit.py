"""All checks that need no model, for `tuningfork validate` and at the start of every comparison."""

from advisor.audit.check import Check
from advisor.audit.dataset.documents import audit_documents
from advisor.audit.dataset.fields import audit_fields
from advisor.audit.dataset.gold import audit_gold
from advisor.audit.dataset.languages import audit_languages
from advisor.audit.dataset.leakage import audit_leakage
from advisor.audit.dataset.rows import audit_rows
from advisor.data.dataset import Dataset, Slice, Split, Task
from advisor.evidence.evidence import MIN_CLUSTERS, MIN_QUESTIONS
from advisor.results.comparison import AuditFinding, Severity


def audit_dataset(dataset: Dataset) -> list[AuditFinding]:
    """Findings on questions, references, splits and documents."""
    return [
        *audit_leakage(dataset),
        *audit_gold(dataset),
        *audit_rows(dataset),
        *audit_fields(dataset),
        *audit_languages(dataset),
        *audit_documents(dataset),
        *_size(dataset),
        *_slices(dataset),
    ]


def _size(dataset: Dataset) -> list[AuditFinding]:
    test = dataset.split(Split.TEST)
    n_clusters = len({dataset.cluster_of(example) for example in test})
    if len(test) >= MIN_QUESTIONS and n_clusters >= MIN_CLUSTERS:
        return []
    return [
        AuditFinding(
            Check.TOO_FEW_QUESTIONS,
            Severity.WARN,
            f"{len(test)} test questions on {n_clusters} documents or cases: too few for a verdict.",
            f"Add test questions: at least {MIN_QUESTIONS} on {MIN_CLUSTERS} documents or cases; hundreds show more.",
        )
    ]


def _slices(dataset: Dataset) -> list[AuditFinding]:
    if dataset.card.task is not Task.QUESTION_ANSWERING:
        return []
    slices = {dataset.slice_of(example) for example in dataset.split(Split.TEST)}
    return [
        AuditFinding(
            Check.SLICES,
            Severity.NOTE,
            f"No test question is in the slice {missing}; the verdict covers only {other}.",
            "Ask the same facts in several wordings and give them one `group`; the split then has both slices.",
        )
        for missing, other in ((Slice.SEEN_FACT, Slice.UNSEEN_FACT), (Slice.UNSEEN_FACT, Slice.SEEN_FACT))
        if missing not in slices and other in slices
    ]
