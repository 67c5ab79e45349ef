"""A table before it has a format: plain, untrusted text that each format escapes in its own way."""

from dataclasses import dataclass
from enum import StrEnum


class RowKind(StrEnum):
    """What a row stands for. Formats may colour it, and the text says it too."""

    PLAIN = "plain"
    RECOMMENDED = "recommended"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is read first, and what is read second."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; the first cell names it."""

    cells: tuple[Cell, ...]
    kind: RowKind = RowKind.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table.

    Attributes:
        note: What the figures mean, in plain sentences.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


def row(*cells: Cell | str, kind: RowKind = RowKind.PLAIN) -> Row:
    """A row from cells and bare texts."""
    return Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells), kind)
