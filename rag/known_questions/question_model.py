"""A model that answers from the vector of a question alone: no language model, no tokens but the embedder's."""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.data.prompt import Prompt
from lm.answer_text import cut_at_stop
from lm.completion import Completion, FinishReason, GenerationConfig, Message, Messages, Role, Usage
from lm.embedding import Embedder
from lm.files import sha256
from lm.language_model import LanguageModel

Decide = Callable[[NDArray[np.float32]], list[str]]
"""Answers by question vectors, shape (n_questions, n_dimensions)."""


@dataclass(frozen=True)
class BareQuestion:
    """The question and nothing else: what is decided from its vector needs no instruction, which would blur it."""

    instruction: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for all, as there is nothing to set."""
        return sha256("bare question")

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """One user turn a question, the question word for word."""
        return [Prompt((Message(Role.USER, question),)) for question in questions]


@dataclass(frozen=True)
class QuestionModel:
    """Answers the last message of a prompt by its vector.

    Answers are whole: nothing is generated that an output limit would cut or a constraint would hold to a form.

    Attributes:
        fingerprint: Hash of all that `decide` depends on, the embedder among it.
    """

    name: str
    fingerprint: str
    decide: Decide
    embedder: Embedder
    context_tokens: int = 1_000_000_000

    def count_tokens(self, prompt: Messages) -> int:
        """None: it reads no tokens but the embedder's, which are counted apart."""
        return 0

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """An answer a prompt. All questions are embedded as one batch; each is charged its share of the seconds."""
        if not prompts:
            return []
        questions = [prompt[-1].content for prompt in prompts]
        started = time.perf_counter()
        answers = self.decide(self.embedder.embed(questions))
        latency_s = (time.perf_counter() - started) / len(questions)
        return [
            Completion(
                cut_at_stop(answer, config.stop)[0],
                Usage(embedding_tokens=n_tokens, latency_s=latency_s),
                FinishReason.STOP,
            )
            for answer, n_tokens in zip(answers, self.embedder.count_tokens(questions), strict=True)
        ]

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The answer in one piece."""
        (completion,) = self.generate([prompt], config)
        yield completion.text
        return completion
