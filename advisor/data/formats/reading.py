"""Import: a file or folder in whatever format it is, recognised by content, made into a dataset folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from advisor.data.dataset import Split, Task
from advisor.data.files import (
    CARD_FILE,
    DOCUMENTS_FILE,
    HUMAN_LABELS_FILE,
    QUESTIONS_FILE,
    Problem,
    problem_list,
    write_rows,
)
from advisor.data.folder_import import (
    Fate,
    FileOutcome,
    FolderRows,
    card_text,
    lost_documents,
    read_document_files,
    read_folder,
)
from advisor.data.formats.format import Format, Imported
from advisor.data.formats.rows import READERS, SourceFile, SourceRow, UnreadableRowsError
from advisor.data.formats.table import FORMATS, format_of
from advisor.data.loaders import LOADERS
from advisor.data.question_table import read_table_file
from advisor.data.text_encoding import UnreadableTextError
from advisor.errors import DatasetError

_TABLES = ("csv", "tsv", "xlsx")
_NOT_ROWS = frozenset({"dataset_info.json", "dataset_dict.json", "state.json"})


@dataclass
class _Found:
    """A file of rows, its first row looked at."""

    file: SourceFile
    first: SourceRow | None
    rows: Iterator[SourceRow]
    format: Format | None
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImportedData:
    """What was read, before anything is written.

    Attributes:
        sentence: What was recognised, and how much of it there is.
        notes: What was assumed or left out, a sentence each.
        instruction: That all conversations began with; "" where they did not.
        files: What became of every file.
    """

    documents: Sequence[Mapping[str, object]]
    questions: Sequence[Mapping[str, object]]
    sentence: str
    notes: tuple[str, ...] = ()
    instruction: str = ""
    files: tuple[FileOutcome, ...] = ()


def import_data(
    source: Path,
    destination: Path,
    *,
    task: Task = Task.QUESTION_ANSWERING,
    columns: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    files: list[FileOutcome] | None = None,
) -> Path:
    """Write `destination` as a dataset folder with what `source` holds.

    Args:
        source: A file or folder.
        destination: Must not exist yet, or be empty; nothing of the user's is overwritten.
        task: Written into the card, which the user then completes, unless the source has one.
        columns: Names of columns or fields in the source, by the names that are read.
        tell: Gets what was recognised, before anything is written, and then what was left out.
        files: Gets what became of every file.
    Returns:
        The destination.
    Raises:
        DatasetError: lists every problem with file and line.
    """
    if not source.exists():
        raise DatasetError(f"{source}: there is no such file or folder")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DatasetError(f"{destination} exists and is not empty; choose another folder, nothing was written")
    problems: list[Problem] = []
    read = read_data(source, problems, columns=columns)
    if problems:
        raise DatasetError(problem_list(f"{source} cannot be imported", problems))
    tell(read.sentence)
    for note in read.notes:
        tell(f"note: {note}")
    destination.mkdir(parents=True, exist_ok=True)
    write_rows(destination / DOCUMENTS_FILE, read.documents)
    write_rows(destination / QUESTIONS_FILE, read.questions)
    if files is not None:
        files += read.files
    card = source / CARD_FILE
    if card.is_file():
        shutil.copyfile(card, destination / CARD_FILE)
    else:
        text = card_text(source.resolve().stem, task)
        if read.instruction:
            text += f"instruction = {json.dumps(read.instruction, ensure_ascii=False)}\n"
        (destination / CARD_FILE).write_text(text, encoding="utf-8")
    return destination


def read_data(
    source: Path, problems: list[Problem], *, columns: Mapping[str, str] | None = None, apart: Iterable[str] = ()
) -> ImportedData:
    """What a file or folder holds, adding everything wrong to `problems`.

    Args:
        apart: Names of files that are no part of it.
    """
    out = Imported(problems=problems)
    found = [_look(file, columns or {}) for file in _row_files(source, frozenset(apart))]
    tables = _question_tables(source, found, columns or {})
    asking = [one for one in found if one.format is not None and not _is_table(one)]
    documents = [one for one in found if _holds_documents(one)]
    has_ours = any(Path(one.file.name).name == DOCUMENTS_FILE for one in documents)
    if source.is_dir() and not asking and not columns and not has_ours and not _lack_csv(tables):
        broken = [one for one in found if _ending(one.file.path) not in LOADERS]
        return _of_folder(source, [one for one in broken if not tables], problems, apart)
    formats = list(dict.fromkeys(one.format for one in asking if one.format is not None))
    if len(formats) > 1 or (asking and tables):
        names = ", ".join(
            f"{one.file.name} ({one.format.label if one.format else 'a table'})" for one in asking + tables
        )
        problems.append(Problem(str(source), None, f"files of several formats; import each alone: {names}"))
        return ImportedData((), (), "")
    if not asking and not tables and source.is_file():
        problems += [problem for one in found for problem in one.problems] or [_unknown(source, found, columns or {})]
        return ImportedData((), (), "")
    for one in documents:
        _read_documents(one, out)
    texts = _texts_beside(source, [*asking, *tables, *documents], apart, out)
    if asking:
        form = formats[0]
        form.read(chain.from_iterable(_with_split(one, asking, out) for one in _in_order(asking)), out)
        label = form.label
    elif len(tables) == 1:
        label = "a table of questions"
        name, lost = tables[0].file.name, lost_documents(texts.files)
        table = read_table_file(tables[0].file.path, name, out.documents.keys(), problems, columns or {}, lost=lost)
        out.questions += table.rows
        out.notes += table.divided
    else:
        names = ", ".join(one.file.name for one in tables) or "none"
        problems.append(Problem(str(source), None, f"exactly one file of questions is needed; found: {names}"))
        return ImportedData((), (), "")
    for one in (*asking, *documents):
        problems += one.problems
        out.notes += one.notes
    _check_splits(out)
    if not out.questions and not problems:
        reasons = "; ".join(out.told_left_out()) or "the file holds no row"
        problems.append(Problem(str(source), None, f"no question is left: {reasons}"))
    notes = [*out.told_left_out(), *map(str, [*out.notes, *texts.notes])]
    n_told = sum(out.instructions.values())
    instruction = next(iter(out.instructions)) if len(out.instructions) == 1 and n_told >= len(out.questions) else ""
    if out.instructions and not instruction:
        notes.append(
            f"{n_told} system texts were left out, since they differ: an instruction is the same for all questions"
        )
    return ImportedData(
        list(out.documents.values()),
        out.questions,
        _sentence(source, label, out),
        tuple(notes),
        instruction,
        tuple(sorted(texts.files, key=lambda file: file.name)),
    )


def _texts_beside(source: Path, read: Sequence[_Found], apart: Iterable[str], out: Imported) -> FolderRows:
    """Documents in files of their own beside the files of rows, and what became of every file."""
    outcomes = [FileOutcome(one.file.name, Fate.DOCUMENT if _holds_documents(one) else Fate.QUESTIONS) for one in read]
    if source.is_file():
        return FolderRows([], [], outcomes, [])
    about = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.name in _NOT_ROWS}
    settings = about | ({CARD_FILE} if (source / CARD_FILE).is_file() else set())
    rows = read_document_files(source, out.problems, apart={*(one.file.name for one in read), *settings, *apart})
    out.documents.update({str(row["id"]): row for row in rows.documents})
    outcomes += [FileOutcome(name, Fate.SETTINGS) for name in settings.difference(apart)]
    return replace(rows, files=[*rows.files, *outcomes])


def _row_files(source: Path, apart: frozenset[str]) -> list[SourceFile]:
    """Files that could hold rows, in order; what tools keep beside them is passed over."""
    if source.is_file():
        return [SourceFile(source, source.name)] if _ending(source) in READERS else []
    found = []
    for folder, folders, names in os.walk(source):
        below = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (below / name).is_symlink())
        for name in sorted(names):
            path = below / name
            relative = path.relative_to(source).as_posix()
            fit = _ending(path) in READERS and name not in (*_NOT_ROWS, HUMAN_LABELS_FILE) and relative not in apart
            if fit and not name.startswith((".", "cache-")) and path.is_file():
                found.append(SourceFile(path, relative))
    return found


def _look(file: SourceFile, columns: Mapping[str, str]) -> _Found:
    notes: list[str] = []
    problems: list[Problem] = []
    rows = _renamed(_safely(file, notes, problems), columns)
    first = next(rows, None)
    form = format_of(first.value) if first is not None else None
    told = [Problem(file.name, None, note) for note in notes]
    return _Found(file, first, chain([first] if first else [], rows), form, problems, told)


def _safely(file: SourceFile, notes: list[str], problems: list[Problem]) -> Iterator[SourceRow]:
    try:
        yield from file.rows(notes)
    except (UnreadableRowsError, UnreadableTextError) as error:
        problems.append(Problem(file.name, error.line, str(error)))
    except Exception as error:  # Whatever a parser raises is a fault of the file's.
        problems.append(Problem(file.name, None, f"broken, or not what its name says ({error}); save it again"[:400]))


def _renamed(rows: Iterator[SourceRow], columns: Mapping[str, str]) -> Iterator[SourceRow]:
    for row in rows:
        value = dict(row.value) if columns else row.value
        for name, said in columns.items():
            if said in row.value:
                value.pop(said, None)  # type: ignore[attr-defined]
                value[name] = row.value[said]  # type: ignore[index]
        yield replace(row, value=value)


def _holds_documents(one: _Found) -> bool:
    """Whether rows are documents of ours."""
    return one.first is not None and one.format is None and {"id", "text"} <= one.first.value.keys()


def _is_table(one: _Found) -> bool:
    """Whether it is a table of questions that people write: of another tool's format none is taken for one."""
    ours = one.format in (FORMATS["csv"], FORMATS["hugging-face"])
    return ours and _ending(one.file.path) in _TABLES


def _question_tables(source: Path, found: Sequence[_Found], columns: Mapping[str, str]) -> list[_Found]:
    """Tables whose columns say that they hold questions; where a table must do, the only one whatever they say."""
    tables = [one for one in found if _is_table(one)]
    others = [one for one in found if one.format is None and _ending(one.file.path) in _TABLES]
    if tables or any(one.format for one in found) or (source.is_dir() and not columns):
        return tables
    return others if len(others) == 1 else []


def _lack_csv(tables: Sequence[_Found]) -> bool:
    """Whether the questions stand in a table of another kind."""
    return bool(tables) and not any(_ending(one.file.path) == "csv" for one in tables)


def _read_documents(one: _Found, out: Imported) -> None:
    for row in one.rows:
        title, document_id = row.value.get("title"), row.value.get("id")
        made = out.add_document(
            row, row.value.get("text"), title if isinstance(title, str) else "", str(document_id or "")
        )
        metadata = row.value.get("metadata")
        if made and isinstance(metadata, Mapping) and metadata:
            out.documents[made]["metadata"] = dict(metadata)


def _in_order(found: Sequence[_Found]) -> list[_Found]:
    order = [str(split) for split in Split]
    return sorted(found, key=lambda one: (order.index(one.file.split) if one.file.split else 0, one.file.name))


def _with_split(one: _Found, asking: Sequence[_Found], out: Imported) -> Iterator[SourceRow]:
    """Rows with the split that their file's name says, if all files together make a split with a test part."""
    said = {other.file.split for other in asking if other.format is one.format}
    split = one.file.split
    if len(said - {""}) < 2 or (Split.TEST.value not in said and Split.VALIDATION.value not in said):
        split = ""
    elif Split.TEST.value not in said and split == Split.VALIDATION.value:
        split = Split.TEST.value
        out.notes.append(Problem(one.file.name, None, "read as the test split, since no file is one"))
    return (replace(row, split=split) for row in one.rows)


def _check_splits(out: Imported) -> None:
    without = [str(row["id"]) for row in out.questions if "split" not in row]
    if without and len(without) < len(out.questions):
        what = f"{len(without)} questions have no split, though others have one, the first is {without[0]}"
        out.problems.append(Problem(QUESTIONS_FILE, None, f"{what}; say train, validation or test"))


def _of_folder(source: Path, unread: Sequence[_Found], problems: list[Problem], apart: Iterable[str]) -> ImportedData:
    """Documents with one .csv of questions; files that hold no rows are told where there is none."""
    rows = read_folder(source, problems, apart=frozenset((*apart, CARD_FILE)))
    if not any(file.fate is Fate.QUESTIONS for file in rows.files):
        problems += [problem for one in unread for problem in one.problems]
    out = Imported(problems=problems)
    out.documents, out.questions = {str(row["id"]): row for row in rows.documents}, rows.questions
    label = "documents and a table of questions"
    files = [FileOutcome(file.name, Fate.SETTINGS) if file.name == CARD_FILE else file for file in rows.files]
    return ImportedData(
        rows.documents, rows.questions, _sentence(source, label, out), tuple(map(str, rows.notes)), files=tuple(files)
    )


def _unknown(source: Path, found: Sequence[_Found], columns: Mapping[str, str]) -> Problem:
    known = ", ".join(dict.fromkeys(one.label for one in FORMATS.values()))
    first = next((one.first for one in found if one.first is not None), None)
    if first is None:
        return Problem(
            source.name, None, f"no rows can be read in it; known are {', '.join(sorted(READERS))} files of {known}"
        )
    if missing := [said for said in columns.values() if said not in first.value.keys() | columns.keys()]:
        return Problem(
            source.name, first.line, f"there is no column {missing[0]!r}; there are {', '.join(first.value)}"
        )
    fields = ", ".join(map(str, first.value))
    remedy = "name question and answer with --column question=NAME --column answer=NAME"
    return Problem(
        source.name, first.line, f"its format is not known (fields: {fields}); known are {known}; or {remedy}"
    )


def _sentence(source: Path, label: str, out: Imported) -> str:
    n_none = sum(row.get("answerable") is False for row in out.questions)
    n_several = sum(len(row["answers"]) > 1 for row in out.questions if isinstance(row["answers"], list))
    n_turns = sum("history" in row for row in out.questions)
    counts = [(n_several, "with several answers"), (n_none, "unanswerable"), (n_turns, "after other turns")]
    detail = ", ".join(f"{n} {what}" for n, what in counts if n)
    sizes = [(split, sum(row.get("split") == split for row in out.questions)) for split in Split]
    splits = ", ".join(f"{split} {n}" for split, n in sizes if n)
    left_out = sum(map(len, out.left_out.values()))
    return (
        f"{source.name or source} is read as {label}: {len(out.questions)} questions"
        f"{f' ({detail})' if detail else ''} and {len(out.documents)} documents{f'; split: {splits}' if splits else ''}"
        f"{f'; {left_out} rows are left out' if left_out else ''}."
    )


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def read_columns(given: Iterable[str]) -> dict[str, str]:
    """Names of columns in the source by ours, of texts such as `question=Frage`.

    Raises:
        DatasetError: a text without a name on both sides, or a name twice.
    """
    columns: dict[str, str] = {}
    for text in given:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not (ours and equals and theirs) or ours in columns:
            raise DatasetError(f"{text!r} names no column; write OURS=THEIRS once a column, as in question=Frage")
        columns[ours] = theirs
    return columns
