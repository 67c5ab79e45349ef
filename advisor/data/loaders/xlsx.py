"""Excel workbooks: a sheet is a section with a table, cells as the sheet shows them."""

import datetime as dt
import io
import itertools
import re
from typing import Any

from advisor.data.loaders.markdown import heading, join_blocks, table
from advisor.data.loaders.packed import open_package
from advisor.data.loaders.plain import Loaded, UnreadableFileError

MAX_CELLS = 500_000
_MAX_COLUMNS = 1_000
_MAX_EMPTY_ROWS = 10_000


def xlsx(data: bytes) -> Loaded:
    """All sheets that are shown, with the values that formulas had when the workbook was saved."""
    open_package(data, "xl/workbook.xml")
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    sections, hidden, n_cells = [], [], 0
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            hidden.append(sheet.title)
            continue
        rows: list[list[str]] = []
        n_empty = 0
        # What a sheet says of its size need not be true.
        sheet.reset_dimensions()
        for cells in sheet.iter_rows():
            row = [_shown(cell) for cell in itertools.islice(cells, _MAX_COLUMNS)]
            while row and not row[-1]:
                row.pop()
            n_cells += len(row)
            n_empty = 0 if row else n_empty + 1
            if n_cells > MAX_CELLS:
                raise UnreadableFileError(f"it holds over {MAX_CELLS:,} cells; divide it")
            if n_empty > _MAX_EMPTY_ROWS:
                break
            rows.append(row)
        if text := _section(rows):
            sections.append(f"{heading(2, sheet.title)}\n\n{text}")
    if not sections:
        raise UnreadableFileError("its sheets hold no values; if formulas make them, open it in Excel and save it")
    notes = (f"hidden sheets were left out: {', '.join(map(repr, hidden[:5]))}",) if hidden else ()
    return Loaded(join_blocks(sections), notes=notes)


def _section(rows: list[list[str]]) -> str:
    """Blocks of rows that empty rows divide: tables, and single cells as lines above them."""
    blocks: list[str] = []
    for filled, block in itertools.groupby(rows, key=any):
        if not filled:
            continue
        lines = list(block)
        while lines and sum(map(bool, lines[0])) == 1:
            blocks.append("".join(lines.pop(0)))
        if lines:
            blocks.append(table(lines))
    return join_blocks(blocks)


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "")
    return str(value).strip()


def _number(value: float, number_format: str) -> str:
    """As most formats show it: percentages as such, and the currency that the format names."""
    shown = re.sub(r'"[^"]*"|\[[^\]]*\]', "", number_format)
    if "%" in shown:
        return f"{value * 100:.10g}%"
    decimals = re.search(r"0\.(0+)", shown)
    number = f"{value:.{len(decimals[1])}f}" if decimals and "E" not in shown else f"{value:.15g}"
    currency = re.search(r"[$€£¥]", number_format)
    return f"{currency[0]}{number}" if currency else number
