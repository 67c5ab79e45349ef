"""What a prompt is, and builders that need no retrieval: question only, few-shot, and gold documents."""

import json
import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from advisor.data.dataset import Document, Example, TrainingView
from advisor.errors import EvaluationError
from lm.completion import Message, Messages, Role
from lm.files import sha256
from lm.language_model import LanguageModel

ABSTENTION = "I don't know."
"""What an arm is asked to say when it has no answer, and what unanswerable training questions teach."""


@dataclass(frozen=True, slots=True)
class RetrievedChunk:
    """A passage put before the model.

    Attributes:
        score: By which it was ranked, higher is better: a cosine, a BM25 score, a sum of reciprocal ranks, or what a
            reranker gave.
        used: Whether it went into the prompt (False: the context budget cut it).
    """

    chunk_id: str
    document_id: str
    title: str
    text: str
    score: float
    used: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question made ready for the model, with what it was made from."""

    messages: Messages
    retrieved: tuple[RetrievedChunk, ...] = ()
    embedding_tokens: int = 0
    latency_s: float = 0.0

    @property
    def hash(self) -> str:
        """SHA-256 of the messages."""
        rows = [[m.role, m.content] for m in self.messages]
        return sha256(json.dumps(rows, ensure_ascii=False))


class PromptBuilder(Protocol):
    """The second axis: how a question becomes a prompt."""

    @property
    def instruction(self) -> str:
        """The answer instruction in every prompt."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the prompts: instruction, examples, index, top_k, context budget."""
        ...

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """A prompt for each question that leaves room for an answer of `max_output_tokens` in the model's context."""
        ...


def reference_text(example: Example) -> str:
    """The text a worked example or a training row gives as the answer: the canonical reference, or the abstention."""
    return example.answers[0] if example.answerable else ABSTENTION


def question_turn(instruction: str, question: str, passages: Sequence[str] = ()) -> Message:
    """The user turn of every arm: instruction, numbered passages if any, question.

    One function for all arms, so that no arm can be worded better than another.
    """
    parts = [instruction] if instruction else []
    if passages:
        parts.append("\n\n".join(f"[{i}] {passage}" for i, passage in enumerate(passages, 1)))
    parts.append(f"Question: {question}")
    return Message(Role.USER, "\n\n".join(parts))


def fit_passages(
    instruction: str, question: str, passages: Sequence[str], model: LanguageModel, max_output_tokens: int
) -> int:
    """How many of the first passages fit into the model's context beside the question and an answer."""
    budget = model.context_tokens - max_output_tokens

    def is_too_long(n_passages: int) -> bool:
        return model.count_tokens([question_turn(instruction, question, passages[:n_passages])]) > budget

    if not is_too_long(len(passages)):
        return len(passages)
    return max(0, bisect_left(range(len(passages)), True, key=is_too_long) - 1)


def _fingerprint(*parts: object) -> str:
    return sha256(json.dumps(parts, ensure_ascii=False, default=str))


@dataclass(frozen=True)
class QuestionOnly:
    """The instruction and the question, nothing else."""

    instruction: str

    @property
    def fingerprint(self) -> str:
        """Hash of the instruction."""
        return _fingerprint("question-only", self.instruction)

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """One user turn a question."""
        return [Prompt((question_turn(self.instruction, question),)) for question in questions]


@dataclass(frozen=True)
class FewShot:
    """Worked examples from the training split as earlier turns of the chat, the same ones for every question."""

    instruction: str
    shots: tuple[tuple[str, str], ...]

    @classmethod
    def from_training(cls, view: TrainingView, *, n_shots: int = 6, seed: int = 0) -> "FewShot":
        """Draw worked examples: spread over the answers when they repeat (labels), at random otherwise; one a group."""
        if not view.train:
            raise EvaluationError(
                "few-shot needs training questions and the train split is empty; add some, or leave the arm out"
            )
        pool = list({example.group: example for example in view.train}.values())
        random.Random(seed).shuffle(pool)
        by_answer: dict[str, list[Example]] = {}
        for example in pool:
            by_answer.setdefault(reference_text(example), []).append(example)
        chosen: list[Example] = []
        while len(chosen) < min(n_shots, len(pool)):
            chosen += [rest.pop() for rest in by_answer.values() if rest][: n_shots - len(chosen)]
        return cls(view.card.instruction, tuple((example.asked, reference_text(example)) for example in chosen))

    @property
    def fingerprint(self) -> str:
        """Hash of instruction and worked examples."""
        return _fingerprint("few-shot", self.instruction, self.shots)

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """Worked examples, then the question; the earliest examples go first when the context is too short."""
        return [Prompt(self._messages(question, model, max_output_tokens)) for question in questions]

    def _messages(self, question: str, model: LanguageModel, max_output_tokens: int) -> Messages:
        for first in range(len(self.shots) + 1):
            turns: list[Message] = []
            for shot_question, shot_answer in self.shots[first:]:
                instruction = self.instruction if not turns else ""
                turns += [question_turn(instruction, shot_question), Message(Role.ASSISTANT, shot_answer)]
            turns.append(question_turn(self.instruction if not turns else "", question))
            if model.count_tokens(turns) + max_output_tokens <= model.context_tokens:
                break
        return tuple(turns)


@dataclass(frozen=True)
class OracleContext:
    """The gold documents in the prompt: the ceiling of retrieval. A reference, never a candidate."""

    instruction: str
    gold: Mapping[str, tuple[Document, ...]]

    @classmethod
    def from_examples(
        cls, instruction: str, examples: Sequence[Example], documents: Sequence[Document]
    ) -> "OracleContext":
        """Gold documents of each question, looked up by the question's text; two facts asked alike give theirs both."""
        by_id = {document.id: document for document in documents}
        gold: dict[str, dict[str, Document]] = {}
        for example in examples:
            gold.setdefault(example.asked, {}).update({i: by_id[i] for i in example.document_ids})
        return cls(instruction, {question: tuple(found.values()) for question, found in gold.items()})

    @property
    def fingerprint(self) -> str:
        """Hash of instruction and gold documents."""
        rows = {question: [(d.id, d.title, d.text) for d in documents] for question, documents in self.gold.items()}
        return _fingerprint("oracle-context", self.instruction, rows)

    def build(self, questions: Sequence[str], model: LanguageModel, max_output_tokens: int) -> list[Prompt]:
        """As the retrieved prompt, with the gold documents for passages."""
        return [self._prompt(question, model, max_output_tokens) for question in questions]

    def _prompt(self, question: str, model: LanguageModel, max_output_tokens: int) -> Prompt:
        documents = self.gold[question]
        passages = [passage_text(document.title, document.text) for document in documents]
        n_used = fit_passages(self.instruction, question, passages, model, max_output_tokens)
        retrieved = tuple(
            RetrievedChunk(document.id, document.id, document.title, document.text, 1.0, used=i < n_used)
            for i, document in enumerate(documents)
        )
        return Prompt((question_turn(self.instruction, question, passages[:n_used]),), retrieved)


def passage_text(title: str, text: str) -> str:
    """A passage as the model reads it: its title, then its text."""
    return f"{title}: {text}" if title else text
