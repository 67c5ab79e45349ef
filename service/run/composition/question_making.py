"""A dataset folder of questions that a model made from documents."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from advisor.data.dataset import Document, Task
from advisor.data.files import (
    CARD_FILE,
    DOCUMENTS_FILE,
    QUESTIONS_FILE,
    Problem,
    load_dataset,
    problem_list,
    read_documents,
    read_rows,
    write_rows,
)
from advisor.data.folder_import import FileOutcome, card_text, read_document_files
from advisor.errors import DatasetError
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from rag.anchors import Anchor, anchor_questions
from rag.chunk import Chunking
from rag.made_questions import MadeQuestions, Wanted, make_questions

__all__ = ["MADE_FILE", "Making", "Wanted", "anchor_dataset", "make_dataset", "question_rows"]

MADE_FILE = "questions-made.json"


@dataclass(frozen=True, slots=True)
class Making:
    """What a model made of documents.

    Attributes:
        files: What became of every file; empty for the documents of a dataset.
    """

    made: MadeQuestions
    files: Sequence[FileOutcome]


def make_dataset(
    source: Path,
    destination: Path,
    model: LanguageModel,
    embedder: Embedder,
    wanted: Wanted,
    *,
    chunking: Chunking | None = None,
    on_progress: Callable[[int, int], None] = lambda n_kept, n_wanted: None,
) -> Making:
    """Write `destination` as a dataset folder with the documents of `source` and questions that the model made of them.

    Args:
        source: A dataset folder, whose own questions are left aside, or a folder of documents.
        destination: Must not exist yet, or be empty.

    Raises:
        DatasetError: no document can be read, no question was fit to be kept, or `destination` holds something.
    """
    _check_free(destination)
    documents, files = _documents(source)
    made = make_questions(documents, model, embedder, wanted, chunking=chunking, on_progress=on_progress)
    if not made.questions:
        reasons = ", ".join(f"{n} {why}" for why, n in sorted(made.dropped.items(), key=lambda one: -one[1]) if n)
        raise DatasetError(f"{model.name} made no question that could be kept ({reasons}); try a stronger model")
    destination.mkdir(parents=True, exist_ok=True)
    write_rows(destination / DOCUMENTS_FILE, [_document_row(document) for document in made.documents])
    write_rows(destination / QUESTIONS_FILE, list(question_rows(made, model.name)))
    card = card_text(source.resolve().name, Task.QUESTION_ANSWERING)
    card = card.replace("Imported from the folder", f"Questions made by {json.dumps(model.name)[1:-1]} from")
    (destination / CARD_FILE).write_text(card, encoding="utf-8")
    record = {"model": model.name, "wanted": asdict(wanted), "n_asked": made.n_asked, "dropped": made.dropped}
    (destination / MADE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Making(made, files)


def anchor_dataset(source: Path, destination: Path, embedder: Embedder, min_confidence: float) -> list[Anchor]:
    """Write a copy of a dataset whose questions name the document that holds their answer, where they named none.

    Args:
        min_confidence: Less sure anchors are returned and not written.
    Returns:
        The anchor of every answerable question that named no document.

    Raises:
        DatasetError: the dataset cannot be used, or `destination` holds something.
    """
    _check_free(destination)
    dataset = load_dataset(source)
    lacking = [example for example in dataset.examples if example.answerable and not example.document_ids]
    anchors = anchor_questions(lacking, dataset.documents, embedder)
    sure = {anchor.example_id: anchor for anchor in anchors if anchor.confidence >= min_confidence}
    destination.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, destination / path.name)
    rows = [row.value for row in read_rows(source / QUESTIONS_FILE, [])]
    for row in rows:
        if anchor := sure.get(str(row["id"])):
            row |= {"document_ids": [anchor.document_id], "anchor_confidence": anchor.confidence}
    write_rows(destination / QUESTIONS_FILE, rows)
    return anchors


def question_rows(made: MadeQuestions, model: str) -> list[dict[str, object]]:
    """The questions as `questions.jsonl` has them, each with the model that made it."""
    rows: list[dict[str, object]] = []
    for i, one in enumerate(made.questions):
        row: dict[str, object] = {"id": f"made-{i:04d}", "question": one.question, "answers": list(one.answers)}
        row |= {} if one.answers else {"answerable": False}
        rows.append(row | {"document_ids": list(one.document_ids), "group": one.group, "made_by": model})
    return rows


def _check_free(destination: Path) -> None:
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DatasetError(f"{destination} exists and is not empty; choose another folder, nothing was written")


def _documents(source: Path) -> tuple[list[Document], Sequence[FileOutcome]]:
    problems: list[Problem] = []
    files: Sequence[FileOutcome] = ()
    if (source / DOCUMENTS_FILE).is_file():
        documents = read_documents(source / DOCUMENTS_FILE, problems)[0]
    else:
        rows = read_document_files(source, problems)
        files = rows.files
        documents = [Document(str(row["id"]), str(row["title"]), str(row["text"])) for row in rows.documents]
    if problems:
        raise DatasetError(problem_list(f"the documents of {source} cannot be used", problems))
    return documents, files


def _document_row(document: Document) -> dict[str, object]:
    row: dict[str, object] = {"id": document.id, "title": document.title, "text": document.text}
    return row | ({"metadata": dict(document.metadata)} if document.metadata else {})
