"""Questions of a dataset as a team changes and reviews them; whatever a line holds besides stays as it is.

Every line of `questions.jsonl` is kept as the object that it is. Only cells that were changed are written into it.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

Row = dict[str, Any]
ReviewVerdict = Literal["right", "wrong", "unclear"]
VERDICTS: tuple[ReviewVerdict, ...] = get_args(ReviewVerdict)
REVIEW = "review"
_COLUMNS = ("question", "answers", "answerable", "document_ids", "group", "split", "id")
# A review is of a question with its answers and where they stand; it does not outlive them.
_REVIEWED = frozenset({"question", "answers", "answerable", "document_ids"})


@dataclass(frozen=True, slots=True)
class Review:
    """What a person says of a question and its answers."""

    verdict: ReviewVerdict
    note: str = ""


def read_rows(content: bytes) -> list[Row]:
    """The lines of a stored questions.jsonl, which are known to be objects."""
    return [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]


def write_rows(rows: Sequence[Row]) -> bytes:
    """The content of questions.jsonl."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def editor_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A row a question: what can be changed, and what was said of it."""
    return pd.DataFrame(
        [
            {
                "question": row["question"],
                "answers": texts_of(row.get("answers")),
                "answerable": _is_answerable(row),
                "document_ids": texts_of(row.get("document_ids")),
                "group": row.get("group", ""),
                "split": row.get("split"),
                "id": row["id"],
                "review": _told(review_of(row)),
            }
            for row in rows
        ],
        columns=[*_COLUMNS, "review"],
    )


def apply_edits(rows: Sequence[Row], edits: Mapping[str, Any]) -> list[Row]:
    """The rows after what was done in the editor.

    Args:
        edits: As `st.data_editor` keeps them: `edited_rows` by position, `added_rows`, `deleted_rows`.
    """
    edited = {int(position): cells for position, cells in edits.get("edited_rows", {}).items()}
    deleted = {int(position) for position in edits.get("deleted_rows", ())}
    kept = [_changed(row, edited.get(i, {})) for i, row in enumerate(rows) if i not in deleted]
    taken = {row["id"] for row in rows}
    for cells in edits.get("added_rows", ()):
        if any(cells.get(column) for column in _COLUMNS if column != "answerable"):
            row = _changed({"id": _free_id(taken), "question": "", "answers": []}, cells)
            taken.add(row["id"])
            kept.append(row)
    return kept


def change_questions(rows: Sequence[Row], cells: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows with other cells, by id."""
    return [_changed(row, cells[row["id"]]) if row["id"] in cells else row for row in rows]


def remove_question(rows: Sequence[Row], question_id: str) -> list[Row]:
    """The rows without one of them."""
    return [row for row in rows if row["id"] != question_id]


def mark_unanswerable(rows: Sequence[Row], question_id: str) -> list[Row]:
    """The rows, one of which no document answers."""
    return change_questions(rows, {question_id: {"answerable": False, "document_ids": []}})


def group_together(rows: Sequence[Row], question_ids: Sequence[str]) -> list[Row]:
    """The rows, some of which are wordings of one fact: all of their groups become that of the first."""
    groups = {row["id"]: row.get("group") or row["id"] for row in rows}
    joined = {groups[one] for one in question_ids}
    group = groups[question_ids[0]]
    return [row | {"group": group} if groups[row["id"]] in joined else row for row in rows]


def review_of(row: Row) -> Review | None:
    """What a person said of the question; None where nobody did, or not in our words."""
    found = row.get(REVIEW)
    if not isinstance(found, dict) or found.get("verdict") not in VERDICTS:
        return None
    return Review(found["verdict"], str(found.get("note", "")))


def apply_reviews(rows: Sequence[Row], reviews: Mapping[str, Review]) -> list[Row]:
    """The rows with what was said of them, by id."""
    return [row | {REVIEW: _plain(reviews[row["id"]])} if row["id"] in reviews else row for row in rows]


def count_reviews(rows: Sequence[Row]) -> dict[str, int]:
    """Reviewed questions by verdict."""
    found = Counter(review.verdict for row in rows if (review := review_of(row)) is not None)
    return {verdict: found[verdict] for verdict in VERDICTS}


def questions_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A table of questions as `tuningfork import` reads it, of rows with question, answer, document and group."""
    columns = ("question", "answer", "document", "group")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column) or "" for column in columns] for row in rows)
    return text.getvalue().encode()


def _changed(row: Row, cells: Mapping[str, Any]) -> Row:
    changed = dict(row)
    for column, value in cells.items():
        if column not in _COLUMNS:
            continue
        if column in ("answers", "document_ids"):
            changed[column] = texts_of(value)
        elif column == "answerable":
            changed[column] = bool(value)
        elif value in (None, "") and column in ("group", "split"):
            changed.pop(column, None)
        elif not (column == "id" and not value):
            changed[column] = value if value is not None else ""
    if cells.get("answerable") is False:
        changed["answers"] = []
    if _REVIEWED & cells.keys():
        changed.pop(REVIEW, None)
    return changed


def _is_answerable(row: Row) -> bool:
    meta = row.get("meta")
    return bool(row.get("answerable", meta.get("answerable", True) if isinstance(meta, dict) else True))


def texts_of(value: object) -> list[str]:
    """A list of texts; the format takes a single text for a list of one."""
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def _told(review: Review | None) -> str:
    if review is None:
        return ""
    return f"{review.verdict}: {review.note}" if review.note else review.verdict


def _plain(review: Review) -> dict[str, str]:
    return {"verdict": review.verdict} | ({"note": review.note} if review.note else {})


def _free_id(taken: set[str]) -> str:
    number = len(taken) + 1
    while f"q{number}" in taken:
        number += 1
    return f"q{number}"
