"""Fields of questions that say something else than was meant, or nothing."""

from collections import Counter

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Example, Task
from advisor.data.normalisation import is_abstention, normalise
from advisor.results.comparison import AuditFinding, Severity

REPEATED = 3
"""So many questions with one answer, and no document named, share it as a refusal."""

_NO_ANSWER = frozenset(
    normalise(text)
    for text in (
        *("not found", "not available", "not applicable", "not stated", "not specified", "not mentioned"),
        *("not in the documents", "not in the document", "not in the context", "none given", "no data", "TBD"),
        *("keine Angabe", "keine Angaben", "keine Antwort", "nicht bekannt", "unbekannt", "nicht gefunden"),
        *("inconnu", "non trouvé", "non précisé", "pas de réponse", "desconocido", "no encontrado", "sin respuesta"),
    )
)
_NO_WORDS = frozenset({"n/a", "n.a.", "?", "??", "-", "--", "–", "—", "..."})
"""As they are written: Na is sodium."""


def audit_fields(dataset: Dataset) -> list[AuditFinding]:
    """Findings on the fields of questions; a dataset of labels or records names no documents and may decline."""
    findings = _unread(dataset)
    if dataset.card.task is Task.QUESTION_ANSWERING:
        findings += [*_declining(dataset), *_no_documents(dataset)]
    return findings


def _unread(dataset: Dataset) -> list[AuditFinding]:
    if not dataset.unread_fields:
        return []
    return [
        AuditFinding(
            Check.UNREAD_FIELDS,
            Severity.WARN,
            f"Fields of questions that are not read and look like others that are: {len(dataset.unread_fields)}.",
            "Rename them in questions.jsonl; answerable is true or false, and answers and document_ids are lists.",
            tuple(f"{f.name}, on {f.n_rows} rows, looks like {f.meant}" for f in dataset.unread_fields[:MAX_ITEMS]),
        )
    ]


def _declining(dataset: Dataset) -> list[AuditFinding]:
    n_naming = sum(bool(example.document_ids) for example in dataset.examples)
    unnamed = Counter(_key(e) for e in dataset.examples if e.answerable and not e.document_ids)
    # Where most questions name documents and some with one answer name none, it says that none answers them.
    repeated = {key for key, n in unnamed.items() if n >= REPEATED and 2 * n_naming > len(dataset.examples)}
    texts = [f" {normalise(document.text)} " for document in dataset.documents] if repeated else []
    repeated = {key for key in repeated if not any(f" {key} " in text for text in texts)}
    found = [
        example
        for example in dataset.examples
        if example.answerable
        and (all(map(_declines, example.answers)) or (not example.document_ids and _key(example) in repeated))
    ]
    if not found:
        return []
    return [
        AuditFinding(
            Check.DECLINING_REFERENCES,
            Severity.WARN,
            f"References that decline to answer: {len(found)}. An arm that declines in other words is scored as wrong.",
            'Write no in the column answerable, or "answerable": false, and no answer: then declining is right.',
            tuple(f"{example.id}: {example.answers[0]!r}" for example in found[:MAX_ITEMS]),
        )
    ]


def _key(example: Example) -> str:
    return normalise(example.answers[0]) if example.answers else ""


def _declines(reference: str) -> bool:
    return is_abstention(reference) or normalise(reference) in _NO_ANSWER or reference.strip().casefold() in _NO_WORDS


def _no_documents(dataset: Dataset) -> list[AuditFinding]:
    if any(example.document_ids for example in dataset.examples):
        return []
    return [
        AuditFinding(
            Check.NO_DOCUMENTS_NAMED,
            Severity.NOTE,
            "No question names the documents that answer it, so that recall and `oracle-context` are not measured.",
            "Name them in document_ids, or in the column document of the table.",
        )
    ]
