"""A team's own prompt, filled with the question and what was retrieved for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.data.prompt import Prompt, RetrievedChunk, passage_text
from advisor.data.prompt_template import PromptTemplate
from lm.files import sha256
from lm.language_model import LanguageModel
from rag.prompts.retrieved import RetrievedPrompt


@dataclass(frozen=True)
class TeamPrompt:
    """A template as the team would ship it; the last passages are left out where the context is too short.

    Attributes:
        examples: Worked examples, as text; "" where the template shows none.
        search: What finds passages; None where the template shows none.
    """

    template: PromptTemplate
    examples: str = ""
    search: RetrievedPrompt | None = None

    @property
    def instruction(self) -> str:
        """The whole wording."""
        return "\n\n".join(filter(None, (self.template.system, self.template.user)))

    @property
    def fingerprint(self) -> str:
        """Hash of wording, examples and what passages come from."""
        found = self.search.fingerprint if self.search is not None else ""
        return sha256(json.dumps(["team prompt", self.template.fingerprint, self.examples, found]))

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """A prompt a question."""
        if self.search is None:
            return [self._prompt(question, (), model, max_output_tokens) for question in questions]
        return [
            replace(
                self._prompt(question, found.chunks, model, max_output_tokens),
                embedding_tokens=found.embedding_tokens,
                latency_s=found.latency_s,
            )
            for question, found in zip(questions, self.search.find(questions), strict=True)
        ]

    def _prompt(
        self, question: str, chunks: Sequence[RetrievedChunk], model: LanguageModel, max_output_tokens: int
    ) -> Prompt:
        passages = [passage_text(chunk.title, chunk.text) for chunk in chunks]
        room = model.context_tokens - max_output_tokens
        n_used = len(passages)
        while n_used and model.count_tokens(self.template.messages(question, passages[:n_used], self.examples)) > room:
            n_used -= 1
        retrieved = tuple(replace(chunk, used=i < n_used) for i, chunk in enumerate(chunks))
        return Prompt(self.template.messages(question, passages[:n_used], self.examples), retrieved)
