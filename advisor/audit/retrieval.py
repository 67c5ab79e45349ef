"""Whether retrieval arms read what they were meant to read."""

from collections.abc import Mapping, Sequence

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Document, hash_documents
from advisor.data.document_text import find_tables
from advisor.data.wording import listed
from advisor.results.comparison import ArmSummary, AuditFinding, QuestionRecord, Severity

RETRIEVAL_FLOOR = 0.6
NO_PASSAGE_SHARE = 0.05


def audit_index(index_hashes: Mapping[str, str], documents: Sequence[Document]) -> list[AuditFinding]:
    """Whether each index was built from these documents, all of them and no others.

    Args:
        index_hashes: `hash_documents` of what each arm's index was built from, by arm.
    """
    wanted = hash_documents(documents)
    others = [arm for arm, built_from in index_hashes.items() if built_from != wanted]
    return (
        [_other_documents(f"The index of {listed(others)} was not built from these documents.", ())] if others else []
    )


def audit_passages(
    retrieving: Mapping[str, Sequence[QuestionRecord]], documents: Sequence[Document]
) -> list[AuditFinding]:
    """Whether the passages that were read stand in the documents, and whether there were any.

    Args:
        retrieving: Records of the candidates that read passages.
    """
    return [*_strange_passages(retrieving, documents), *_missing_passages(retrieving)]


def _strange_passages(
    retrieving: Mapping[str, Sequence[QuestionRecord]], documents: Sequence[Document]
) -> list[AuditFinding]:
    texts = {document.id: document.text for document in documents}
    passages = {
        (chunk.document_id, chunk.text): chunk.chunk_id
        for records in retrieving.values()
        for record in records
        for chunk in record.answer.retrieved
    }
    strange = [chunk for (document, text), chunk in passages.items() if not _stands_in(text, texts.get(document, ""))]
    if not strange:
        return []
    return [_other_documents(f"Passages were read that occur in none of the documents: {len(strange)}.", strange)]


def _stands_in(passage: str, text: str) -> bool:
    """Whether a passage is of a text; one that continues a table begins with the names of its columns."""
    return passage in text or any(passage.removeprefix(f"{table.header}\n") in text for table in find_tables(text))


def _other_documents(message: str, chunk_ids: Sequence[str]) -> AuditFinding:
    return AuditFinding(
        Check.OTHER_DOCUMENTS,
        Severity.BLOCK,
        message,
        "Delete `stages/indexes` in the data directory and compare again; the index is then built from the documents.",
        tuple(chunk_ids[:MAX_ITEMS]),
    )


def _missing_passages(retrieving: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    without = {
        arm: sum(not any(chunk.used for chunk in record.answer.retrieved) for record in records)
        for arm, records in retrieving.items()
    }
    found = {arm: n for arm, n in without.items() if n > NO_PASSAGE_SHARE * len(retrieving[arm])}
    if not found:
        return []
    whole = any(n == len(retrieving[arm]) for arm, n in found.items())
    return [
        AuditFinding(
            Check.NO_PASSAGES,
            Severity.BLOCK if whole else Severity.WARN,
            "A retrieval arm read no passage at all, so it is not what it is called."
            if whole
            else "Retrieval arms read no passage for some questions, since none fitted into the context.",
            "Set top_k to 1 or more; use shorter chunks, fewer output tokens or a model with a longer context.",
            tuple(f"{arm}: no passage for {n} of {len(retrieving[arm])} questions" for arm, n in found.items()),
        )
    ]


def audit_recall(arms: Sequence[ArmSummary], metric: str) -> list[AuditFinding]:
    """Whether retrieval finds the right document often enough to judge RAG by it, and what it would gain."""
    # All arms that search do so in one index, and the ceiling is of the first model.
    by_kind = {arm.kind: arm for arm in reversed(arms)}
    rag = by_kind.get("rag")
    recalls = [m for m in rag.metrics if m.metric.startswith("recall@") and m.slice is None] if rag else []
    recall = max(recalls, key=lambda m: int(m.metric.removeprefix("recall@")), default=None)
    if rag is None or recall is None or recall.interval is None or recall.interval.estimate >= RETRIEVAL_FLOOR:
        return []
    ceiling = ""
    oracle = by_kind.get("oracle-context")
    best, own = oracle.metric(metric) if oracle else None, rag.metric(metric)
    if best and own and best.interval and own.interval:
        gap = 100 * (best.interval.estimate - own.interval.estimate)
        if gap > 0:
            ceiling = f" With the right documents in the prompt it would score {gap:.1f} points more."
    return [
        AuditFinding(
            Check.RETRIEVAL_FLOOR,
            Severity.WARN,
            f"Fix retrieval first: it finds the right document for only {recall.interval.estimate:.0%} of questions "
            f"({recall.metric}).{ceiling}",
            "Try another chunk size, a larger top_k or another embedder before judging RAG.",
        )
    ]
