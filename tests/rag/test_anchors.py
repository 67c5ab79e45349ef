import json
from collections.abc import Sequence
from pathlib import Path

from advisor.data.dataset import Document, Example, Split
from advisor.data.files import write_rows
from rag.anchors import anchor_questions
from service.run.composition.question_making import anchor_dataset
from tests.rag.conftest import HashingEmbedder


def asked(question: str, *answers: str) -> Example:
    return Example(question, question, answers, (), question, Split.TEST)


def test_a_question_is_anchored_where_its_answer_stands(
    documents: Sequence[Document], embedder: HashingEmbedder
) -> None:
    examples = [asked("What is the top spin of the Tide 9?", "1,400 rpm"), asked("Where is the label?", "in the box")]
    first, second = anchor_questions(examples, documents, embedder)
    assert (first.document_id, second.document_id) == ("tide-9", "returns")
    assert "1,400 rpm" in documents[1].text[first.start : first.end]


def test_an_answer_that_no_passage_holds_is_anchored_with_less_confidence(
    documents: Sequence[Document], embedder: HashingEmbedder
) -> None:
    sure, unsure = anchor_questions(
        [asked("Where is the label?", "in the box"), asked("Where is the label?", "under the lid")], documents, embedder
    )
    assert 0 <= unsure.confidence < sure.confidence <= 1


def test_what_nothing_answers_is_not_anchored(documents: Sequence[Document], embedder: HashingEmbedder) -> None:
    assert anchor_questions([asked("Who?")], documents, embedder) == []
    assert anchor_questions([asked("Who?", "Ann")], [], embedder) == []


def test_a_dataset_gets_the_documents_that_are_sure(
    tmp_path: Path, documents: Sequence[Document], embedder: HashingEmbedder
) -> None:
    rows = [{"id": one.id, "title": one.title, "text": one.text} for one in documents]
    questions = [
        {"id": "sure", "question": "Where is the label of parcels?", "answers": ["in the box"], "note": "kept"},
        {"id": "unsure", "question": "Who sells it?", "answers": ["nobody knows"]},
        {"id": "told", "question": "What is the spin?", "answers": ["1,200 rpm"], "document_ids": ["tide-7"]},
    ]
    (tmp_path / "in").mkdir()
    write_rows(tmp_path / "in" / "documents.jsonl", rows)
    write_rows(tmp_path / "in" / "questions.jsonl", questions)
    anchors = anchor_dataset(tmp_path / "in", tmp_path / "out", embedder, 0.5)
    assert [anchor.example_id for anchor in anchors] == ["sure", "unsure"]
    written = [json.loads(line) for line in (tmp_path / "out" / "questions.jsonl").read_text().splitlines()]
    assert [row.get("document_ids") for row in written] == [["returns"], None, ["tide-7"]]
    assert written[0]["note"] == "kept"
