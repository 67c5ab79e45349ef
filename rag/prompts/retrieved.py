"""The retrieved prompt: passages of the documents before the question."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.data.prompt import Prompt, RetrievedChunk, fit_passages, passage_text, question_turn
from lm.files import sha256
from lm.language_model import LanguageModel
from rag.retrieval_options import PassageOrder, RetrieverKind
from rag.retriever import Retrieval, Retriever


@dataclass(frozen=True)
class RetrievedPrompt:
    """The `top_k` best chunks as numbered passages; the worst are left out where the context is too short."""

    retriever: Retriever
    instruction: str
    top_k: int = 3
    order: PassageOrder = PassageOrder.BEST_FIRST

    @property
    def fingerprint(self) -> str:
        """Hash of instruction, top_k, order and what decides which passages are found."""
        parts = ["retrieved", self.instruction, self.top_k, *self.retriever.identity]
        parts += [self.order] if self.order is not PassageOrder.BEST_FIRST else []
        return sha256(json.dumps(parts, ensure_ascii=False))

    @property
    def is_plain(self) -> bool:
        """Whether passages are ranked by vectors alone and stand best first."""
        retriever = self.retriever
        is_dense = retriever.kind is RetrieverKind.DENSE and retriever.reranker is None
        return is_dense and self.order is PassageOrder.BEST_FIRST

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

    def find(self, questions: Sequence[str]) -> list[Retrieval]:
        """The passages of each question."""
        return self.retriever.retrieve(questions, self.top_k)

    def prompt_of(
        self, question: str, chunks: Sequence[RetrievedChunk], model: LanguageModel, max_output_tokens: int
    ) -> Prompt:
        """The prompt with these chunks, best first, for passages: as many of the first as fit."""
        passages = [passage_text(chunk.title, chunk.text) for chunk in chunks]
        n_used = fit_passages(self.instruction, question, passages, model, max_output_tokens)
        retrieved = tuple(replace(chunk, used=i < n_used) for i, chunk in enumerate(chunks))
        shown = passages[:n_used] if self.order is PassageOrder.BEST_FIRST else passages[:n_used][::-1]
        return Prompt((question_turn(self.instruction, question, shown),), retrieved)
