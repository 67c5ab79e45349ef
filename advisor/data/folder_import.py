"""A plain folder of texts and one table of questions, made into a dataset folder.

handbook/            documents: every file below the folder that a loader reads; the id is the path without its ending
questions.csv        columns: question, answer; optional: document, group, split, answerable
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.data.dataset import Task
from advisor.data.document_text import title_of, without_embedded_data
from advisor.data.files import Problem
from advisor.data.loaders import LOADERS, UnreadableFileError, load_document, why_not_read
from advisor.data.question_table import read_table_file, same_name

_MAX_TITLE_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class FolderRows:
    """What a folder holds.

    Attributes:
        documents: As `documents.jsonl` has them. questions: as `questions.jsonl` has them.
        left_out: Files that are not read, and why.
        notes: What was read otherwise than it stands there, for the user to look at.
    """

    documents: list[dict[str, object]]
    questions: list[dict[str, object]]
    left_out: list[Problem]
    notes: list[Problem]


def read_folder(source: Path, problems: list[Problem]) -> FolderRows:
    """Rows of documents and of questions, adding everything wrong to `problems`."""
    texts, tables, left_out = _find_files(source)
    notes: list[Problem] = []
    documents = _read_texts(source, texts, problems, notes)
    found = FolderRows(documents, [], left_out, notes)
    if len(tables) != 1:
        names = ", ".join(path.relative_to(source).as_posix() for path in tables) or "none"
        problems.append(Problem(str(source), None, f"exactly one .csv file of questions is needed; found: {names}"))
        return found
    name = tables[0].relative_to(source).as_posix()
    table = read_table_file(tables[0], name, {str(row["id"]) for row in documents}, problems)
    found.questions.extend(table.rows)
    notes += table.divided
    return found


def read_texts(source: Path, problems: list[Problem], notes: list[Problem]) -> list[dict[str, object]]:
    """The documents below a folder alone, adding everything wrong to `problems`."""
    texts, _, _ = _find_files(source)
    return _read_texts(source, texts, problems, notes)


def _find_files(source: Path) -> tuple[list[Path], list[Path], list[Problem]]:
    """Documents and tables below a folder, in order, and what is neither."""
    texts: list[Path] = []
    tables: list[Path] = []
    notes: list[Problem] = []
    for folder, folders, files in os.walk(source):
        below = Path(folder)
        for name in sorted(folders):
            # What tools keep: copies of editors, environments, version control.
            if name.startswith(".") or (below / name).is_symlink():
                what = "a hidden folder" if name.startswith(".") else "a link to a folder"
                notes.append(_note(source, below / name, f"{what}; left out"))
                folders.remove(name)
        for path in sorted(below / name for name in files):
            if path.name.startswith("."):
                notes.append(_note(source, path, "a hidden file; left out"))
            elif not path.is_file():
                notes.append(_note(source, path, "not a file; left out"))
            elif path.suffix.lower() == ".csv":
                tables.append(path)
            elif _ending(path) in LOADERS:
                texts.append(path)
            else:
                notes.append(_note(source, path, _why_left_out(path)))
    return sorted(texts), sorted(tables), notes


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


def _why_left_out(path: Path) -> str:
    return why_not_read(path.name) or f"only {_endings()} files and one .csv are read"


def _note(source: Path, path: Path, message: str) -> Problem:
    return Problem(path.relative_to(source).as_posix(), None, message)


def _loaded(path: Path, name: str, ending: str, problems: list[Problem]) -> str | None:
    try:
        return load_document(ending, path.read_bytes())
    except UnreadableFileError as error:
        problems.append(Problem(name, error.line, str(error)))
        return None


def _read_texts(
    source: Path, paths: Sequence[Path], problems: list[Problem], notes: list[Problem]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    taken: dict[str, str] = {}
    for path in paths:
        name = path.relative_to(source).as_posix()
        document_id = same_name(Path(name).with_suffix("").as_posix())
        if document_id in taken:
            problems.append(Problem(name, None, f"would have the same id as {taken[document_id]}; rename one of them"))
            continue
        taken[document_id] = name
        loaded = _loaded(path, name, _ending(path), problems)
        if loaded is None:
            continue
        text = without_embedded_data(loaded).strip()
        if len(text) < len(loaded.strip()):
            notes.append(Problem(name, None, "holds files written as text, such as pictures; they were left out of it"))
        if not text:
            problems.append(Problem(name, None, "the file is empty; fill it or take it out of the folder"))
            continue
        # In plain text a line that begins with # is a comment or a number.
        title = (title_of(text) if _ending(path) != "txt" else "") or re.sub(r"[-_]+", " ", path.stem).strip()
        rows.append({"id": document_id, "title": title[:_MAX_TITLE_CHARACTERS], "text": text})
    if not taken:
        problems.append(Problem(str(source), None, f"no {_endings()} file is below the folder; add the documents"))
    return rows


def _endings() -> str:
    return " or ".join(f".{ending}" for ending in LOADERS)


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
