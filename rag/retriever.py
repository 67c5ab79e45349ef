"""From questions to ranked passages: by vectors, by shared terms, or both; then by a reranker, where there is one."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from advisor.data.prompt import RetrievedChunk
from lm.embedding import Embedder
from lm.errors import ConfigError
from lm.files import sha256
from rag.index import Index
from rag.lexical import LexicalRanking, best_positions
from rag.retrieval_options import RetrieverKind

FUSED_CANDIDATES = 50
"""Passages that each of the two rankings of a hybrid brings, at least."""
RERANKED_CANDIDATES = 20
"""Passages that a reranker reads for a question, at least."""
DENSE_WEIGHT = 0.5
"""Of a hybrid's score, the share of the vectors; the rest is of shared terms."""


class Reranker(Protocol):
    """Scores pairs of question and passage."""

    @property
    def name(self) -> str:
        """The name shown in reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of what decides its scores."""
        ...

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """A score for each passage; higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What was found for a question, best first, and what finding it took.

    Attributes:
        embedding_tokens: That the embedder read of the question; 0 where ranking needs no vectors.
    """

    chunks: list[RetrievedChunk]
    embedding_tokens: int
    latency_s: float


@dataclass(frozen=True)
class Retriever:
    """Finds passages of an index."""

    index: Index
    embedder: Embedder
    kind: RetrieverKind = RetrieverKind.DENSE
    reranker: Reranker | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the index's content, the embedder, the ranking and the reranker."""
        return sha256(json.dumps(self.identity))

    @property
    def identity(self) -> list[object]:
        """What decides which passages are found."""
        parts: list[object] = [self.index.record.content_key, self.embedder.fingerprint]
        if self.kind is not RetrieverKind.DENSE:
            parts += [self.kind, DENSE_WEIGHT, FUSED_CANDIDATES]
        return parts + ([self.reranker.fingerprint, RERANKED_CANDIDATES] if self.reranker is not None else [])

    def retrieve(self, questions: Sequence[str], top_k: int) -> list[Retrieval]:
        """The `top_k` best passages of each question, or fewer where fewer match.

        All questions are embedded as one batch; each is charged its share of the seconds.

        Raises:
            ConfigError: `top_k` is below 1.
            IndexingError: embedder or index failed.
        """
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}; give 1 or more")
        if not questions:
            return []
        started = time.perf_counter()
        n_candidates = max(top_k, RERANKED_CANDIDATES) if self.reranker is not None else top_k
        n_tokens = [0] * len(questions)
        if self.kind is RetrieverKind.LEXICAL:
            ranked = [self._by_terms(question, n_candidates) for question in questions]
        else:
            n_tokens = self.embedder.count_tokens(questions)
            vectors = self.embedder.embed(questions)
            if self.kind is RetrieverKind.DENSE:
                ranked = self.index.query(vectors, n_candidates)
            else:
                depth = max(n_candidates, FUSED_CANDIDATES)
                nearest = self.index.query(vectors, depth)
                ranked = [
                    self._fused(question, vector, near)[:n_candidates]
                    for question, vector, near in zip(questions, vectors, nearest, strict=True)
                ]
        if self.reranker is not None:
            ranked = [self._reranked(question, chunks) for question, chunks in zip(questions, ranked, strict=True)]
        latency_s = (time.perf_counter() - started) / len(questions)
        return [Retrieval(chunks[:top_k], n, latency_s) for chunks, n in zip(ranked, n_tokens, strict=True)]

    @cached_property
    def _lexical(self) -> LexicalRanking:
        return LexicalRanking([chunk.embedded_text for chunk in self.index.chunks])

    def _by_terms(self, question: str, n: int) -> list[RetrievedChunk]:
        scores = self._lexical.scores(question)
        return [self.index.retrieved(int(i), round(float(scores[i]), 6)) for i in best_positions(scores, n)]

    def _fused(
        self, question: str, vector: NDArray[np.float32], nearest: Sequence[RetrievedChunk]
    ) -> list[RetrievedChunk]:
        """The nearest passages and those that share terms, by a weighted sum of what both say of each.

        Of the cosine counts what exceeds that of any two passages, as a share of the most that could; of BM25 its share
        of the question's best. A convex combination of scores, since ranks alone lost to lexical search where the
        embedder is weak (docs/retrieval.md); Bruch, Gai & Ingber 2023, "An Analysis of Fusion Functions for Hybrid
        Retrieval", arXiv:2210.11934.
        """
        matching = self._lexical.scores(question)  # (n_chunks,)
        shared = best_positions(matching, max(len(nearest), FUSED_CANDIDATES))
        near = [self.index.position(chunk.chunk_id) for chunk in nearest]
        candidates = np.array(sorted({*near, *shared.tolist()}))
        background = self.index.background_cosine
        cosines = np.maximum(0, self.index.cosines(vector, candidates) - background) / max(1 - background, 1e-6)
        terms = matching[candidates] / max(float(matching.max()), 1e-9)
        scores = np.round(DENSE_WEIGHT * cosines + (1 - DENSE_WEIGHT) * terms, 6)
        order = np.lexsort((candidates, -scores))
        return [self.index.retrieved(int(candidates[i]), float(scores[i])) for i in order]

    def _reranked(self, question: str, chunks: Sequence[RetrievedChunk]) -> list[RetrievedChunk]:
        assert self.reranker is not None
        scores = self.reranker.score(question, [self.index.embedded_text(chunk.chunk_id) for chunk in chunks])
        rescored = [replace(chunk, score=score) for chunk, score in zip(chunks, scores, strict=True)]
        return sorted(rescored, key=lambda chunk: (-chunk.score, chunk.chunk_id))
