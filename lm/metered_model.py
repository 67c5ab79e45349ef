"""A language model that keeps count of what it was asked."""

from collections.abc import Generator, Sequence
from threading import Lock

from lm.completion import Completion, GenerationConfig, Messages, Usage
from lm.language_model import LanguageModel


class MeteredModel:
    """Any language model, its usage added up; answers and fingerprint are the model's own. Safe among threads."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._usage = Usage()
        self._lock = Lock()

    @property
    def usage(self) -> Usage:
        """All that was taken so far; a stream counts once it has ended."""
        return self._usage

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """The model's fingerprint."""
        return self._model.fingerprint

    @property
    def context_tokens(self) -> int:
        """The model's context."""
        return self._model.context_tokens

    def count_tokens(self, prompt: Messages) -> int:
        """Tokens of a prompt as the model will see it."""
        return self._model.count_tokens(prompt)

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order."""
        completions = self._model.generate(prompts, config)
        self._count(completions)
        return completions

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """Pieces of one answer as they are generated."""
        completion = yield from self._model.stream(prompt, config)
        self._count([completion])
        return completion

    def _count(self, completions: Sequence[Completion]) -> None:
        with self._lock:
            for completion in completions:
                self._usage = self._usage + completion.usage
