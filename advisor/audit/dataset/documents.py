"""Documents that say the same: copies, and lines that many of them repeat."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Document
from advisor.results.comparison import AuditFinding, Severity

_COPY_SHARE = 0.8
_BOILERPLATE_SHARE = 0.3
_MIN_BOILERPLATE_DOCUMENTS = 5
_MIN_BOILERPLATE_CHARACTERS = 20
_COMMON = 50
"""A sentence in more documents tells little of which are copies of each other, and much would be compared."""

_SENTENCE_END = re.compile(r"[.!?…](?:\s|$)|[。！？။।؟\n]")


def audit_documents(dataset: Dataset) -> list[AuditFinding]:
    """Copies among the documents, and repeated headers, footers and navigation."""
    sentences = {document.id: _sentences(document) for document in dataset.documents}
    n_documents = Counter(sentence for of_one in sentences.values() for sentence in of_one)
    return [*_copies(sentences, n_documents), *_boilerplate(len(sentences), n_documents)]


def _sentences(document: Document) -> frozenset[str]:
    parts = (" ".join(part.split()).casefold() for part in _SENTENCE_END.split(document.text))
    return frozenset(part for part in parts if part)


def _copies(sentences: dict[str, frozenset[str]], n_documents: Counter[str]) -> Iterator[AuditFinding]:
    """Pairs of which each says most of what the other says, counted in characters."""
    sizes = {name: sum(map(len, of_one)) for name, of_one in sentences.items()}
    shared: Counter[tuple[str, str]] = Counter()
    having: dict[str, list[str]] = defaultdict(list)
    for name, of_one in sentences.items():
        for sentence in of_one:
            if 1 < n_documents[sentence] <= _COMMON:
                shared.update({(other, name): len(sentence) for other in having[sentence]})
                having[sentence].append(name)
    pairs = [pair for pair, n in shared.items() if n >= _COPY_SHARE * max(sizes[pair[0]], sizes[pair[1]], 1)]
    if pairs:
        yield AuditFinding(
            Check.DUPLICATE_DOCUMENTS,
            Severity.WARN,
            f"Pairs of documents that say the same: {len(pairs)}. Where one is found instead of the other that a "
            "question names, retrieval counts as failed.",
            "Remove one of each pair, or name both in the questions' document_ids.",
            tuple(" and ".join(pair) for pair in pairs[:MAX_ITEMS]),
        )


def _boilerplate(n_all: int, n_documents: Counter[str]) -> Iterator[AuditFinding]:
    least = max(_MIN_BOILERPLATE_DOCUMENTS, _BOILERPLATE_SHARE * n_all)
    repeated = [
        (n, sentence)
        for sentence, n in n_documents.items()
        if n >= least and len(sentence) >= _MIN_BOILERPLATE_CHARACTERS and not re.fullmatch(r"[\W_]+", sentence)
    ]
    if repeated:
        repeated.sort(key=lambda one: (-one[0], one[1]))
        yield AuditFinding(
            Check.BOILERPLATE,
            Severity.NOTE,
            f"Lines that {min(n for n, _ in repeated)} or more of {n_all} documents repeat: {len(repeated)}. They fill "
            "passages and make documents look alike.",
            "Take headers, footers and navigation out of the documents, unless they are what questions ask about.",
            tuple(f"{n} times: {sentence[:120]}" for n, sentence in repeated[:MAX_ITEMS]),
        )
