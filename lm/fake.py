"""A scripted language model: answers are given in advance, tokens are words. A product, also for tests."""

from collections.abc import Callable, Generator, Sequence

from lm.answer_text import cut_at_stop
from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Usage
from lm.errors import LanguageModelError
from lm.files import sha256


class FakeLM:
    """Answers by a rule: a function of the prompt, or a mapping from the last user message to an answer.

    Counts every call, so that a test can assert that none was made.
    """

    def __init__(
        self,
        answer: Callable[[Messages], str] | dict[str, str],
        *,
        name: str = "fake",
        context_tokens: int = 4096,
        seconds_per_answer: float = 0.0,
    ) -> None:
        self._answer = answer
        self._name = name
        self._context_tokens = context_tokens
        self._seconds_per_answer = seconds_per_answer
        self.calls: list[list[Messages]] = []

    @property
    def name(self) -> str:
        """The given name."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of the name: two fakes that answer differently need different names."""
        return sha256(f"fake:{self._name}")

    @property
    def context_tokens(self) -> int:
        """The given context length, in words."""
        return self._context_tokens

    def count_tokens(self, prompt: Messages) -> int:
        """Words of all messages."""
        return sum(len(message.content.split()) for message in prompt)

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """The scripted answers, cut at stop texts and to `max_output_tokens` words."""
        self.calls.append(list(prompts))
        return [self._complete(prompt, config) for prompt in prompts]

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The scripted answer, word by word."""
        completion = self._complete(prompt, config)
        for i, word in enumerate(completion.text.split(" ")):
            yield word if i == 0 else " " + word
        return completion

    def _complete(self, prompt: Messages, config: GenerationConfig) -> Completion:
        if isinstance(self._answer, dict):
            question = prompt[-1].content
            if question not in self._answer:
                raise LanguageModelError(
                    f"the scripted model {self._name!r} has no answer for {question!r}; add one to its script"
                )
            text = self._answer[question]
        else:
            text = self._answer(prompt)
        text = cut_at_stop(text, config.stop)[0].strip()
        words = text.split()
        reason = FinishReason.LENGTH if len(words) > config.max_output_tokens else FinishReason.STOP
        if reason is FinishReason.LENGTH:
            text = " ".join(words[: config.max_output_tokens])
        usage = Usage(self.count_tokens(prompt), min(len(words), config.max_output_tokens), 0, self._seconds_per_answer)
        return Completion(text, usage, reason)
