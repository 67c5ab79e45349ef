"""Questions in rows, arms in columns, what each arm said in the cells; a click on a row tells which question it is.

The table is made of text nodes alone, so that no text of others is ever read as HTML.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from advisor.data.normalisation import is_abstention
from advisor.results.quantities import ScoreScale
from service.contract.schemas import GridRow
from ui.comparison.overlap import pieces_unlike

NO_REFERENCE = "(none: it should decline)"
_HTML = "<div class='box' tabindex='0' role='region' aria-label='Questions and answers'></div>"
_CSS = """
.box { max-height: 30rem; overflow: auto; border: 1px solid var(--st-border-color); border-radius: .5rem; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font: .82rem/1.35 var(--st-font);
  color: var(--st-text-color); }
caption { position: absolute; clip-path: inset(50%); }
th, td { padding: .35rem .5rem; vertical-align: top; text-align: left; overflow-wrap: anywhere; min-width: 5.6rem;
  max-width: 22rem; border-bottom: 1px solid var(--st-border-color); }
thead th { position: sticky; top: 0; z-index: 2; background: var(--st-secondary-background-color); }
tbody th { position: sticky; left: 0; z-index: 1; background: var(--st-background-color); font-weight: 400;
  min-width: 8rem; max-width: 16rem; }
button { all: unset; cursor: pointer; display: block; }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
tbody tr { cursor: pointer; }
tr.open th, tr.open td { box-shadow: inset 0 2px var(--st-primary-color), inset 0 -2px var(--st-primary-color); }
tr.open th button { font-weight: 600; }
td[class] { border-left: .3rem solid transparent; }
td.right { border-left-color: #2E9E5B; background: #2E9E5B26; }
td.wrong { border-left-color: #D9483B; background: #D9483B26; }
td.declined, td.unscored { border-left-color: #8A8F98; background: #8A8F9826; }
b { font-weight: 700; }
small { display: block; }
u { text-decoration: underline dotted; text-underline-offset: .2em; }
@media (max-width: 640px) { tbody th { position: static; } .box { max-height: 26rem; } }
@media print { .box { max-height: none; overflow: visible; } }
"""
_JS = """
const made = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text) element.append(text);
  if (name) element.className = name;
  return element;
};
const body = row => {
  const line = made("tr");
  line.dataset.id = row.id;
  const question = made("th");
  question.scope = "row";
  question.append(made("button", row.question), made("small", row.slice));
  line.append(question, made("td", row.reference));
  for (const cell of row.cells) {
    const drawn = made("td", "", cell.kind);
    const sign = made("b", cell.sign + " ");
    sign.title = cell.kind;
    drawn.append(sign, ...cell.pieces.map(([text, differs]) => differs ? made("u", text) : text));
    if (cell.note) drawn.append(made("small", cell.note));
    line.append(drawn);
  }
  return line;
};
export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".box");
  const told = JSON.stringify([data.columns, data.rows]);
  if (box.told !== told) {
    box.told = told;
    const head = made("tr");
    for (const name of data.columns) { const cell = made("th", name); cell.scope = "col"; head.append(cell); }
    const table = made("table");
    const top = made("thead"), rows = made("tbody");
    top.append(head);
    rows.append(...data.rows.map(body));
    table.append(made("caption", data.caption), top, rows);
    box.replaceChildren(table);
    box.scrollTop = 0;
  }
  box.onclick = event => {
    const line = event.target.closest("tr[data-id]");
    if (line) setTriggerValue("opened", line.dataset.id);
  };
  for (const line of box.querySelectorAll("tbody tr")) {
    const is_open = line.dataset.id === data.open;
    line.classList.toggle("open", is_open);
    line.querySelector("button").setAttribute("aria-pressed", is_open);
    if (!is_open) continue;
    const top = line.offsetTop - box.querySelector("thead").offsetHeight, bottom = line.offsetTop + line.offsetHeight;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
  }
}
"""
_table = st.components.v2.component("answer_matrix", html=_HTML, css=_CSS, js=_JS)


def show_matrix(rows: Sequence[dict[str, Any]], arms: Sequence[str], *, opened: str, key: str) -> str | None:
    """The table; the id of the question that was just clicked.

    Args:
        rows: Of `matrix_row`, with cells in the order of `arms`.
        arms: As the head of the table names them.
        opened: Id of the question that is shown in full.
    """
    data = {
        "caption": "Test questions with the answer of each arm",
        "columns": ["question", "right answer", *arms],
        "rows": list(rows),
        "open": opened,
    }
    clicked: str | None = _table(data=data, key=key, on_opened_change=lambda: None).opened
    return clicked


def matrix_row(row: GridRow, arms: Sequence[str], scale: ScoreScale) -> dict[str, Any]:
    """One question as the table draws it."""
    return {
        "id": row.example_id,
        "question": row.question,
        "slice": str(row.slice),
        "reference": " | ".join(row.references) or NO_REFERENCE,
        "cells": [_cell(row, arm, scale) for arm in arms],
    }


def _cell(row: GridRow, arm: str, scale: ScoreScale) -> dict[str, Any]:
    if arm not in row.answers:
        return {"kind": "unscored", "sign": "·", "pieces": [["not asked", False]], "note": ""}
    text, failure, score = row.answers[arm], row.failures.get(arm), row.scores.get(arm)
    kind, sign = "right", "✓"
    if score is None:
        kind, sign = "unscored", "?"
    elif failure is not None:
        kind, sign = ("declined", "–") if is_abstention(text) else ("wrong", "✗")
    notes = ["unscored"] if score is None else []
    if score is not None and score not in (0.0, 1.0):
        notes.append(f"{scale.value(score)} {scale.unit}")
    notes += [failure] if failure else []
    if arm in row.earlier:
        notes.append(_since(row.earlier[arm], score, scale))
    pieces = pieces_unlike(text, row.references) if kind == "wrong" else [(text, False)]
    pieces = pieces if text else [("(an empty answer)", False)]
    return {"kind": kind, "sign": sign, "pieces": [list(piece) for piece in pieces], "note": " · ".join(notes)}


def _since(before: float | None, now: float | None, scale: ScoreScale) -> str:
    """How a score stands to that of the baseline."""
    if before is None:
        return "was unscored"
    change = "" if now is None else "▲ better, " if now > before else "▼ worse, "
    return f"{change}was {scale.value(before).removesuffix('.0')}"
