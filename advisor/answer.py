"""What a pipeline is and what it answers."""

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Usage
from lm.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class RetrievedChunk:
    """A passage put before the model.

    Attributes:
        score: Similarity to the question, cosine in [-1, 1]; higher is nearer.
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
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


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


@dataclass(frozen=True, slots=True)
class BuildUsage:
    """What building an arm cost, before the first question."""

    wall_s: float = 0.0
    device_s: float = 0.0
    input_tokens: int = 0
    embedding_tokens: int = 0
    device: str = "cpu"

    def __add__(self, other: "BuildUsage") -> "BuildUsage":
        return BuildUsage(
            self.wall_s + other.wall_s,
            self.device_s + other.device_s,
            self.input_tokens + other.input_tokens,
            self.embedding_tokens + other.embedding_tokens,
            self.device if self.device == other.device else f"{self.device}+{other.device}",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A pipeline's reply to one question.

    Attributes:
        constraint_refused: Whether it was given without the constraint that was asked for, as the endpoint takes none.
    """

    text: str
    usage: Usage
    finish_reason: FinishReason
    retrieved: tuple[RetrievedChunk, ...]
    prompt_hash: str
    constraint_refused: bool = False


@dataclass(frozen=True)
class Pipeline:
    """A language model times a prompt builder. Every arm is one of these; none has a class of its own."""

    kind: str
    model: LanguageModel
    prompt_builder: PromptBuilder
    generation: GenerationConfig
    build_usage: BuildUsage = BuildUsage()

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the answers: equal fingerprints, equal answers."""
        parts = [self.model.fingerprint, self.prompt_builder.fingerprint, repr(self.generation)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """One answer a question, in order."""
        prompts = self.prompt_builder.build(questions, self.model, self.generation.max_output_tokens)
        completions = self.model.generate([prompt.messages for prompt in prompts], self.generation)
        return [_answer(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]

    def stream(self, question: str) -> Generator[str, None, Answer]:
        """Pieces of the answer to one question as they are generated; the generator returns the whole answer."""
        prompt = self.prompt_builder.build([question], self.model, self.generation.max_output_tokens)[0]
        completion = yield from self.model.stream(prompt.messages, self.generation)
        return _answer(prompt, completion)


def _answer(prompt: Prompt, completion: Completion) -> Answer:
    return Answer(
        text=completion.text,
        usage=completion.usage + Usage(embedding_tokens=prompt.embedding_tokens, latency_s=prompt.latency_s),
        finish_reason=completion.finish_reason,
        retrieved=prompt.retrieved,
        prompt_hash=prompt.hash,
        constraint_refused=completion.constraint_refused,
    )
