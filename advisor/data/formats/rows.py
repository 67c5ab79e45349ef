"""Files as rows of named values, each with its place: JSON, JSON lines, tables, Excel, Parquet, Arrow, YAML."""

import csv
import io
import json
import re
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from advisor.data.text_encoding import decode_text
from advisor.errors import UnreadableError

MAX_UNPACKED_BYTES = 2**30
"""Of a compressed table; more is taken for a mistake, or worse."""
_YAML_ROWS = 500
_ROWS_KEYS = ("data", "tests", "rows", "examples", "samples", "questions")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|validation|valid|val|dev|test|eval)(?:[^a-z]|$)")
_TEXT_OR_BRACE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}]', re.DOTALL)
_SPLIT_NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}


class UnreadableRowsError(UnreadableError):
    """A file holds no rows."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row.

    Attributes:
        line: From 1; of a binary table the number of the row.
        split: What the file's name or folder says; "" where it says nothing.
    """

    file: str
    line: int | None
    value: Mapping[str, Any]
    split: str = ""


class Located(dict[str, Any]):
    """An object that knows the line it begins on."""

    __slots__ = ("line",)
    line: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of rows.

    Attributes:
        name: Relative to what is imported.
    """

    path: Path
    name: str

    @property
    def split(self) -> str:
        """The split that the name says, as `data/train-00000-of-00001.parquet` does; "" if none."""
        found = _SPLIT.search(self.name.lower())
        return _SPLIT_NAMES.get(found[1], found[1]) if found else ""

    def rows(self, notes: list[str]) -> Iterator[SourceRow]:
        """All rows; what was assumed to read them goes to `notes`.

        Raises:
            UnreadableRowsError: why, and where.
            DatasetError: its text cannot be decoded.
        """
        reader = READERS[self.path.suffix.lower().removeprefix(".")]
        for line, value in reader(self.path, notes):
            yield SourceRow(self.name, line, value, self.split)


Numbered = Iterator[tuple[int | None, Mapping[str, Any]]]


def _text(path: Path, notes: list[str]) -> str:
    decoded = decode_text(path.read_bytes())
    if decoded.assumed:
        notes.append(decoded.assumed)
    return decoded.text


def _json_lines(path: Path, notes: list[str]) -> Numbered:
    for number, line in enumerate(_text(path, notes).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UnreadableRowsError(
                f"not a JSON object: {_json_fault(error)}; one belongs on one line", number
            ) from None
        if not isinstance(value, dict):
            raise UnreadableRowsError(f"a JSON {type(value).__name__}, not an object; write {{...}}", number)
        yield number, value


def _json_fault(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"


def _json(path: Path, notes: list[str]) -> Numbered:
    yield from _listed(located_json(_text(path, notes)))


def located_json(text: str) -> Any:
    """A JSON value whose objects know their lines.

    Raises:
        UnreadableRowsError: the place where it is no JSON.
    """
    lines = iter(_lines_of_objects(text))

    def locate(value: dict[str, Any]) -> Located:
        located = Located(value)
        located.line = next(lines, 0)
        return located

    try:
        return json.loads(text, object_hook=locate)
    except json.JSONDecodeError as error:
        raise UnreadableRowsError(f"not readable JSON: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise UnreadableRowsError(f"not readable JSON: {_json_fault(error)}") from None


def _lines_of_objects(text: str) -> Sequence[int]:
    """The line that each object begins on, in the order in which they end: in which the decoder is done with them.

    The decoder itself tells no place, unless it runs in Python, which takes ten times as long.
    """
    lines = array("L")
    begun: list[int] = []
    line, seen = 1, 0
    for mark in _TEXT_OR_BRACE.finditer(text):
        start = mark.start()
        if text[start] == "{":
            line, seen = line + text.count("\n", seen, start), start
            begun.append(line)
        elif text[start] == "}" and begun:
            lines.append(begun.pop())
    return lines


def _listed(value: Any) -> Numbered:
    """The rows of a file that is a list, or an object with one under a usual name."""
    if isinstance(value, Mapping):
        value = next((value[key] for key in _ROWS_KEYS if isinstance(value.get(key), list)), [value])
    if not isinstance(value, list):
        raise UnreadableRowsError(f"a {type(value).__name__}, not a list of objects", 1)
    for number, row in enumerate(value, 1):
        if not isinstance(row, Mapping):
            raise UnreadableRowsError(f"entry {number} is a {type(row).__name__}, not an object")
        yield getattr(row, "line", None), row


def _yaml(path: Path, notes: list[str]) -> Numbered:
    text = _text(path, notes)
    starts = [match.start() for match in re.finditer(r"^- ", text, flags=re.MULTILINE)]
    # The parser needs a hundred times the bytes; a plain list is read in pieces, what stands before it only comments.
    is_list = bool(starts) and not re.search(r"^[^#\s-]", text, flags=re.MULTILINE) and not re.search(r"[&*]\w", text)
    cuts = [0, *starts[_YAML_ROWS::_YAML_ROWS], len(text)] if is_list else [0, len(text)]
    line = 0
    for start, end in pairwise(cuts):
        yield from _listed(_located_yaml(text[start:end], line))
        line += text.count("\n", start, end)


def _located_yaml(text: str, line: int) -> Any:
    """A YAML value whose objects know their lines, the first of which is `line`, counted from 0."""
    import yaml

    class Loader(yaml.CSafeLoader):  # type: ignore[misc]
        pass

    def mapping(loader: Any, node: Any) -> Located:
        value = Located(loader.construct_mapping(node, deep=True))
        value.line = line + node.start_mark.line + 1
        return value

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = f"not readable YAML: {getattr(error, 'problem', '') or error}"
        raise UnreadableRowsError(what, line + mark.line + 1 if mark else None) from None
    except RecursionError:
        raise UnreadableRowsError("not readable YAML: nested too deeply") from None


def table_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a delimited text that hold anything, each with its line from 1; the first names the columns.

    Spreadsheets add what is no content: a line `sep=;`, empty columns and rows.

    Raises:
        UnreadableRowsError: a cell with a quote or line break stands without quotes.
    """
    head, _, rest = text.partition("\n")
    told = re.fullmatch(r"sep=(.)\s*", head, flags=re.IGNORECASE)
    first_filled = next((line for line in text.split("\n") if line.strip(" ,;\t\r")), "")
    delimiter = told[1] if told else max(",;\t", key=first_filled.count)
    # A cell may be as long as the file, whose size others limit.
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(rest if told else text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            # The reader counts the last line of a row; cells may hold line breaks.
            line = reader.line_num - sum(cell.count("\n") for cell in cells) + bool(told)
            if any(cell.strip() for cell in cells):
                yield line, cells
    except csv.Error as error:
        what = f"not readable CSV: {error}; a cell with a quote or line break needs quotes"
        raise UnreadableRowsError(what, reader.line_num + bool(told)) from None


def excel_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The same of the first sheet that holds anything; the line is the number of the row.

    Raises:
        UnreadableRowsError: it is no workbook.
    """
    from zipfile import BadZipFile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise UnreadableRowsError(f"not a readable Excel workbook ({error}); save it as .xlsx or .csv") from None
    try:
        for sheet in book.worksheets:
            filled = False
            for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                texts = [_cell(cell) for cell in cells]
                if any(text.strip() for text in texts):
                    filled = True
                    yield number, texts
            if filled:
                return
    finally:
        book.close()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    # Whole numbers are stored as 24.0.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _named(lines: Iterator[tuple[int, list[str]]]) -> Numbered:
    columns: list[str] | None = None
    for line, cells in lines:
        if columns is None:
            columns = [cell.strip() for cell in cells]
            continue
        yield line, {name: cell for name, cell in zip(columns, cells, strict=False) if name}


def _delimited(path: Path, notes: list[str]) -> Numbered:
    yield from _named(table_lines(_text(path, notes)))


def _excel(path: Path, _notes: list[str]) -> Numbered:
    yield from _named(excel_lines(path))


def _parquet(path: Path, _notes: list[str]) -> Numbered:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
            if sum(groups) > MAX_UNPACKED_BYTES:
                raise UnreadableRowsError(f"unpacks to over {MAX_UNPACKED_BYTES} bytes; divide it")
            yield from _batches(file.iter_batches(batch_size=4096))
    except pa.ArrowException as error:
        raise UnreadableRowsError(f"not a readable Parquet file: {error}") from None


def _arrow(path: Path, _notes: list[str]) -> Numbered:
    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as file:
            try:
                stream = pa.ipc.open_stream(file)
            except pa.ArrowInvalid:
                whole = pa.ipc.open_file(file)
                yield from _batches(whole.get_batch(i) for i in range(whole.num_record_batches))
            else:
                yield from _batches(stream)
    except pa.ArrowException as error:
        raise UnreadableRowsError(f"not a readable Arrow file: {error}") from None


def _batches(batches: Any) -> Numbered:
    number = n_bytes = 0
    for batch in batches:
        n_bytes += batch.nbytes
        if n_bytes > MAX_UNPACKED_BYTES:
            raise UnreadableRowsError(f"unpacks to over {MAX_UNPACKED_BYTES} bytes; divide it")
        for value in batch.to_pylist():
            number += 1
            yield number, value


READERS: Mapping[str, Callable[[Path, list[str]], Numbered]] = {
    "jsonl": _json_lines,
    "json": _json,
    "csv": _delimited,
    "tsv": _delimited,
    "xlsx": _excel,
    "parquet": _parquet,
    "arrow": _arrow,
    "yaml": _yaml,
    "yml": _yaml,
}
"""By the ending of a file's name."""
