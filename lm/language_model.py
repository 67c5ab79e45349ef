"""The one protocol every language model speaks, and what some can do besides."""

from collections.abc import Generator, Sequence
from typing import Protocol, runtime_checkable

from lm.completion import Completion, GenerationConfig, Likelihood, Messages


@runtime_checkable
class LanguageModel(Protocol):
    """A chat model. Batch first: one prompt is a batch of one."""

    @property
    def name(self) -> str:
        """The name shown in reports, e.g. `smollm2` or `openai:gpt-5-mini`."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of what decides answers besides prompt and decoding: weights, tokenizer, template, dtype, endpoint."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    def count_tokens(self, prompt: Messages) -> int:
        """Tokens of a prompt as the model will see it, chat template included.

        Exact for local models. Remote models without a public tokenizer over-estimate; the reply's usage is billed.
        """
        ...

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order.

        Raises:
            LanguageModelError: a prompt leaves no room for an answer, or the model failed.
        """
        ...

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer as they are generated; joined they equal `generate`'s text for a batch of one.

        The generator returns the whole completion (`completion = yield from model.stream(...)`). Closing it early ends
        generation.
        """
        ...


@runtime_checkable
class LikelihoodModel(Protocol):
    """A model that tells how probable it holds answers that others wrote."""

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        """Of each answer after its prompt, end token excluded; None where it is empty or both exceed the context."""
        ...
