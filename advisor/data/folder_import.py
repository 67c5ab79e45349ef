"""A plain folder of texts and one table of questions, made into a dataset folder.

handbook/            documents: every file below the folder that a loader reads; the id is the path without its ending
questions.csv        columns: question, answer; optional: document, group, split, answerable
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from advisor.data.dataset import Split, Task
from advisor.data.files import CARD_FILE, DOCUMENTS_FILE, QUESTIONS_FILE, Problem
from advisor.data.loaders import LOADERS, UnreadableFileError, load_document
from advisor.errors import DatasetError

ANSWER_SEPARATOR = "|"
_COLUMNS = frozenset({"question", "answer", "document", "group", "split", "answerable", "id"})
_NO = frozenset({"no", "false", "0"})
_MAX_TITLE_CHARACTERS = 120


def import_folder(source: Path, destination: Path, *, task: Task = Task.QUESTION_ANSWERING) -> Path:
    """Write `destination` as a dataset folder with the texts and questions of `source`.

    Args:
        source: Holds .md and .txt files, at any depth, and exactly one .csv file of questions.
        destination: Must not exist yet, or be empty; nothing of the user's is overwritten.
        task: Written into the card, which the user then completes.
    Returns:
        The destination.
    Raises:
        DatasetError: lists every problem with file and line.
    """
    problems: list[Problem] = []
    if not source.is_dir():
        raise DatasetError(
            f"{source}: there is no such folder; give one with {_endings()} files and a .csv of questions"
        )
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DatasetError(f"{destination} exists and is not empty; choose another folder, nothing was written")
    documents, questions = read_folder(source, problems)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise DatasetError(f"the folder {source} cannot be imported:\n{listed}")
    destination.mkdir(parents=True, exist_ok=True)
    write_rows(destination / DOCUMENTS_FILE, documents)
    write_rows(destination / QUESTIONS_FILE, questions)
    (destination / CARD_FILE).write_text(card_text(source.resolve().name, task), encoding="utf-8")
    return destination


def read_folder(source: Path, problems: list[Problem]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Rows of documents and of questions, adding everything wrong to `problems`."""
    documents = _read_texts(source, problems)
    return documents, _read_table(source, {row["id"] for row in documents}, problems)


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


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _loaded(path: Path, name: str, ending: str, problems: list[Problem]) -> str | None:
    try:
        return load_document(ending, path.read_bytes())
    except UnreadableFileError as error:
        problems.append(Problem(name, error.line, str(error)))
        return None


def _read_texts(source: Path, problems: list[Problem]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    taken: dict[str, str] = {}
    for path in sorted(p for p in source.rglob("*") if _ending(p) in LOADERS and p.is_file()):
        name = path.relative_to(source).as_posix()
        document_id = str(Path(name).with_suffix("").as_posix())
        if document_id in taken:
            problems.append(Problem(name, None, f"would have the same id as {taken[document_id]}; rename one of them"))
            continue
        taken[document_id] = name
        text = _loaded(path, name, _ending(path), problems)
        if text is None:
            continue
        if not text.strip():
            problems.append(Problem(name, None, "the file is empty; fill it or take it out of the folder"))
            continue
        rows.append({"id": document_id, "title": _title(text, path), "text": text.strip()})
    if not taken:
        problems.append(Problem(str(source), None, f"no {_endings()} file is below the folder; add the documents"))
    return rows


def _endings() -> str:
    return " or ".join(f".{ending}" for ending in LOADERS)


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _title(text: str, path: Path) -> str:
    """The first Markdown heading, else the file's name in words."""
    heading = re.search(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", text, flags=re.MULTILINE)
    title = heading.group(1) if heading else re.sub(r"[-_]+", " ", path.stem).strip()
    return title[:_MAX_TITLE_CHARACTERS]


def _read_table(source: Path, document_ids: set[object], problems: list[Problem]) -> list[dict[str, object]]:
    tables = sorted(p for p in source.rglob("*") if p.suffix.lower() == ".csv" and p.is_file())
    if len(tables) != 1:
        found = ", ".join(p.relative_to(source).as_posix() for p in tables) or "none"
        problems.append(Problem(str(source), None, f"exactly one .csv file of questions is needed; found: {found}"))
        return []
    name = tables[0].relative_to(source).as_posix()
    text = _loaded(tables[0], name, "txt", problems)
    if text is None:
        return []
    first_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first_line.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [column.strip().lower() for column in reader.fieldnames or ()]
    missing = [column for column in ("question", "answer") if column not in columns]
    unknown = [column for column in columns if column not in _COLUMNS]
    twice = [column for column in columns if columns.count(column) > 1]
    if missing or unknown or twice:
        what = f'the column "{missing[0]}" is missing' if missing else ""
        what = what or (f'the column "{unknown[0]}" is unknown' if unknown else f'the column "{twice[0]}" stands twice')
        problems.append(Problem(name, 1, f"{what}; columns are question, answer, document, group, split, answerable"))
        return []
    reader.fieldnames = columns
    rows: list[tuple[int, dict[str, object]]] = []
    try:
        for cells in reader:
            # The reader counts the last line of a row; cells may hold line breaks.
            line = reader.line_num - sum(value.count("\n") for value in cells.values() if isinstance(value, str))
            rows.append((line, _question(cells, len(rows) + 1, name, line, document_ids, problems)))
    except csv.Error as error:
        problems.append(
            Problem(
                name,
                reader.reader.line_num,
                f"not readable CSV: {error}; a cell with a quote or line break needs quotes",
            )
        )
    _check_together(rows, name, problems)
    if not rows and not problems:
        problems.append(Problem(name, None, "the table holds no question; add a line for each"))
    return [row for _, row in rows]


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


def _question(
    cells: Mapping[str | None, str | None],
    number: int,
    name: str,
    line: int,
    document_ids: set[object],
    problems: list[Problem],
) -> dict[str, object]:
    if None in cells:
        problems.append(Problem(name, line, "more cells than columns; put a cell that holds the separator in quotes"))

    def cell(column: str) -> str:
        return (cells.get(column) or "").strip()

    answerable = cell("answerable").lower() not in _NO
    answers = [part.strip() for part in cell("answer").split(ANSWER_SEPARATOR) if part.strip()]
    cited = [part.strip() for part in cell("document").split(ANSWER_SEPARATOR) if part.strip()]
    cited = [
        part if part in document_ids or _ending(Path(part)) not in LOADERS else part.rpartition(".")[0]
        for part in cited
    ]
    if not cell("question"):
        problems.append(Problem(name, line, "the question is empty; fill it in or remove the line"))
    if answerable and not answers:
        problems.append(Problem(name, line, "the answer is empty; give one, or write no in the column answerable"))
    for unknown in [part for part in cited if part not in document_ids]:
        problems.append(Problem(name, line, f'the document "{unknown}" is not in the folder; fix the name'))
    split = cell("split").lower()
    if split and split not in set(Split):
        problems.append(Problem(name, line, f'the split "{split}" is unknown; say train, validation or test'))
    row: dict[str, object] = {"id": cell("id") or f"q{number:04d}", "question": cell("question"), "answers": answers}
    if not answerable:
        row |= {"answers": [], "answerable": False}
    row["document_ids"] = cited
    row |= {key: value for key, value in (("group", cell("group")), ("split", split)) if value}
    return row
