"""Later editions of documents, and the facts they changed: what a deployment meets after it was built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from advisor.data.dataset import Dataset, Document, Example
from advisor.data.files import DOCUMENTS_FILE, Problem, answers_of, problem_list, read_documents, read_rows, text_of
from advisor.data.normalisation import normalise
from advisor.errors import DatasetError
from lm.files import sha256

ANSWERS_FILE = "answers.jsonl"
EDITION_FILES = (DOCUMENTS_FILE, ANSWERS_FILE)
REVISION_FOLDER = "v2"
"""Below a dataset folder: its documents in a later edition."""


@dataclass(frozen=True, slots=True)
class ChangedFact:
    """What a fact has become.

    Attributes:
        group: The fact in all its wordings.
        answers: References of today, canonical first; () where no document states it any longer.
        document_ids: Documents that state it today.
    """

    group: str
    answers: tuple[str, ...]
    document_ids: tuple[str, ...]


@dataclass(frozen=True)
class Revision:
    """Documents in a later edition.

    Attributes:
        documents: Whole texts; those of a known id take its place, others are new.
        facts: By group.
    """

    documents: tuple[Document, ...]
    facts: Mapping[str, ChangedFact]

    @property
    def content_hash(self) -> str:
        """SHA-256 over documents and facts."""
        rows = [[d.id, d.title, d.text] for d in self.documents]
        facts = [[f.group, f.answers, f.document_ids] for f in self.facts.values()]
        return sha256(json.dumps([rows, facts], ensure_ascii=False))

    def revise(self, example: Example) -> Example:
        """The question with the references of today."""
        fact = self.facts.get(example.group)
        return replace(example, answers=fact.answers, document_ids=fact.document_ids) if fact else example

    def apply(self, dataset: Dataset) -> Dataset:
        """The dataset as it is after the change, its questions and splits as they were."""
        later = {document.id: document for document in self.documents}
        known = {document.id for document in dataset.documents}
        kept = tuple(later.get(document.id, document) for document in dataset.documents)
        new = tuple(document for document in self.documents if document.id not in known)
        return replace(dataset, documents=kept + new, examples=tuple(map(self.revise, dataset.examples)))


def load_revision(folder: Path, dataset: Dataset) -> Revision:
    """Read and check a folder with `documents.jsonl` and `answers.jsonl` (docs/data-format.md).

    Args:
        dataset: What is changed.
    Raises:
        DatasetError: lists every problem with file, line and remedy.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: there is no such folder, so it is not known what changed; put {DOCUMENTS_FILE} and "
            f"{ANSWERS_FILE} of the later editions there (docs/data-format.md), or name their folder by --v2"
        )
    problems: list[Problem] = []
    documents, _ = read_documents(folder / DOCUMENTS_FILE, problems)
    facts = _read_facts(folder / ANSWERS_FILE, dataset, documents, problems)
    if problems:
        raise DatasetError(problem_list(f"the later editions {folder} cannot be used", problems))
    if not facts:
        raise DatasetError(f"{folder / ANSWERS_FILE} names no changed fact; add one JSON object a line")
    return Revision(tuple(documents), facts)


def _read_facts(
    path: Path, dataset: Dataset, documents: list[Document], problems: list[Problem]
) -> dict[str, ChangedFact]:
    known = {document.id for document in dataset.documents} | {document.id for document in documents}
    before = {example.group: example for example in dataset.examples}
    facts: dict[str, ChangedFact] = {}
    for row in read_rows(path, problems):
        n_before = len(problems)
        group = text_of(row, "group", path.name, problems)
        answers = answers_of(row, path.name, problems)
        document_id = text_of(row, "document_id", path.name, problems, required=bool(answers))
        if group and group not in before:
            problems.append(Problem(path.name, row.line, f'no question has the group "{group}"; fix the name'))
        elif group in facts:
            problems.append(Problem(path.name, row.line, f'the group "{group}" is in the file twice'))
        elif group and answers is not None and _same(answers, before[group].answers):
            problems.append(
                Problem(path.name, row.line, f'the answers of "{group}" are what they were; remove the line')
            )
        if document_id and document_id not in known:
            problems.append(Problem(path.name, row.line, f'the document "{document_id}" is in neither edition'))
        if len(problems) == n_before:
            facts[group] = ChangedFact(group, answers or (), (document_id,) if document_id and answers else ())
    return facts


def _same(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return {normalise(text) for text in first} == {normalise(text) for text in second}
