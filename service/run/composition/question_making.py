"""A dataset folder of questions that a model made from documents."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from advisor.data.dataset import Document, Task
from advisor.data.files import (
    CARD_FILE,
    DOCUMENTS_FILE,
    QUESTIONS_FILE,
    load_dataset,
    read_rows,
    write_rows,
)
from advisor.data.folder_import import card_text
from advisor.errors import DatasetError
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from rag.anchors import Anchor, anchor_questions
from rag.made_questions import MadeQuestions, make_questions
from service.contract.settings import QuestionSettings
from service.run.question_run import MADE_FILE


def make_dataset(
    documents: Sequence[Document],
    destination: Path,
    model: LanguageModel,
    embedder: Embedder,
    settings: QuestionSettings,
    *,
    name: str,
    on_progress: Callable[[int, int], None] = lambda n_kept, n_wanted: None,
) -> MadeQuestions:
    """Write `destination` as a dataset folder with the documents and questions that the model made of them.

    Args:
        destination: Must not exist yet, or be empty.
        name: Of the dataset.

    Raises:
        DatasetError: no question was fit to be kept, or `destination` holds something.
    """
    _check_free(destination)
    made = make_questions(
        documents,
        model,
        embedder,
        n_facts=settings.facts,
        n_rewordings=settings.rewordings,
        unanswerable_share=settings.unanswerable,
        joint_share=settings.joint,
        seed=settings.seed,
        on_progress=on_progress,
    )
    if not made.questions:
        reasons = ", ".join(f"{n} {why}" for why, n in sorted(made.dropped.items(), key=lambda one: -one[1]) if n)
        raise DatasetError(f"{model.name} made no question that could be kept ({reasons}); try a stronger model")
    destination.mkdir(parents=True, exist_ok=True)
    write_rows(destination / DOCUMENTS_FILE, [_document_row(document) for document in made.documents])
    write_rows(destination / QUESTIONS_FILE, list(question_rows(made, model.name)))
    card = card_text(name, Task.QUESTION_ANSWERING)
    card = card.replace("Imported from the folder", f"Questions made by {json.dumps(model.name)[1:-1]} from")
    (destination / CARD_FILE).write_text(card, encoding="utf-8")
    record = {"settings": asdict(settings), "n_asked": made.n_asked, "kinds": made.kinds, "dropped": made.dropped}
    (destination / MADE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return made


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


def _document_row(document: Document) -> dict[str, object]:
    row: dict[str, object] = {"id": document.id, "title": document.title, "text": document.text}
    return row | ({"metadata": dict(document.metadata)} if document.metadata else {})
