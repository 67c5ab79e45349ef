"""Tables of the report on the page: every cell as plain text."""

import pandas as pd
import streamlit as st

from advisor.report.table import Cell, Row, RowKind, Table
from ui.untrusted import shown

_MARKS = {RowKind.PLAIN: "", RowKind.RECOMMENDED: "★ ", RowKind.REFERENCE: "◇ "}


def show_table(table: Table, key: str) -> None:
    """The table with its caption, and what its figures mean below."""
    st.markdown(f"**{shown(table.caption)}**")
    st.dataframe(
        table_frame(table),
        hide_index=True,
        width="stretch",
        key=key,
        alt=table.caption,
    )
    kinds = {row.kind for row in table.rows}
    marks = [text for kind, text in _EXPLAINED.items() if kind in kinds]
    if note := " ".join([*marks, table.note]).strip():
        st.caption(shown(note))


_EXPLAINED = {
    RowKind.RECOMMENDED: "★ is the arm named in the verdict.",
    RowKind.REFERENCE: "◇ is a reference: it gives scale and cannot be chosen.",
}


def table_frame(table: Table) -> pd.DataFrame:
    """Rows and columns as text."""
    columns = [name or f"column {i}" for i, name in enumerate(table.columns, 1)]
    return pd.DataFrame([_texts(row) for row in table.rows], columns=columns)


def _texts(row: Row) -> list[str]:
    texts = [_text(cell) for cell in row.cells]
    return [_MARKS[row.kind] + texts[0], *texts[1:]]


def _text(cell: Cell) -> str:
    return f"{cell.text} · {cell.detail}" if cell.detail else cell.text
