"""A table of questions as people write it: columns question and answer, optionally document, group, split …"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from advisor.data.dataset import Split
from advisor.data.files import Problem
from advisor.data.formats.rows import UnreadableRowsError, excel_lines, table_lines
from advisor.data.loaders import LOADERS
from advisor.data.meant_names import suggestion
from advisor.data.text_encoding import UnreadableTextError, decode_text

_COLUMNS = ("question", "answer", "document", "group", "split", "answerable", "id", "made_by")
# Beside English what spreadsheets write in other languages for true and false.
_YES = frozenset(
    {"yes", "y", "true", "1", "1.0", "answerable", "ja", "j", "wahr", "oui", "vrai", "sí", "si", "verdadero"}
)
_NO = frozenset({"no", "n", "false", "0", "0.0", "unanswerable", "nein", "falsch", "non", "faux", "falso"})
_DIVIDER = re.compile(r"(?<![\\|])\|(?!\|)")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class QuestionTable:
    """What was read.

    Attributes:
        rows: As `questions.jsonl` has them. divided: Lines with several answers, for the user to look at.
    """

    rows: list[dict[str, object]] = field(default_factory=list)
    divided: list[Problem] = field(default_factory=list)


def is_question_header(line: str) -> bool:
    """Whether a line names the columns of a table of questions."""
    columns = {column.strip().strip('"').lower() for column in re.split("[,;\t]", line)}
    return {"question", "answer"} <= columns


def read_table_file(
    path: Path,
    name: str,
    known: Collection[str],
    problems: list[Problem],
    columns: Mapping[str, str] | None = None,
    *,
    lost: Mapping[str, str] | None = None,
) -> QuestionTable:
    """The questions of a delimited text or an Excel workbook, adding everything wrong to `problems`.

    Args:
        name: Of the file, for the problems.
        known: Ids of the documents, as `same_name` writes them.
        columns: Names of columns in the file, by ours; columns that then have no name of ours are left out.
        lost: Why documents were not read, by their ids.
    """
    table = QuestionTable()
    try:
        if path.suffix.lower() == ".xlsx":
            lines = list(excel_lines(path))
        else:
            decoded = decode_text(path.read_bytes())
            if decoded.assumed:
                table.divided.append(Problem(name, None, decoded.assumed))
            lines = list(table_lines(decoded.text))
    except (UnreadableRowsError, UnreadableTextError) as error:
        problems.append(Problem(name, error.line, str(error)))
        return table
    return _read_lines(lines, name, known, problems, columns or {}, table, lost or {})


def _read_lines(
    lines: Sequence[tuple[int, list[str]]],
    name: str,
    known: Collection[str],
    problems: list[Problem],
    renamed: Mapping[str, str],
    table: QuestionTable,
    lost: Mapping[str, str],
) -> QuestionTable:
    if not lines:
        problems.append(Problem(name, 1, _columns_problem([])))
        return table
    (first_line, header), *body = lines
    ours = {said.strip().lower(): own for own, said in renamed.items()}
    columns = [ours.get(column.strip().lower(), column.strip().lower()) for column in header]
    if missing := [
        said for said in renamed.values() if said.strip().lower() not in map(str.lower, map(str.strip, header))
    ]:
        what = f'there is no column "{missing[0]}"; there are {", ".join(filter(None, header))}'
        problems.append(Problem(name, first_line, what))
        return table
    if renamed:
        if unread := [column for column in columns if column and column not in _COLUMNS]:
            table.divided.append(Problem(name, first_line, f"columns left out: {', '.join(unread)}"))
        columns = [column if column in _COLUMNS else "" for column in columns]
    if what := _columns_problem([column for column in columns if column]):
        problems.append(Problem(name, first_line, what))
        return table
    numbered: list[tuple[int, dict[str, object]]] = []
    for line, cells in body:
        nameless = [cell for i, cell in enumerate(cells) if cell.strip() and not "".join(columns[i : i + 1])]
        if nameless and not renamed:
            problems.append(
                Problem(name, line, "more cells than columns; put a cell that holds the separator in quotes")
            )
        reader = _RowReader(name, line, dict(zip(columns, cells, strict=False)), known, problems, lost)
        numbered.append((line, reader.question(len(numbered) + 1)))
        if len(reader.answers) > 1:
            told = " and ".join(repr(answer) for answer in reader.answers)
            table.divided.append(Problem(name, line, f"read as {len(reader.answers)} accepted answers: {told}"))
    _check_together(numbered, name, problems)
    if not numbered and not problems:
        problems.append(Problem(name, None, "the table holds no question; add a line for each"))
    table.rows.extend(row for _, row in numbered)
    return table


def same_name(path: str) -> str:
    """A relative path as every system would write it: slashes, no `./` before it, and one spelling of accents."""
    return unicodedata.normalize("NFC", path.replace("\\", "/")).removeprefix("./")


def split_cell(text: str) -> list[str]:
    r"""The parts of a cell that `|` divides.

    Not a divider: `\|`, which stands for itself, `||`, and one within brackets or backticks, as in JSON and code.
    """
    parts, start = [], 0
    for match in _DIVIDER.finditer(text):
        if _is_closed(text[start : match.start()]) or not _is_closed(text[start:]):
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    return [part.replace("\\|", "|").strip() for part in parts if part.strip()]


def _is_closed(text: str) -> bool:
    """Whether every bracket and backtick that is opened is closed, and the other way round."""
    opened: list[str] = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in _PAIRS and (not opened or opened.pop() != _PAIRS[character]):
            return False
    return not opened and text.count("`") % 2 == 0


def _columns_problem(columns: Sequence[str]) -> str:
    missing = [column for column in ("question", "answer") if column not in columns]
    unknown = [column for column in columns if column not in _COLUMNS]
    twice = [column for column in columns if columns.count(column) > 1]
    if not missing and not unknown and not twice:
        return ""
    what = f'the column "{missing[0]}" is missing' if missing else ""
    what = what or (f'the column "{unknown[0]}" is unknown' if unknown else f'the column "{twice[0]}" stands twice')
    return f"{what}; columns are {', '.join(_COLUMNS[:-2])}"


def _check_together(rows: list[tuple[int, dict[str, object]]], name: str, problems: list[Problem]) -> None:
    """What only shows when all questions are known: an id twice, a split on some lines only."""
    first_line: dict[object, int] = {}
    for line, row in rows:
        if row["id"] in first_line:
            problems.append(Problem(name, line, f'the id "{row["id"]}" is already on line {first_line[row["id"]]}'))
        first_line.setdefault(row["id"], line)
    if any("split" in row for _, row in rows):
        problems += [
            Problem(name, line, "no split, though other lines have one; say train, validation or test")
            for line, row in rows
            if "split" not in row
        ]


@dataclass
class _RowReader:
    """One row of the table."""

    name: str
    line: int
    cells: Mapping[str, str]
    known: Collection[str]
    problems: list[Problem]
    lost: Mapping[str, str]
    answers: list[str] = field(default_factory=list)

    def question(self, number: int) -> dict[str, object]:
        """The row as `questions.jsonl` has it."""
        answerable = self._answerable()
        self.answers = split_cell(self._cell("answer")) if answerable else []
        cited = [self._document_id(part) for part in split_cell(self._cell("document"))]
        if not self._cell("question"):
            self._wrong("the question is empty; fill it in or remove the line")
        if answerable and not self.answers:
            self._wrong("the answer is empty; give one, or write no in the column answerable")
        for unknown in [part for part in cited if part not in self.known]:
            why = self.lost.get(unknown)
            what = f"could not be read: {why}" if why else f"is not in the folder; {suggestion(unknown, self.known)}"
            self._wrong(f'the document "{unknown}" {what}')
        split = self._cell("split").lower()
        if split and split not in set(Split):
            self._wrong(f'the split "{split}" is unknown; say train, validation or test')
        row: dict[str, object] = {"id": self._cell("id") or f"q{number:04d}", "question": self._cell("question")}
        row["answers"] = self.answers
        row |= {} if answerable else {"answerable": False}
        row["document_ids"] = cited
        others = (("group", self._cell("group")), ("split", split), ("made_by", self._cell("made_by")))
        return row | {key: value for key, value in others if value}

    def _document_id(self, said: str) -> str:
        named = same_name(said)
        stem, _, ending = named.rpartition(".")
        return stem if named not in self.known and ending.lower() in LOADERS else named

    def _answerable(self) -> bool:
        said = self._cell("answerable").casefold()
        if said and said not in _YES | _NO:
            self._wrong(f'"{said}" in the column answerable is not understood; say yes or no')
        return said not in _NO

    def _cell(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def _wrong(self, message: str) -> None:
        self.problems.append(Problem(self.name, self.line, message))
