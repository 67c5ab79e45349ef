"""Which column of an uploaded table is the question and which the answer, asked where its header does not say."""

import csv
import io
from collections.abc import Mapping

import streamlit as st

from ui.untrusted import shown

_NEEDED = ("question", "answer")
_KNOWN = (*_NEEDED, "document", "group", "split", "answerable", "id")


def with_named_columns(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, the columns of their table named as the format has them once the visitor said which is which."""
    tables = [name for name in files if name.lower().endswith(".csv")]
    rows = _read(files[tables[0]]) if len(tables) == 1 else []
    if not rows or set(_NEEDED) <= {_folded(column) for column in rows[0]}:
        return dict(files)
    columns = [column for column in rows[0] if column.strip()]
    st.markdown(f"**Columns of {shown(tables[0], 80)}**")
    chosen: dict[str, str | None] = {}
    for field, name in zip(st.columns(len(_NEEDED)), _NEEDED, strict=True):
        named = next((i for i, column in enumerate(columns) if _folded(column) == name), None)
        with field:
            chosen[name] = st.selectbox(
                f"Which column is the {name}?", columns, named, format_func=lambda one: one[:80], key=f"column {name}"
            )
    kept = {column: _folded(column) for column in columns if _folded(column) in _KNOWN}
    kept |= {column: name for name, column in chosen.items() if column is not None}
    if None in chosen.values() or len(set(chosen.values())) < len(_NEEDED):
        return dict(files)
    if left_out := [column for column in columns if column not in kept]:
        st.caption(f"Left out: {shown(', '.join(left_out), 200)}.")
    return {**files, tables[0]: _written(rows, kept)}


def _folded(column: str) -> str:
    return column.strip().lower()


def _read(content: bytes) -> list[list[str]]:
    """Rows, the header first; none where it is no table, which the service then tells."""
    try:
        text = content.decode("utf-8-sig")
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return []


def _written(rows: list[list[str]], kept: Mapping[str, str]) -> bytes:
    places = [(i, kept[column]) for i, column in enumerate(rows[0]) if column in kept]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for _, name in places])
    writer.writerows([row[i] if i < len(row) else "" for i, _ in places] for row in rows[1:])
    return text.getvalue().encode()
