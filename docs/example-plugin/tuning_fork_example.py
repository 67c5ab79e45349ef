"""A model provider, a metric, a loss and a loader of documents for Tuning Fork, each as small as it can be."""

import re
from collections.abc import Generator, Sequence
from typing import Any

from advisor.data.dataset import Example
from advisor.data.loaders import UnreadableFileError, plain_text
from advisor.results.answer import Answer
from advisor.results.score import Metric, Score, per_example, unscored
from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Usage
from lm.registry import LoadOptions, Scheme


class LastLine:
    """Answers with the last line of its prompt. A real provider would call its library or endpoint here."""

    context_tokens = 4096

    def __init__(self, name: str) -> None:
        self.name = f"example:{name}"
        self.fingerprint = f"{self.name} 1"  # change it when answers change: what was asked before is kept by it

    def count_tokens(self, prompt: Messages) -> int:
        """Words of all messages."""
        return sum(len(message.content.split()) for message in prompt)

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One answer a prompt, in order."""
        return [self._answer(prompt, config.max_output_tokens) for prompt in prompts]

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The answer in one piece."""
        completion = self._answer(prompt, config.max_output_tokens)
        yield completion.text
        return completion

    def _answer(self, prompt: Messages, max_words: int) -> Completion:
        words = prompt[-1].content.strip().splitlines()[-1].split()
        reason = FinishReason.LENGTH if len(words) > max_words else FinishReason.STOP
        usage = Usage(input_tokens=self.count_tokens(prompt), output_tokens=len(words[:max_words]))
        return Completion(" ".join(words[:max_words]), usage, reason)


def load(name: str, options: LoadOptions) -> LastLine:
    """The model that `example:NAME` names."""
    return LastLine(name)


SCHEME = Scheme(spec="example:NAME", description="says the last line again", runs_on="this machine", load=load)


def share_of_words(example: Example, answer: Answer) -> Score:
    """Share of the first reference's words that are in the answer, 0 to 1."""
    if not example.answers:
        return unscored("there is no reference")
    wanted = set(example.answers[0].lower().split())
    return Score(len(wanted & set(answer.text.lower().split())) / len(wanted))


SHARED_WORDS = Metric("shared_words", "Shared words", per_example(share_of_words))


def squared_error(logits: Any, targets: Any) -> Any:
    """(1 - p)^2 of each target token."""
    return (1 - logits.softmax(-1).gather(-1, targets[:, None])[:, 0]) ** 2


def subtitles(data: bytes) -> str:
    """What is said in a .srt file, without numbers and times."""
    lines = plain_text(data).text.splitlines()
    if not any("-->" in line for line in lines):
        raise UnreadableFileError("there is no time in it, so these are no subtitles; check the file")
    return "\n".join(line for line in lines if line and "-->" not in line and not re.fullmatch(r"\d+", line))
