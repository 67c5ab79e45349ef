"""What a pipeline is and what it answers."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from advisor.data.prompt import Prompt, PromptBuilder, RetrievedChunk
from lm.completion import Completion, FinishReason, GenerationConfig, Likelihood, Source, Usage
from lm.files import sha256
from lm.language_model import LanguageModel, LikelihoodModel


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


TOKENS, SECONDS = "tokens", "seconds"
"""What may not be known of an answer that was given elsewhere."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A pipeline's reply to one question.

    Attributes:
        unknown: What of the usage is not known and stands there as 0: `TOKENS`, `SECONDS`.
        constraint_refused: Whether it was given without the constraint that was asked for, as the endpoint takes none.
        reference: How probable the model holds the first reference in its place; None where that was not asked.
    """

    text: str
    usage: Usage
    finish_reason: FinishReason
    retrieved: tuple[RetrievedChunk, ...]
    prompt_hash: str
    constraint_refused: bool = False
    unknown: tuple[str, ...] = ()
    reference: Likelihood | None = None

    @property
    def missing(self) -> str:
        """Why there is nothing to score; "" where there is. An empty answer that ended by itself is an answer."""
        if self.finish_reason is FinishReason.LENGTH and not self.text.strip():
            return "the output limit was reached before an answer began"
        return _MISSING.get(self.finish_reason, "")


_MISSING = {
    FinishReason.FAILED: "no answer came",
    FinishReason.CONTENT_FILTER: "the endpoint's content filter withheld it",
}


@dataclass(frozen=True)
class Pipeline:
    """A language model times a prompt builder. Every arm is one of these; none has a class of its own.

    Attributes:
        arm: Id of the arm.
    """

    arm: str
    model: LanguageModel
    prompt_builder: PromptBuilder
    generation: GenerationConfig
    build_usage: BuildUsage = BuildUsage()

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the answers: equal fingerprints, equal answers."""
        parts = [self.model.fingerprint, self.prompt_builder.fingerprint, repr(self.generation)]
        return sha256("\n".join(parts))

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """One answer a question, in order."""
        prompts = self.prompt_builder.build(questions, self.model, self.generation.max_output_tokens)
        completions = self.model.generate([prompt.messages for prompt in prompts], self.generation)
        return [_answer(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]

    def with_likelihoods(
        self, questions: Sequence[str], references: Sequence[str], answers: Sequence[Answer]
    ) -> list[Answer]:
        """The answers, each with how probable the model holds the reference after the same prompt.

        They are as they were where the model does not tell.
        """
        if not isinstance(self.model, LikelihoodModel):
            return list(answers)
        prompts = self.prompt_builder.build(questions, self.model, self.generation.max_output_tokens)
        found = self.model.likelihoods([prompt.messages for prompt in prompts], references)
        return [replace(answer, reference=one) for answer, one in zip(answers, found, strict=True)]

    def stream(self, question: str) -> Generator[str, None, Answer]:
        """Pieces of the answer to one question as they are generated; the generator returns the whole answer."""
        prompt = self.prompt_builder.build([question], self.model, self.generation.max_output_tokens)[0]
        completion = yield from self.model.stream(prompt.messages, self.generation)
        return _answer(prompt, completion)


def read_passages(sources: Sequence[Source]) -> tuple[RetrievedChunk, ...]:
    """What an outside arm says it read, in its order; a score that is not told is no number."""
    return tuple(
        RetrievedChunk(
            f"{source.id or source.title}#{number}",
            source.id,
            source.title,
            source.text,
            float("nan") if source.score is None else source.score,
        )
        for number, source in enumerate(sources, 1)
    )


def _answer(prompt: Prompt, completion: Completion) -> Answer:
    return Answer(
        text=completion.text,
        usage=completion.usage + Usage(embedding_tokens=prompt.embedding_tokens, latency_s=prompt.latency_s),
        finish_reason=completion.finish_reason,
        retrieved=prompt.retrieved or read_passages(completion.sources),
        prompt_hash=prompt.hash,
        constraint_refused=completion.constraint_refused,
        unknown=() if completion.tokens_known else (TOKENS,),
    )
