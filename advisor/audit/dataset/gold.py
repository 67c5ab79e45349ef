"""References that stand in another document (or another case) than the one they are said to come from."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Example, Task
from advisor.data.json_schema import parse_object
from advisor.data.normalisation import mostly_unspaced
from advisor.results.comparison import AuditFinding, Severity

DISTINCTIVE_SOURCES = 3
MIN_CLAIMS = 10
WARN_SHARE = 0.1
BLOCK_SHARE = 0.3


def audit_gold(dataset: Dataset) -> list[AuditFinding]:
    """Whether references are found where they should be.

    Looked at are references whose words stand in at most `DISTINCTIVE_SOURCES` sources: "yes" stands everywhere and
    tells nothing. Sources are the documents for questions, and the messages themselves for records.
    """
    if dataset.card.task is Task.QUESTION_ANSWERING:
        sources = {document.id: f"{document.title}\n{document.text}" for document in dataset.documents}
        claims = [_Claim(e.id, e.answers, e.document_ids) for e in dataset.examples if e.answers and e.document_ids]
    elif dataset.card.task is Task.EXTRACTION:
        sources = {example.id: example.asked for example in dataset.examples}
        claims = [_Claim(e.id, values, (e.id,)) for e in dataset.examples if (values := _record_texts(e))]
    else:
        return []
    texts = _Texts(sources)
    outcomes = {claim.example_id: texts.misplaced(claim) for claim in claims}
    told = {example_id: elsewhere for example_id, elsewhere in outcomes.items() if elsewhere is not None}
    swapped = {example_id: elsewhere for example_id, elsewhere in told.items() if elsewhere}
    if len(told) < MIN_CLAIMS or len(swapped) < WARN_SHARE * len(told):
        return []
    return [
        AuditFinding(
            Check.SWAPPED_GOLD,
            Severity.BLOCK if len(swapped) >= BLOCK_SHARE * len(told) else Severity.WARN,
            f"References that do not occur in their own document but do in another: {len(swapped)} of the {len(told)} "
            "that can be checked.",
            "Look whether rows were shifted when questions, answers and documents were joined; fix questions.jsonl.",
            tuple(f"{example_id}: found in {elsewhere}" for example_id, elsewhere in list(swapped.items())[:MAX_ITEMS]),
        )
    ]


@dataclass(frozen=True, slots=True)
class _Claim:
    example_id: str
    references: tuple[str, ...]
    own: tuple[str, ...]


class _Texts:
    """Sources as runs of words, found by the words they hold."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._texts = {source: f" {' '.join(_words(text))} " for source, text in sources.items()}
        self._holding: dict[str, set[str]] = defaultdict(set)
        for source, text in self._texts.items():
            for word in set(text.split()):
                self._holding[word].add(source)

    def misplaced(self, claim: _Claim) -> str | None:
        """Another source that holds a reference of the claim; "" where its own does; None where nothing can be told."""
        found = {ref: self._sources_of(ref) for ref in claim.references if not mostly_unspaced(ref)}
        if any(sources & set(claim.own) for sources in found.values()):
            distinctive = any(0 < len(sources) <= DISTINCTIVE_SOURCES for sources in found.values())
            return "" if distinctive else None
        elsewhere = [sources for sources in found.values() if 0 < len(sources) <= DISTINCTIVE_SOURCES]
        return min(min(sources) for sources in elsewhere) if elsewhere else None

    def _sources_of(self, reference: str) -> set[str]:
        words = _words(reference)
        if not words:
            return set()
        candidates = set.intersection(*(self._holding.get(word, set()) for word in words))
        phrase = f" {' '.join(words)} "
        return {source for source in candidates if phrase in self._texts[source]}


def _words(text: str) -> list[str]:
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFKC", text).casefold())
    return "".join(kept).split()


def _record_texts(example: Example) -> tuple[str, ...]:
    """The values of a reference record that could be read off the message: texts and numbers."""
    record = parse_object(example.answers[0]) if example.answers else None
    return tuple(_leaves([record])) if record is not None else ()


def _leaves(values: Sequence[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            yield from _leaves(list(value.values()))
        elif isinstance(value, list):
            yield from _leaves(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield str(value)
