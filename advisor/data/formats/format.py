"""What a format is, and what reading one collects: questions and documents as our own files have them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset, Split
from advisor.data.files import Problem, unfit_character
from advisor.data.formats.rows import SourceRow

_SPLITS = frozenset(Split)
_MAX_NAMED = 200


@dataclass(frozen=True, slots=True)
class Format:
    """One format of test or training data.

    Attributes:
        name: As it is typed, `squad`.
        label: As it is told.
        fields: Which of its fields is read as what.
        recognises: Whether a row is of it, by its fields.
        read: Adds rows to what is imported.
        write: Writes a dataset's questions below a folder, and names the files; documents are written beside them
            unless it `holds_documents`.
    """

    name: str
    label: str
    fields: str
    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Iterable[SourceRow], "Imported"], None]
    write: Callable[[Dataset, Path], None]
    holds_documents: bool = False


def each(read: Callable[[SourceRow, "Imported"], None]) -> Callable[[Iterable[SourceRow], "Imported"], None]:
    """The reading of a format whose rows stand alone."""

    def read_all(rows: Iterable[SourceRow], out: "Imported") -> None:
        for row in rows:
            read(row, out)

    return read_all


@dataclass
class Imported:
    """What was read so far.

    Attributes:
        documents: As `documents.jsonl` has them, by id. questions: as `questions.jsonl` has them.
        left_out: Places of rows that cannot become a question, by the reason.
        instructions: System texts of conversations, each with its number of rows.
    """

    documents: dict[str, dict[str, object]] = field(default_factory=dict)
    questions: list[dict[str, object]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    instructions: Counter[str] = field(default_factory=Counter)
    _ids: dict[str, str] = field(default_factory=dict)
    _by_text: dict[str, str] = field(default_factory=dict)

    def wrong(self, row: SourceRow, message: str, line: int | None = None) -> None:
        """Note what has to be fixed before anything is imported."""
        self.problems.append(Problem(row.file, line or row.line, message))

    def leave_out(self, row: SourceRow, reason: str) -> None:
        """Note that a row, though right in its format, is no question."""
        self.left_out.setdefault(reason, []).append(f"{row.file}:{row.line}" if row.line else row.file)

    def add_document(self, row: SourceRow, text: object, title: str = "", document_id: str = "") -> str:
        """The id of a document with this text, which is added if it is new; "" where it is unusable."""
        if not isinstance(text, str) or not text.strip():
            self.wrong(row, "a passage is empty or no text")
            return ""
        if unfit := unfit_character(text):
            self.wrong(row, f"a passage holds {unfit}")
            return ""
        known = self._by_text.get(text)
        if known is not None and (not document_id or document_id == known):
            return known
        document_id = document_id or f"d{len(self.documents) + 1:04d}"
        if document_id in self.documents:
            self.wrong(row, f'two documents have the id "{document_id}"')
            return ""
        self.documents[document_id] = {"id": document_id, "title": title, "text": text}
        self._by_text.setdefault(text, document_id)
        return document_id

    def add_question(
        self,
        row: SourceRow,
        question: object,
        answers: Iterable[object],
        *,
        answerable: bool = True,
        document_ids: Sequence[str] = (),
        history: Sequence[Mapping[str, str]] = (),
        value: Mapping[str, Any] | None = None,
        line: int | None = None,
    ) -> None:
        """Add a question, with what its row says beside it: id, group, split, and what our own exports keep.

        Args:
            value: Where that stands; the row's own value if left out.
        """
        extras = _extras(row.value if value is None else value)
        texts = list(dict.fromkeys(extras.get("answers", answers)))
        answerable = answerable and extras.get("answerable") is not False
        if not isinstance(question, str) or not question.strip():
            self.wrong(row, "the question is empty or no text; fill it in or remove it", line)
            return
        if answerable and (not texts or not all(isinstance(text, str) and text.strip() for text in texts)):
            self.wrong(row, "an answer is empty or no text; give one, or remove the question", line)
            return
        if unfit := unfit_character("".join([question, *map(str, texts)])):
            self.wrong(row, f"the question or an answer holds {unfit}", line)
            return
        question_id = str(extras["id"]) if extras.get("id") not in (None, "") else f"q{len(self.questions) + 1:04d}"
        where = f"{row.file}:{line or row.line}"
        if question_id in self._ids:
            self.wrong(row, f'the id "{question_id}" is already at {self._ids[question_id]}', line)
            return
        self._ids[question_id] = where
        split = str(extras.get("split") or row.split)
        if split and split not in _SPLITS:
            self.wrong(row, f'the split "{split}" is unknown; say train, validation or test', line)
        made: dict[str, object] = {"id": question_id, "question": question, "answers": texts if answerable else []}
        if not answerable:
            made["answerable"] = False
        made["document_ids"] = [str(one) for one in extras.get("document_ids", document_ids)]
        turns = list(history) or extras.get("history", [])
        if turns:
            made["history"] = turns
        if extras.get("group") not in (None, ""):
            made["group"] = str(extras["group"])
        if split:
            made["split"] = split
        if isinstance(made_by := extras.get("made_by"), str) and made_by:
            made["made_by"] = made_by
        self.questions.append(made)

    def told_left_out(self) -> list[str]:
        """A sentence for each reason, which counts and names the rows."""
        told = []
        for reason, places in self.left_out.items():
            more = f" and {len(places) - _MAX_NAMED} more" if len(places) > _MAX_NAMED else ""
            told.append(f"left out {len(places)} because {reason}: {', '.join(places[:_MAX_NAMED])}{more}")
        return told


def _extras(value: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ours in a row of another format: beside its own, or under `metadata`, where exports put them."""
    metadata = value.get("metadata")
    found = dict(metadata) if isinstance(metadata, Mapping) else {}
    for name in ("id", "group", "split", "made_by"):
        if name in value:
            found.setdefault(name, value[name])
    lists = ("answers", "document_ids", "history")
    return {name: one for name, one in found.items() if name not in lists or isinstance(one, list)}


def kept_fields(dataset: Dataset, index: int, *, also: Sequence[str] = ()) -> dict[str, object]:
    """What a row of another format keeps of ours under `metadata`, so that importing it gives the same question.

    Args:
        also: Names of fields that the format has no place for, beside id, group, split.
    """
    example = dataset.examples[index]
    kept: dict[str, object] = {"id": example.id, "group": example.group, "split": str(example.split)}
    if "answers" in also:
        kept["answers"] = list(example.answers)
    if "document_ids" in also:
        kept["document_ids"] = list(example.document_ids)
    if "history" in also and example.history:
        kept["history"] = [{"role": str(turn.role), "content": turn.content} for turn in example.history]
    if not example.answerable:
        kept["answerable"] = False
    if example.made_by:
        kept["made_by"] = example.made_by
    return kept
