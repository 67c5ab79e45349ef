"""A plain folder of documents and one table of questions, made into a dataset folder.

handbook/            documents: every file below the folder that a loader reads; the id is the path without its ending
questions.csv        columns: question, answer; optional: document, group, split, answerable

A file that cannot be read is named with the reason, and the others are imported. Nothing is passed over in silence:
`FileOutcome` says what became of every file.
"""

import json
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from advisor.data.conversion import Outcome, convert_files
from advisor.data.dataset import Document, Task
from advisor.data.document_text import PAGE_BREAK, title_of, without_embedded_data
from advisor.data.files import DOCUMENTS_FILE, HUMAN_LABELS_FILE, QUESTIONS_FILE, Problem, read_documents
from advisor.data.formats.rows import READERS
from advisor.data.loaders import LOADERS, PLAIN, Loaded, UnreadableFileError, why_not_read
from advisor.data.question_table import is_question_header, read_table_file, same_name

DATA_ENDINGS = frozenset({".toml", *(f".{ending}" for ending in (*LOADERS.own, *READERS))})
"""Of files that may be part of a dataset: documents, rows, cards."""

_MAX_TITLE_CHARACTERS = 120
_HEADER_BYTES = 1 << 16


class Fate(StrEnum):
    """What became of a file."""

    DOCUMENT = "document"
    QUESTIONS = "questions"
    SETTINGS = "settings"
    """The card, a schema, people's labels: read as they are."""
    LEFT_OUT = "left out"
    """Of a kind that is not read, or hidden."""
    FAILED = "not read"
    """A document that holds no text that can be read."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file.

    Attributes:
        detail: Why it was not read, or what of it was left out; "" where it was read whole.
        line: Where, from 1, if that is known.
        document_id: "" unless it is a document now.
        n_pages: 0 where the format has none.
    """

    name: str
    fate: Fate
    detail: str = ""
    line: int | None = None
    document_id: str = ""
    n_pages: int = 0

    def __str__(self) -> str:
        where = f"{self.name}:{self.line}" if self.line else self.name
        return f"{where}: {self.fate}{f' ({self.n_pages} pages)' if self.n_pages else ''}" + (
            f"; {self.detail}" if self.detail else ""
        )


@dataclass(frozen=True, slots=True)
class FolderRows:
    """What a folder holds.

    Attributes:
        documents: As `documents.jsonl` has them. questions: as `questions.jsonl` has them.
        files: What became of every file.
        notes: Cells of the table that were read otherwise than they stand there, for the user to look at.
    """

    documents: list[dict[str, object]]
    questions: list[dict[str, object]]
    files: list[FileOutcome]
    notes: list[Problem]


def read_folder(source: Path, problems: list[Problem], *, apart: Collection[str] = ()) -> FolderRows:
    """Rows of documents and of questions, adding everything that prevents an import to `problems`.

    Args:
        apart: Files that are neither documents nor questions; others look after them.
    """
    found = FolderRows([], [], [], [])
    paths = _find_files(source, found.files)
    paths = [path for path in paths if path.relative_to(source).as_posix() not in apart]
    table = _question_table(source, paths, problems)
    texts = [path for path in paths if path != table]
    _read_texts(source, texts, problems, found)
    if not texts:
        problems.append(Problem(str(source), None, f"no document is below the folder; add some ({_endings()})"))
    if table is not None:
        name = table.relative_to(source).as_posix()
        known = {str(row["id"]) for row in found.documents}
        read = read_table_file(table, name, known, problems, lost=lost_documents(found.files))
        found.questions.extend(read.rows)
        found.notes.extend(read.divided)
        found.files.append(FileOutcome(name, Fate.QUESTIONS))
    if problems or not found.documents:
        # Whoever fixes the folder fixes these as well.
        problems += [Problem(file.name, file.line, file.detail) for file in found.files if file.fate is Fate.FAILED]
    found.files.sort(key=lambda file: file.name)
    return found


def read_document_files(source: Path, problems: list[Problem], *, apart: Collection[str] = ()) -> FolderRows:
    """Rows of documents alone, from a folder that needs no table of questions; one that is there is left out.

    Args:
        apart: Files that are no documents; where there are some, no document has to be.
    """
    found = FolderRows([], [], [], [])
    if not source.is_dir():
        problems.append(Problem(str(source), None, "there is no such folder; give one with documents"))
        return found
    paths = _find_files(source, found.files)
    paths = [path for path in paths if path.relative_to(source).as_posix() not in apart]
    tables = [path for path in paths if _ending(path) == "csv" and is_question_header(_first_line(path))]
    for path in tables:
        found.files.append(FileOutcome(path.relative_to(source).as_posix(), Fate.LEFT_OUT, "a table of questions"))
    texts = [path for path in paths if path not in tables]
    _read_texts(source, texts, problems, found)
    if not texts and not apart:
        problems.append(Problem(str(source), None, f"no document is below the folder; add some ({_endings()})"))
    if not found.documents and not apart:
        problems += [Problem(file.name, file.line, file.detail) for file in found.files if file.fate is Fate.FAILED]
    found.files[:] = sorted((file for file in found.files if file.name not in apart), key=lambda file: file.name)
    return found


def read_documents_alone(source: Path, problems: list[Problem]) -> tuple[list[Document], list[FileOutcome]]:
    """The documents of a dataset folder, questions left aside, or of a folder of files, and what became of these."""
    if (source / DOCUMENTS_FILE).is_file():
        return read_documents(source / DOCUMENTS_FILE, problems)[0], []
    rows = read_document_files(source, problems)
    return [Document(str(row["id"]), str(row["title"]), str(row["text"])) for row in rows.documents], rows.files


def lost_documents(files: Sequence[FileOutcome]) -> dict[str, str]:
    """Why documents were not read, by the ids that they would have."""
    return {_document_id(file.name): file.detail for file in files if file.fate is Fate.FAILED}


def _find_files(source: Path, files: list[FileOutcome]) -> list[Path]:
    """Documents and tables below a folder, in order; what is neither goes to `files`."""
    paths: list[Path] = []

    def leave_out(path: Path, why: str) -> None:
        files.append(FileOutcome(path.relative_to(source).as_posix(), Fate.LEFT_OUT, why))

    for folder, folders, names in os.walk(source):
        below = Path(folder)
        for name in sorted(folders):
            # What tools keep: copies of editors, environments, version control.
            if name.startswith(".") or (below / name).is_symlink():
                leave_out(below / name, "a hidden folder" if name.startswith(".") else "a link to a folder")
                folders.remove(name)
        for path in (below / name for name in names):
            if path.name.startswith("."):
                leave_out(path, "a hidden file")
            elif not path.is_file():
                leave_out(path, "not a file")
            elif path.name in (DOCUMENTS_FILE, QUESTIONS_FILE, HUMAN_LABELS_FILE):
                leave_out(path, "part of a dataset folder, which needs no import; `tuningfork validate` reads it")
            elif _ending(path) in LOADERS:
                paths.append(path)
            else:
                leave_out(path, why_not_read(path.name) or other_kind())
    return sorted(paths)


def other_kind() -> str:
    """Why a file of an unknown kind is left out."""
    return f"only {_endings()} files are read"


def _question_table(source: Path, paths: Sequence[Path], problems: list[Problem]) -> Path | None:
    """The one table of questions: where there are several tables, the one whose columns say so."""
    tables = [path for path in paths if _ending(path) == "csv"]
    asking = [path for path in tables if is_question_header(_first_line(path))] if len(tables) > 1 else tables
    if len(asking) == 1:
        return asking[0]
    names = ", ".join(path.relative_to(source).as_posix() for path in asking or tables) or "none"
    what = "exactly one .csv file of questions is needed (columns question and answer)"
    problems.append(Problem(str(source), None, f"{what}; found: {names}"))
    return None


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    text = start.decode("utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "ignore")
    lines = [line for line in text.splitlines() if line.strip(" ,;\t") and not line.lower().startswith("sep=")]
    return lines[0] if lines else ""


def card_text(name: str, task: Task) -> str:
    """A card that says what is known of imported files, for the user to complete."""
    values = {
        "name": name,
        "task": str(task),
        "language": "und",
        "licence": "not stated",
        "description": f"Imported from the folder {name}.",
    }
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def _read_texts(source: Path, paths: Sequence[Path], problems: list[Problem], found: FolderRows) -> None:
    taken: dict[str, str] = {}
    for path in list(paths):
        name = path.relative_to(source).as_posix()
        if (document_id := _document_id(name)) in taken:
            problems.append(Problem(name, None, f"would have the same id as {taken[document_id]}; rename one of them"))
        taken.setdefault(document_id, name)
    for path, outcome in zip(paths, convert_files(paths), strict=True):
        name = path.relative_to(source).as_posix()
        row, file = _document(path, name, outcome)
        found.files.append(file)
        if row:
            found.documents.append(row)


def _document(path: Path, name: str, outcome: Outcome) -> tuple[dict[str, object], FileOutcome]:
    """The row of a document, empty where it is not read, and what became of its file."""
    if isinstance(outcome, UnreadableFileError):
        return {}, FileOutcome(name, Fate.FAILED, str(outcome), outcome.line)
    # An empty first page is a page.
    text = without_embedded_data(outcome.text).strip(None if PAGE_BREAK not in outcome.text else " \t\r\n")
    notes = list(outcome.notes)
    if len(text) < len(outcome.text.strip()):
        notes.append("files written as text, such as pictures, were left out of it")
    if not text.strip():
        return {}, FileOutcome(name, Fate.FAILED, "it holds nothing but files written as text, such as pictures")
    title = _title(path, outcome, text)[:_MAX_TITLE_CHARACTERS]
    n_pages = text.count(PAGE_BREAK) + 1 if PAGE_BREAK in text or _ending(path) == "pdf" else 0
    row: dict[str, object] = {"id": _document_id(name), "title": title, "text": text}
    if n_pages:
        row["title"] = f"{title} ({path.name})" if title != path.name else title
    if _ending(path) not in PLAIN:
        row["metadata"] = {"file": name} | ({"pages": n_pages} if n_pages else {})
    return row, FileOutcome(name, Fate.DOCUMENT, "; ".join(notes), None, _document_id(name), n_pages)


def _title(path: Path, loaded: Loaded, text: str) -> str:
    # In plain text a line that begins with # is a comment or a number.
    of_text = title_of(text) if _ending(path) != "txt" else ""
    return loaded.title or of_text or re.sub(r"[-_]+", " ", path.stem).strip()


def _document_id(name: str) -> str:
    return same_name(Path(name).with_suffix("").as_posix())


def _endings() -> str:
    *others, last = (f".{ending}" for ending in LOADERS)
    return f"{', '.join(others)} or {last}"


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
