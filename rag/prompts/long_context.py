"""All documents before the question, or as many passages as the context holds: what long contexts make possible."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.data.dataset import Document
from advisor.data.prompt import Prompt, PromptBuilder, RetrievedChunk, passage_text, question_turn
from advisor.errors import EvaluationError
from lm.files import sha256
from lm.language_model import LanguageModel
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever


@dataclass(frozen=True)
class WholeDocuments:
    """Every document, in the order of the file and the same for each question, so that providers can cache them."""

    instruction: str
    documents: tuple[Document, ...]

    @property
    def fingerprint(self) -> str:
        """Hash of instruction and documents."""
        rows = [(document.id, document.title, document.text) for document in self.documents]
        return sha256(json.dumps(["whole documents", self.instruction, rows], ensure_ascii=False))

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """A prompt a question."""
        passages = [passage_text(document.title, document.text) for document in self.documents]
        shown = tuple(RetrievedChunk(one.id, one.id, one.title, one.text, 1.0) for one in self.documents)
        return [Prompt((question_turn(self.instruction, question, passages),), shown) for question in questions]

    def fits(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> bool:
        """Whether the model reads them all beside the longest question and an answer."""
        (prompt,) = self.build([max(questions, key=len)], model, max_output_tokens)
        return model.count_tokens(prompt.messages) + max_output_tokens <= model.context_tokens


def filled_context(
    retriever: Retriever,
    instruction: str,
    questions: Sequence[str],
    model: LanguageModel,
    max_output_tokens: int,
    *,
    top_k: int,
) -> PromptBuilder:
    """As many passages as fit, in the order of retrieval.

    Args:
        top_k: Passages that retrieval-augmented generation would read; no more would be the same arm by another name.
    Raises:
        EvaluationError: the context has no room for more.
    """
    builder = RetrievedPrompt(retriever, instruction, len(retriever.index.chunks))
    (prompt,) = builder.build([max(questions, key=len)], model, max_output_tokens)
    n_used = sum(chunk.used for chunk in prompt.retrieved)
    if n_used <= top_k:
        raise EvaluationError(
            f"long-context cannot run: the context of {model.name} ({model.context_tokens} tokens) holds {n_used} "
            f"passages beside the longest question, and rag reads {top_k}; choose a model with a longer context, or "
            "leave long-context out"
        )
    # What never fits need not be found; shorter questions leave room for a few passages more.
    return replace(builder, top_k=min(2 * n_used, len(retriever.index.chunks)))
