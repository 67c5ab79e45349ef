"""Worked examples chosen for each question: the training questions nearest to it."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.data.prompt import FewShot, Prompt
from lm.files import sha256
from lm.language_model import LanguageModel
from rag.known_questions.training_questions import TrainingQuestions


@dataclass(frozen=True)
class NearestFewShot:
    """The `n_shots` nearest training questions with their answers as earlier turns of the chat, the nearest last.

    Where the context is too short the farthest go first.

    Source:
        Liu et al. 2022, "What Makes Good In-Context Examples for GPT-3?", arXiv:2101.06804.
    """

    instruction: str
    known: TrainingQuestions
    n_shots: int = 6

    @property
    def fingerprint(self) -> str:
        """Hash of instruction, training questions, embedder and how many are shown."""
        parts = ["nearest few-shot", self.instruction, self.known.fingerprint, self.n_shots]
        return sha256(json.dumps(parts, ensure_ascii=False))

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """A prompt a question. All questions are embedded as one batch; each is charged its share of the seconds."""
        if not questions:
            return []
        started = time.perf_counter()
        n_tokens = self.known.embedder.count_tokens(questions)
        order, _ = self.known.nearest(self.known.embedder.embed(questions), self.n_shots)
        latency_s = (time.perf_counter() - started) / len(questions)
        return [
            replace(
                FewShot(self.instruction, tuple(self.known.rows[row] for row in reversed(nearest))).build(
                    [question], model, max_output_tokens
                )[0],
                embedding_tokens=n,
                latency_s=latency_s,
            )
            for question, nearest, n in zip(questions, order.tolist(), n_tokens, strict=True)
        ]
