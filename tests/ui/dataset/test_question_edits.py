import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Split
from advisor.data.files import load_dataset
from ui.dataset.question_edits import (
    Review,
    apply_edits,
    apply_reviews,
    count_reviews,
    editor_frame,
    questions_table,
    read_rows,
    review_of,
    write_rows,
)

FIRST = {"id": "q1", "question": "အာမခံ ဘယ်လောက်ကြာလဲ?", "answers": ["နှစ်နှစ်"]}
ROWS: list[dict[str, Any]] = [
    {**FIRST, "document_ids": ["d"], "group": "g", "source": {"x": 1}},
    {"id": "q2", "question": "كم المدة؟", "answers": "سنتان", "meta": {"by": "👩‍🔧"}},
    {"id": "q3", "question": "Who painted it?", "answers": [], "answerable": False},
]


def dataset_of(folder: Path, rows: list[dict[str, Any]]) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "documents.jsonl").write_text(json.dumps({"id": "d", "title": "", "text": "နှစ်နှစ်"}) + "\n")
    (folder / "questions.jsonl").write_bytes(write_rows(rows))
    return load_dataset(folder)


@pytest.mark.parametrize("name", ["appliance-support", "claims-to-json", "ticket-triage"])
def test_what_is_not_changed_comes_back_as_it_was(name: str) -> None:
    content = Path(f"datasets/{name}/questions.jsonl").read_bytes()
    rows = read_rows(content)
    assert apply_edits(rows, {"edited_rows": {}, "added_rows": [], "deleted_rows": []}) == rows
    assert read_rows(write_rows(rows)) == rows


def test_the_reader_of_the_format_understands_what_was_changed(tmp_path: Path) -> None:
    edits = {
        "edited_rows": {0: {"answers": ["နှစ်နှစ်", "၂ နှစ်"]}, 2: {"question": "ဘယ်သူ ဆွဲလဲ? 🎨"}},
        "added_rows": [{"question": "New?", "answers": ["yes"], "document_ids": ["d"], "group": "g"}],
        "deleted_rows": [1],
    }
    found = dataset_of(tmp_path / "new", apply_edits(ROWS, edits))
    assert [(e.id, e.question, e.answers, e.document_ids, e.group) for e in found.examples] == [
        ("q1", ROWS[0]["question"], ("နှစ်နှစ်", "၂ နှစ်"), ("d",), "g"),
        ("q3", "ဘယ်သူ ဆွဲလဲ? 🎨", (), (), "q3"),
        ("q4", "New?", ("yes",), ("d",), "g"),
    ]


def test_fields_that_the_editor_does_not_know_stay() -> None:
    changed = apply_edits(ROWS, {"edited_rows": {0: {"question": "?"}, 1: {"group": "h"}}})
    assert changed[0]["source"] == {"x": 1}
    assert changed[1] == {**ROWS[1], "group": "h"}


def test_a_split_can_be_given_and_taken_back(tmp_path: Path) -> None:
    given = apply_edits(ROWS, {"edited_rows": {i: {"split": "test"} for i in range(3)}})
    assert {e.split for e in dataset_of(tmp_path, given).examples} == {Split.TEST}
    assert apply_edits(given, {"edited_rows": {i: {"split": None} for i in range(3)}}) == ROWS


def test_a_question_that_no_document_answers_loses_its_answers() -> None:
    row = apply_edits(ROWS, {"edited_rows": {0: {"answerable": False}}})[0]
    assert (row["answers"], row["answerable"]) == ([], False)


def test_an_added_row_gets_an_id_that_is_free_and_an_empty_one_is_left_out() -> None:
    rows = [{"id": "q2", "question": "?", "answers": ["a"]}]
    changed = apply_edits(
        rows, {"added_rows": [{"question": "b"}, {"answerable": True}, {"id": "mine", "question": "c"}]}
    )
    assert [row["id"] for row in changed] == ["q2", "q3", "mine"]


def test_a_review_goes_when_what_was_reviewed_changes() -> None:
    reviewed = apply_reviews(ROWS, {"q1": Review("right"), "q2": Review("wrong", "سنة 😀")})
    assert count_reviews(reviewed) == {"right": 1, "wrong": 1, "unclear": 0}
    changed = apply_edits(reviewed, {"edited_rows": {0: {"group": "other"}, 1: {"answers": ["سنة"]}}})
    assert [review_of(row) for row in changed] == [Review("right"), None, None]
    assert list(editor_frame(reviewed)["review"]) == ["right", "wrong: سنة 😀", ""]


def test_a_review_changes_nothing_that_is_measured(tmp_path: Path) -> None:
    reviewed = apply_reviews(ROWS, {"q1": Review("unclear", "?")})
    assert dataset_of(tmp_path / "a", reviewed).content_hash == dataset_of(tmp_path / "b", ROWS).content_hash
    assert read_rows(write_rows(reviewed))[0]["review"] == {"verdict": "unclear", "note": "?"}


def test_a_field_of_that_name_in_other_words_is_no_review() -> None:
    assert review_of({"review": "fine"}) is None
    assert review_of({"review": {"verdict": "maybe"}}) is None


def test_written_questions_are_a_table_that_the_import_reads() -> None:
    content = questions_table([{"question": 'Say "a, b"?', "answer": "x|y", "document": "d", "group": None}])
    assert list(csv.DictReader(io.StringIO(content.decode()))) == [
        {"question": 'Say "a, b"?', "answer": "x|y", "document": "d", "group": ""}
    ]
