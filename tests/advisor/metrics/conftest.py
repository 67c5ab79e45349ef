from collections.abc import Callable

import pytest

from advisor.data.dataset import DatasetCard, Example, Split, Task
from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage


@pytest.fixture
def card() -> DatasetCard:
    return DatasetCard("toy", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "A toy.", "Answer.")


@pytest.fixture
def example() -> Callable[..., Example]:
    """Make an example from its references; `documents` are the gold ones."""

    def make(*references: str, documents: tuple[str, ...] = (), question: str = "Where?") -> Example:
        return Example("q1", question, references, documents, "g1", Split.TEST)

    return make


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """Make an answer from its text; `documents` are those of the retrieved passages, best first."""

    def make(text: str, documents: tuple[str, ...] = ()) -> Answer:
        chunks = tuple(
            RetrievedChunk(f"{document}#{i}", document, "", f"Passage of {document}.", 1 - i / 100)
            for i, document in enumerate(documents)
        )
        return Answer(text, Usage(), FinishReason.STOP, chunks, "hash")

    return make
