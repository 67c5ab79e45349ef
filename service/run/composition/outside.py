"""Arms that come from outside: answers from a file, a service that is asked, an adapter or model trained elsewhere."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset, Split
from advisor.data.files import load_dataset
from advisor.money.prices import tuned_name
from advisor.results.answer_file import GivenAnswers, parse_answers, read_answer_file
from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Source, Usage
from lm.errors import LanguageModelError
from lm.language_model import LanguageModel
from service.run.settings import ComparisonSettings


def given_answers(path: Path, settings: ComparisonSettings, dataset: Dataset) -> GivenAnswers:
    """The answers of a file, to all test questions.

    Raises:
        EvaluationError: names each line that is wrong, and the questions without an answer.
    """
    whole = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    known = {example.id for example in whole.examples}
    asked = [example.id for example in dataset.split(Split.TEST)]
    return parse_answers(read_answer_file(path), str(path), known, asked)


class TunedAtProvider:
    """A hosted model after its provider tuned it, which knows what it was before."""

    def __init__(self, tuned: LanguageModel, base: LanguageModel) -> None:
        self._tuned, self.base = tuned, base
        self.name, self.fingerprint = tuned_name(base.name), tuned.fingerprint
        self.context_tokens, self.count_tokens = tuned.context_tokens, tuned.count_tokens
        self.generate, self.stream = tuned.generate, tuned.stream

    def __getattr__(self, name: str) -> Any:
        """What else the tuned model can do, such as tell how probable a text is."""
        return getattr(self._tuned, name)


@dataclass(frozen=True)
class RecordedModel:
    """Says again what a file says of the test questions; to any other it has no answer.

    Attributes:
        texts: By question.
    """

    name: str
    fingerprint: str
    texts: Mapping[str, str]
    context_tokens: int = 1_000_000_000

    @classmethod
    def of(cls, name: str, given: GivenAnswers, dataset: Dataset) -> "RecordedModel":
        """The model of a file's answers."""
        texts = {e.asked: given.answers[e.id].text for e in dataset.split(Split.TEST)}
        return cls(name, given.content_hash, texts)

    def count_tokens(self, prompt: Messages) -> int:
        """None: it reads nothing."""
        return 0

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """The recorded answer to each question.

        Raises:
            LanguageModelError: a question is none of those that were answered.
        """
        return [Completion(self._text(p[-1].content), Usage(), FinishReason.STOP, tokens_known=False) for p in prompts]

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The answer in one piece."""
        (completion,) = self.generate([prompt], config)
        yield completion.text
        return completion

    def _text(self, question: str) -> str:
        if question not in self.texts:
            raise LanguageModelError(
                f"{self.name} is a file of answers to the test questions and holds none to {question[:80]!r}; ask one "
                "of those, or another arm"
            )
        return self.texts[question]


def document_finder(dataset: Dataset) -> Callable[[Source], str]:
    """What tells which document of a dataset a service means by a source: by id, by title, or by the text it quotes.

    A source that is none of the documents keeps its own name.
    """
    ids = {document.id for document in dataset.documents}
    by_title = {document.title.casefold(): document.id for document in dataset.documents if document.title}

    def find(source: Source) -> str:
        name = source.id.rpartition("/")[2]
        for candidate in (source.id, name, name.rpartition(".")[0]):
            if candidate in ids:
                return candidate
        if (known := by_title.get((source.title or source.id).casefold())) is not None:
            return known
        text = source.text.strip()
        holding = [d.id for d in dataset.documents if text in d.text] if text else []
        return holding[0] if len(holding) == 1 else source.id or source.title

    return find
