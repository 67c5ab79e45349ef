"""Tables of the report on the page: every cell as plain text."""

from html import escape

import pandas as pd
import streamlit as st

from advisor.report.table import Cell, RowKind, Table
from ui.untrusted import shown

_MARKS = {RowKind.PLAIN: "", RowKind.RECOMMENDED: "★ ", RowKind.REFERENCE: "◇ "}


def show_table(table: Table, key: str) -> None:
    """The table with its caption, and what its figures mean below."""
    st.markdown(f"**{shown(table.caption)}**")
    frame = table_frame(table)
    st.dataframe(
        frame,
        hide_index=True,
        column_config={str(frame.columns[0]): st.column_config.Column(pinned=True)},
        width="stretch",
        key=key,
        alt=table.caption,
    )
    kinds = {row.kind for row in table.rows}
    marks = [text for kind, text in _EXPLAINED.items() if kind in kinds]
    if note := " ".join([*marks, table.note]).strip():
        st.caption(shown(note))


def show_facts(table: Table) -> None:
    """The first table of a decision as the report draws it: names and figures in two lines, the winner's row tinted.

    On a phone the style of the page shows arm, score and price alone.
    """
    st.html(facts_html(table))
    st.caption(shown(table.note))


def facts_html(table: Table) -> str:
    """The table as HTML in which every text is escaped."""
    names = [" class='price'" if column.startswith("$") else "" for column in table.columns]
    head = "".join(
        f"<th scope='col'{name}>{escape(column)}</th>" for name, column in zip(names, table.columns, strict=True)
    )
    body = "".join(
        f"<tr class='{row.kind}'><th scope='row' dir='auto'>{_html(row.cells[0])}</th>"
        + "".join(f"<td{name}>{_html(cell)}</td>" for name, cell in zip(names[1:], row.cells[1:], strict=True))
        + "</tr>"
        for row in table.rows
    )
    caption = escape(table.caption)
    return (
        f"<div class='facts' tabindex='0' role='region' aria-label='{caption}'><table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _html(cell: Cell) -> str:
    return escape(cell.text) + (f"<small>{escape(cell.detail)}</small>" if cell.detail else "")


_EXPLAINED = {
    RowKind.RECOMMENDED: "★ is the arm named in the verdict.",
    RowKind.REFERENCE: "◇ is a reference: it gives scale and cannot be chosen.",
}


def table_frame(table: Table) -> pd.DataFrame:
    """Rows and columns as text; what is said of a row beside its name comes last, so that figures are seen first."""
    columns = [name or f"column {i}" for i, name in enumerate(table.columns, 1)]
    rows = [[_MARKS[row.kind] + row.cells[0].text, *map(_text, row.cells[1:])] for row in table.rows]
    frame = pd.DataFrame(rows, columns=columns)
    details = [row.cells[0].detail for row in table.rows]
    return frame.assign(details=details) if any(details) else frame


def _text(cell: Cell) -> str:
    return f"{cell.text} · {cell.detail}" if cell.detail else cell.text
