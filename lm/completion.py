"""What goes into a language model and what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lm.constraint import Constraint

DEFAULT_BATCH_SIZE = 64
"""Prompts a forward pass."""


class Role(StrEnum):
    """Who speaks in a chat message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


Messages = Sequence[Message]


class FinishReason(StrEnum):
    """Why generation ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    FAILED = "failed"
    """No answer came, however often it was asked for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What answering cost in tokens and seconds; adds up with `+`.

    `latency_s` is this completion's share of the wall time (batch seconds / batch size), so that sums are true. For a
    batch of one it is what a caller waits.

    Attributes:
        input_tokens: Of the whole prompt, whether or not a part of it was read before.
        cached_tokens: The part of `input_tokens` that was not read again, because an earlier prompt began alike.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    embedding_tokens: int = 0
    latency_s: float = 0.0
    cached_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.embedding_tokens + other.embedding_tokens,
            self.latency_s + other.latency_s,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Decoding settings, the same for every arm of a comparison.

    Attributes:
        max_output_tokens: Hard end of an answer.
        temperature: 0 is greedy and deterministic.
        seed: Used only when temperature > 0.
        stop: Texts that end an answer; they are cut off. The model's own end token always ends it.
        batch_size: Most prompts a forward pass. Batching changes greedy answers slightly, so it is part of the record.
        constraint: The form that answers are held to while they are decoded; None leaves them free.
    """

    max_output_tokens: int = 64
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = field(default=())
    batch_size: int = DEFAULT_BATCH_SIZE
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an endpoint says it answered from; what it does not say is "", or None.

    Attributes:
        id: Of its document.
        score: As the endpoint has it.
    """

    id: str = ""
    title: str = ""
    text: str = ""
    score: float | None = None


def chat_rows(messages: Messages) -> list[dict[str, str]]:
    """Messages as chat templates, OpenAI's API and files of training rows take them."""
    return [{"role": str(message.role), "content": message.content} for message in messages]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How probable a model holds a given answer: the sum over its tokens of ln p, in nats."""

    log_probability: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated text and what it cost.

    Attributes:
        sources: What it was made from, where the endpoint tells.
        tokens_known: Whether the usage's tokens are known; unknown ones stand there as 0.
        constraint_refused: Whether a constraint was asked for that the model's endpoint does not take.
    """

    text: str
    usage: Usage
    finish_reason: FinishReason
    constraint_refused: bool = False
    sources: tuple[Source, ...] = ()
    tokens_known: bool = True
