"""Records as documents: CSV, JSON and JSON lines, as a table where the cells are short, else a section a record."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence

from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.plain import Loaded, UnreadableFileError, plain_text

_MAX_CELL_CHARACTERS = 160
_MAX_COLUMNS = 12


def csv_records(data: bytes) -> Loaded:
    """A table whose first row names the columns."""
    text = plain_text(data).text
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(",;\t|", key=first.count)
    csv.field_size_limit(sys.maxsize)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(row)]
    except csv.Error as error:
        raise UnreadableFileError(
            f"not readable CSV: {error}; a cell with a quote or line break needs quotes"
        ) from None
    if len(rows) < 2:
        raise UnreadableFileError("it holds no record below its first line; add some")
    return Loaded(_as_text(rows[0], rows[1:]))


def json_records(data: bytes) -> Loaded:
    """A list of objects as records; another value as an outline."""
    text = plain_text(data).text
    try:
        return Loaded(_of_value(json.loads(text)))
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"not readable JSON: {error.msg}", error.lineno) from None


def json_lines(data: bytes) -> Loaded:
    """A record on each line."""
    values = []
    for number, line in enumerate(plain_text(data).text.split("\n"), 1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise UnreadableFileError(f"not readable JSON: {error.msg}", number) from None
    return Loaded(_of_value(values))


def _of_value(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        columns = list(dict.fromkeys(key for one in value for key in one))
        text = _as_text(columns, [[_cell(one.get(column)) for column in columns] for one in value])
    else:
        text = "\n".join(_outline(value))
    if not text.strip():
        raise UnreadableFileError("it holds no value; fill it or take it out of the folder")
    return text


def _as_text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    longest = max((len(cell) for row in rows for cell in row), default=0)
    if longest <= _MAX_CELL_CHARACTERS and len(columns) <= _MAX_COLUMNS:
        return table([columns, *rows])
    return join_blocks([part for row in rows for part in _section(columns, row)])


def _section(columns: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    """A record under its first short cell, which most often is its name."""
    name = next((i for i, cell in enumerate(row) if cell.strip() and len(cell) <= _MAX_CELL_CHARACTERS), None)
    if name is not None:
        yield heading(2, row[name])
    for i, cell in enumerate(row):
        if cell.strip():
            column = columns[i].strip() if i < len(columns) else ""
            yield paragraph(f"{column}: {cell.strip()}" if column else cell)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _outline(value: object, level: int = 0) -> Iterator[str]:
    indent = "  " * level
    if isinstance(value, Mapping):
        for key, part in value.items():
            if isinstance(part, Mapping | list):
                yield f"{indent}- {key}:"
                yield from _outline(part, level + 1)
            else:
                yield f"{indent}- {key}: {_cell(part)}"
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, Mapping | list):
                yield from _outline(part, level + 1)
            else:
                yield f"{indent}- {_cell(part)}"
    elif value is not None:
        yield f"{indent}{_cell(value)}"
