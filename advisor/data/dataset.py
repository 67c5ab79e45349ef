"""Documents, questions and their split: what a comparison is made from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from lm.completion import Message


class Split(StrEnum):
    """What an example may be used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Task(StrEnum):
    """What kind of answer is asked for; decides metrics and the answer instruction."""

    QUESTION_ANSWERING = "question-answering"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    GENERATION = "generation"


class Slice(StrEnum):
    """Parts of the test set that are never pooled silently."""

    SEEN_FACT = "seen-fact"
    UNSEEN_FACT = "unseen-fact"
    UNANSWERABLE = "unanswerable"
    NEW_CASE = "new-case"
    """A case of a label, record or text task: every test case is new, and no single fact answers it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text the retrieval arms may read.

    `metadata` holds whatever the source carried; it is shown, never interpreted.
    """

    id: str
    title: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


def hash_documents(documents: Sequence[Document]) -> str:
    """SHA-256 over id, title and text of every document, order included."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps([document.id, document.title, document.text]).encode() + b"\n")
    return digest.hexdigest()


def with_history(question: str, history: Sequence[Message]) -> str:
    """A question and the conversation it ends, as one text.

    The question comes first: embedders read the beginning of a long text. Turns of their own would pass for the worked
    examples of few-shot prompts, which are turns.
    """
    if not history:
        return question
    turns = "\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in history)
    return f"{question}\n\nSaid before in this conversation:\n{turns}"


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its accepted answers.

    Attributes:
        answers: Accepted references, canonical first; `()` means that no document answers the question.
        document_ids: Documents that hold the answer (gold for retrieval); may be empty.
        group: One fact, label case or record in all its wordings. Questions of a group are clustered in all statistics.
        made_by: The model that wrote the question; "" where a person did, or nobody says.
        history: What user and assistant said before, oldest first; empty where the question stands alone.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    document_ids: tuple[str, ...]
    group: str
    split: Split
    made_by: str = ""
    history: tuple[Message, ...] = ()

    @property
    def asked(self) -> str:
        """The question as every arm is asked it: with what was said before, if anything was."""
        return with_history(self.question, self.history)

    @property
    def row(self) -> list[object]:
        """All of it as plain data, to be hashed; a question without history has the row it had before there was any."""
        plain: list[object] = [self.id, self.question, self.answers, self.document_ids, self.group, self.split]
        return [*plain, [[turn.role, turn.content] for turn in self.history]] if self.history else plain

    @property
    def answerable(self) -> bool:
        """Whether any reference exists."""
        return bool(self.answers)


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """What `dataset.toml` says.

    Attributes:
        language: BCP 47 tag.
        metrics: Names in the metric registry; the first is the one the verdict is about.
        instruction: The answer instruction given to every arm alike.
        max_output_tokens: Longest answer the task needs.
        schema: JSON Schema of an answer, for extraction tasks; None elsewhere.
        labels: Of the training and validation questions as they were read, for classification tasks; () elsewhere.
    """

    name: str
    task: Task
    language: str
    licence: str
    metrics: tuple[str, ...]
    description: str
    instruction: str
    max_output_tokens: int = 32
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadField:
    """A field of questions that is not read and seems to be one that is, under another name.

    Attributes:
        meant: The name that is read.
        n_rows: Rows that have it.
    """

    name: str
    meant: str
    n_rows: int


@dataclass(frozen=True)
class TrainingView:
    """What tuning may see. It has no test split at all, so that leakage is a type error and not a mistake."""

    card: DatasetCard
    documents: tuple[Document, ...]
    train: tuple[Example, ...]
    validation: tuple[Example, ...]


@dataclass(frozen=True)
class Dataset:
    """A validated dataset whose every example has a split."""

    card: DatasetCard
    documents: tuple[Document, ...]
    examples: tuple[Example, ...]
    unread_fields: tuple[UnreadField, ...] = ()

    def split(self, split: Split) -> tuple[Example, ...]:
        """The examples of one split, in file order."""
        return tuple(example for example in self.examples if example.split is split)

    def training_view(self) -> TrainingView:
        """The part of the data that tuning and prompt building may read."""
        return TrainingView(self.card, self.documents, self.split(Split.TRAIN), self.split(Split.VALIDATION))

    @cached_property
    def trained_groups(self) -> frozenset[str]:
        """Groups (facts) that a training question covers."""
        return frozenset(example.group for example in self.split(Split.TRAIN))

    def slice_of(self, example: Example) -> Slice:
        """Whether tuning could have learnt this question's fact, or nothing answers it."""
        if not example.answerable:
            return Slice.UNANSWERABLE
        if self.card.task is not Task.QUESTION_ANSWERING:
            return Slice.NEW_CASE
        return Slice.SEEN_FACT if example.group in self.trained_groups else Slice.UNSEEN_FACT

    def cluster_of(self, example: Example) -> str:
        """Questions that succeed and fail together: those on one document, or one case where documents are shared."""
        if self.card.task is Task.QUESTION_ANSWERING and example.document_ids:
            return example.document_ids[0]
        return example.group

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over card, documents and examples; equal hashes mean equal data whatever the files were."""
        digest = hashlib.sha256()
        rows: list[Any] = [
            [
                self.card.task,
                self.card.instruction,
                self.card.max_output_tokens,
                list(self.card.metrics),
                self.card.schema,
            ]
        ]
        rows += [[d.id, d.title, d.text] for d in self.documents]
        rows += [e.row for e in self.examples]
        for row in rows:
            digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
            digest.update(b"\n")
        return digest.hexdigest()


def split_sizes(dataset: Dataset) -> dict[str, int]:
    """Questions by split."""
    return {split.value: len(dataset.split(split)) for split in Split}
