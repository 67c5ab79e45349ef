"""Where the answers of existing questions stand: the document of each, with how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.data.dataset import Document, Example
from advisor.metrics.containment import contains_any
from advisor.metrics.grounding import share_found
from lm.embedding import Embedder
from rag.chunk import Chunk, Chunking, chunk_document
from rag.lexical import LexicalRanking, best_positions

_CANDIDATES = 10
_ANSWER, _DENSE, _LEXICAL = 0.5, 0.3, 0.2
_CLEAR_LEAD = 0.15
"""A document that leads the next by so much is taken for sure as its score says; by less, for less."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The passage that answers a question best.

    Attributes:
        start: Of the passage in the document's text, to `end`.
        confidence: From 0 to 1: how much of answer, words and meaning agree, and how clearly it leads other documents.
    """

    example_id: str
    document_id: str
    start: int
    end: int
    confidence: float


def anchor_questions(
    examples: Sequence[Example], documents: Sequence[Document], embedder: Embedder, *, chunking: Chunking | None = None
) -> list[Anchor]:
    """The best passage of each answerable question, in order.

    Scored are the passages nearest by meaning and those that share most terms with the question or its answers: whether
    they hold the answer, the share of the question's words in them, and the cosine.
    """
    chunks = [
        chunk
        for document in documents
        for chunk in chunk_document(document, chunking=chunking or Chunking(), count_tokens=embedder.count_tokens)
    ]
    asked = [example for example in examples if example.answerable]
    if not chunks or not asked:
        return []
    vectors = embedder.embed([chunk.embedded_text for chunk in chunks])
    cosines = embedder.embed([example.asked for example in asked]) @ vectors.T  # (n_examples, n_chunks)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :_CANDIDATES]
    lexical = LexicalRanking([chunk.embedded_text for chunk in chunks])
    anchors = []
    for example, row, nearest in zip(asked, cosines, near, strict=True):
        sharing = [
            best_positions(lexical.scores(text), _CANDIDATES) for text in (example.asked, " ".join(example.answers))
        ]
        candidates = dict.fromkeys(map(int, np.concatenate([nearest, *sharing])))
        anchors.append(_best(example, [(chunks[i], float(row[i])) for i in candidates]))
    return anchors


def _best(example: Example, candidates: Sequence[tuple[Chunk, float]]) -> Anchor:
    scored = sorted(
        ((_score(example, chunk, cosine), -i) for i, (chunk, cosine) in enumerate(candidates)), reverse=True
    )
    score, place = scored[0]
    chunk = candidates[-place][0]
    rival = next((s for s, i in scored if candidates[-i][0].document_id != chunk.document_id), 0.0)
    confidence = score * min(1.0, 0.5 + (score - rival) / (2 * _CLEAR_LEAD))
    return Anchor(example.id, chunk.document_id, chunk.start, chunk.end, round(confidence, 3))


def _score(example: Example, chunk: Chunk, cosine: float) -> float:
    holds = contains_any(chunk.text, example.answers)
    return _ANSWER * holds + _DENSE * max(0.0, cosine) + _LEXICAL * share_found(example.asked, chunk.embedded_text)
