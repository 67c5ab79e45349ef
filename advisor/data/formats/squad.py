"""SQuAD 1.1 and 2.0: articles of paragraphs with questions, as JSON, or flat as the Hugging Face hub has them.

Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow


def _is_squad(value: Mapping[str, Any]) -> bool:
    flat = "question" in value and isinstance(value.get("answers"), Mapping) and "text" in value["answers"]
    return flat or isinstance(value.get("paragraphs"), list)


def _read(row: SourceRow, out: Imported) -> None:
    if "paragraphs" not in row.value:
        texts = row.value["answers"].get("text")
        answers = texts if isinstance(texts, list) else [texts]
        cited = (
            [out.add_document(row, row.value["context"], row.value.get("title") or "")]
            if row.value.get("context")
            else []
        )
        out.add_question(row, row.value["question"], answers, answerable=bool(answers), document_ids=cited)
        return
    title = row.value.get("title")
    for paragraph in row.value["paragraphs"]:
        line = getattr(paragraph, "line", row.line)
        if not isinstance(paragraph, Mapping) or not isinstance(paragraph.get("qas"), list):
            out.wrong(row, "a paragraph without a list of questions (qas)", line)
            continue
        here = SourceRow(row.file, line, row.value, row.split)
        document = ""
        if not paragraph.get("without_context"):
            named = title if isinstance(title, str) else ""
            document = out.add_document(here, paragraph.get("context"), named, str(paragraph.get("document_id", "")))
        for question in paragraph["qas"]:
            _read_question(here, question, document, out)


def _read_question(row: SourceRow, question: object, document: str, out: Imported) -> None:
    line = getattr(question, "line", row.line)
    if not isinstance(question, Mapping):
        out.wrong(row, "a question that is no object", line)
        return
    answers = question.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(one, Mapping) and "text" in one for one in answers):
        out.wrong(row, '"answers" must be a list of objects with "text"', line)
        return
    impossible = question.get("is_impossible", False)
    if not isinstance(impossible, bool):
        out.wrong(row, '"is_impossible" must be true or false, without quotes', line)
        return
    if not impossible and not answers:
        out.wrong(row, 'no answer; give one, or say "is_impossible": true', line)
        return
    out.add_question(
        row, question.get("question"), [one["text"] for one in answers], answerable=not impossible,
        document_ids=[document] if document else [], value=question, line=line,
    )  # fmt: skip


def _write(dataset: Dataset, folder: Path) -> None:
    """A paragraph a document; questions on several documents stand at the first and name the others."""
    by_document: dict[str, list[dict[str, object]]] = {document.id: [] for document in dataset.documents}
    texts = {document.id: document.text for document in dataset.documents}
    elsewhere: list[dict[str, object]] = []
    for index, example in enumerate(dataset.examples):
        first = example.document_ids[0] if example.document_ids else ""
        answers = [{"text": text, "answer_start": texts.get(first, "").find(text)} for text in example.answers]
        also = ["history"] if len(example.document_ids) == 1 else ["history", "document_ids"]
        row = {
            "id": example.id, "question": example.question, "answers": answers,
            "is_impossible": not example.answerable, "metadata": kept_fields(dataset, index, also=also),
        }  # fmt: skip
        by_document.get(first, elsewhere).append(row)
    articles: list[dict[str, object]] = [
        {
            "title": document.title,
            "paragraphs": [{"context": document.text, "document_id": document.id, "qas": by_document[document.id]}],
        }
        for document in dataset.documents
    ]
    if elsewhere:
        articles.append({"title": "", "paragraphs": [{"without_context": True, "qas": elsewhere}]})
    text = json.dumps({"version": "v2.0", "data": articles}, ensure_ascii=False, indent=1)
    (folder / "squad.json").write_text(text + "\n", encoding="utf-8")


SQUAD = Format(
    "squad",
    "SQuAD",
    "context is a document, question and answers.text are the question and answers",
    _is_squad,
    each(_read),
    _write,
    holds_documents=True,
)
