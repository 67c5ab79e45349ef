"""The retrieved prompt: the nearest chunks of the documents before the question."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.data.prompt import Prompt, RetrievedChunk, fit_passages, passage_text, question_turn
from lm.embedding import Embedder
from lm.files import sha256
from lm.language_model import LanguageModel
from rag.index import Index


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one question, best first, and what finding it took."""

    chunks: Sequence[RetrievedChunk]
    embedding_tokens: int
    latency_s: float


@dataclass(frozen=True)
class RetrievedPrompt:
    """The `top_k` nearest chunks as numbered passages, best first; the last are cut where the context is too short."""

    index: Index
    embedder: Embedder
    instruction: str
    top_k: int = 3

    @property
    def fingerprint(self) -> str:
        """Hash of instruction, top_k, the index's content and the embedder."""
        parts = ["retrieved", self.instruction, self.top_k, self.index.record.content_key, self.embedder.fingerprint]
        return sha256(json.dumps(parts, ensure_ascii=False))

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """A prompt a question."""
        return [
            replace(
                self.prompt_of(question, found.chunks, model, max_output_tokens),
                embedding_tokens=found.embedding_tokens,
                latency_s=found.latency_s,
            )
            for question, found in zip(questions, self.find(questions), strict=True)
        ]

    def find(self, questions: Sequence[str]) -> list[Found]:
        """The nearest chunks. Questions are embedded as one batch; each is charged its share of the seconds."""
        if not questions:
            return []
        started = time.perf_counter()
        n_tokens = self.embedder.count_tokens(questions)
        nearest = self.index.query(self.embedder.embed(questions), self.top_k)
        latency_s = (time.perf_counter() - started) / len(questions)
        return [Found(chunks, n, latency_s) for chunks, n in zip(nearest, n_tokens, strict=True)]

    def prompt_of(
        self, question: str, chunks: Sequence[RetrievedChunk], model: LanguageModel, max_output_tokens: int
    ) -> Prompt:
        """The prompt with these chunks for passages, as many of the first as fit."""
        passages = [passage_text(chunk.title, chunk.text) for chunk in chunks]
        n_used = fit_passages(self.instruction, question, passages, model, max_output_tokens)
        retrieved = tuple(replace(chunk, used=i < n_used) for i, chunk in enumerate(chunks))
        turn = question_turn(self.instruction, question, passages[:n_used])
        return Prompt((turn,), retrieved)
