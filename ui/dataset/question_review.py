"""Questions accepted, edited or rejected by a person, one at a time, beside the documents that should answer them."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from advisor.results.quantities import count
from service.contract.client import ServiceClient
from service.contract.schemas import DatasetDetail
from ui.dataset.question_edits import (
    VERDICTS,
    Review,
    ReviewVerdict,
    Row,
    apply_reviews,
    change_questions,
    count_reviews,
    review_of,
    texts_of,
)
from ui.dataset.version_files import VersionFiles, store_questions
from ui.untrusted import shown

_OPEN = "not reviewed"
_ALL = "all"
_SAID: Mapping[ReviewVerdict, tuple[str, str, str]] = {
    "right": ("Accept", "a", ":material/check:"),
    "wrong": ("Reject", "x", ":material/close:"),
    "unclear": ("Unclear", "u", ":material/question_mark:"),
}
"""Label, key and icon of what can be said of a question; r, for reject, is the browser's to reload."""

_AROUND_ANSWER = 200
"""Characters shown on either side of an answer."""


def review_questions(client: ServiceClient, version: str, files: VersionFiles) -> None:
    """Go through the questions; what was said of them is stored as a new version when asked."""
    given: dict[str, Review] = st.session_state.setdefault(f"reviews of {version}", {})
    edits: dict[str, dict[str, Any]] = st.session_state.setdefault(f"edits of {version}", {})
    rows = apply_reviews(change_questions(files.questions, edits), given)
    _tell(rows, len(given))
    _offer_saving(client, version, files, rows, len(given))
    # What the test asks decides, so it is looked at first.
    rows.sort(key=lambda row: row.get("split", "test") != "test")
    which = st.segmented_control("Which", [_OPEN, *VERDICTS, _ALL], default=_OPEN, required=True, key="review which")
    left = [row for row in rows if _is_wanted(row, which)]
    if not left:
        st.success("Every question is reviewed." if which == _OPEN else "No question matches.")
        return
    position = f"review at {version} {which}"
    at = int(st.session_state.get(position, 0)) % len(left)
    st.header(f"Question {at + 1:,} of {len(left):,}", anchor=False)
    if st.session_state.get("review edits") == left[at]["id"]:
        _edit(left[at], edits, given)
        return
    _show(left[at], files)
    _ask(left[at], given, position, at, leaves=which not in (_ALL,))


def _is_wanted(row: Row, which: str) -> bool:
    review = review_of(row)
    return which == _ALL or (review.verdict if review is not None else _OPEN) == which


def _tell(rows: list[Row], n_new: int) -> None:
    counts = count_reviews(rows)
    told = ", ".join(f"{count(n)} {verdict}" for verdict, n in counts.items())
    st.write(f"Reviewed: {count(sum(counts.values()))} of {count(len(rows))} questions ({told}).")
    if n_new:
        st.caption(f"{n_new} of them are only in this browser session until you save them as a new version.")


def _offer_saving(client: ServiceClient, version: str, files: VersionFiles, rows: list[Row], n_new: int) -> None:
    """What becomes of the reviews: a version with or without the rejected questions, frozen or not."""
    kept = [row for row in rows if (said := review_of(row)) is None or said.verdict != "wrong"]
    n_rejected = len(rows) - len(kept)
    if not n_new and not n_rejected:
        return
    options = st.container(horizontal=True)
    leaves_out = bool(n_rejected) and options.toggle(
        f"Leave out the rejected ones ({n_rejected})", any(row.get("made_by") for row in rows), key="review leaves out"
    )
    freezes = options.toggle("Freeze it, so that it cannot be deleted", key="review freezes")
    if st.button(f"Save as a new version (reviews: {n_new})", type="primary", icon=":material/save:"):
        _save(client, version, files, kept if leaves_out else rows, freezes=freezes)


def _show(row: Row, files: VersionFiles) -> None:
    st.text(f"Question: {row['question']}")
    answers = texts_of(row.get("answers"))
    st.text(f"Right answer: {' | '.join(answers) or '(none: no document answers it)'}")
    if row.get("made_by"):
        st.caption(f"Written by {shown(str(row['made_by']), 80)}")
    cited = row.get("document_ids") or []
    for i, document_id in enumerate([cited] if isinstance(cited, str) else cited):
        document = files.documents.get(document_id)
        if document is None:
            continue
        if place := _around(answers, document["text"]):
            st.text(f"Where it stands: … {place} …")
        with st.expander(shown(document.get("title") or document_id, 80), expanded=i == 0):
            st.text(document["text"])
    if not cited:
        st.caption("The question names no document that answers it.")
    if (said := review_of(row)) is not None:
        st.caption(f"Said so far: {said.verdict}{f' ({shown(said.note)})' if said.note else ''}")


def _around(answers: list[str], text: str) -> str:
    """The first answer that a text holds, with what stands around it; "" where it holds none."""
    # Letter case may change how long a text is, as with ẞ; then the place is a little off.
    at = next((at for one in answers if one and (at := text.casefold().find(one.casefold())) >= 0), None)
    return "" if at is None else " ".join(text[max(0, at - _AROUND_ANSWER) : at + _AROUND_ANSWER].split())


def _edit(row: Row, edits: dict[str, dict[str, Any]], given: dict[str, Review]) -> None:
    """Fields for question and answers; saving them accepts the question."""
    question_key, answers_key = f"edit question {row['id']}", f"edit answers {row['id']}"
    st.text_area("Question", row["question"], max_chars=10_000, key=question_key)
    answers = "\n".join(texts_of(row.get("answers")))
    st.text_area("Right answers, one a line; none if no document answers it", answers, key=answers_key)

    def keep() -> None:
        lines = str(st.session_state[answers_key]).splitlines()
        answers = [line.strip() for line in lines if line.strip()]
        cells = {"question": str(st.session_state[question_key]).strip(), "answers": answers}
        edits[row["id"]] = cells | {"answerable": bool(answers)} | ({} if answers else {"document_ids": []})
        given[row["id"]] = Review("right")
        leave()

    def leave() -> None:
        st.session_state.pop("review edits", None)

    buttons = st.container(horizontal=True)
    buttons.button("Keep and accept", type="primary", icon=":material/check:", shortcut="ctrl+enter", on_click=keep)
    buttons.button("Back", icon=":material/undo:", shortcut="esc", on_click=leave)


def _ask(row: Row, given: dict[str, Review], position: str, at: int, *, leaves: bool) -> None:
    """Buttons for what may be said.

    Args:
        leaves: Whether a question that was judged leaves the list, so that the next one takes its place.
    """
    note_key = f"note {position} {row['id']}"
    before = review_of(row)
    st.text_input("Note", before.note if before else "", max_chars=1000, key=note_key)

    def judge(verdict: ReviewVerdict) -> None:
        given[row["id"]] = Review(verdict, str(st.session_state.get(note_key, "")).strip())
        stays = not leaves or (before is not None and before.verdict == verdict)
        st.session_state[position] = at + 1 if stays else at

    def skip() -> None:
        st.session_state[position] = at + 1

    def edit() -> None:
        st.session_state["review edits"] = row["id"]

    buttons = st.container(horizontal=True)
    for verdict, (label, letter, icon) in _SAID.items():
        buttons.button(label, icon=icon, key=f"judge {verdict}", shortcut=letter, on_click=judge, args=(verdict,))
    buttons.button("Edit", icon=":material/edit:", key="judge edit", shortcut="e", on_click=edit)
    buttons.button("Next", icon=":material/skip_next:", key="judge next", shortcut="n", on_click=skip)


def _save(client: ServiceClient, version: str, files: VersionFiles, rows: list[Row], *, freezes: bool) -> None:
    def freeze_and_forget(stored: DatasetDetail) -> None:
        if freezes:
            client.freeze_dataset(stored.version)
        for kept in ("reviews", "edits"):
            st.session_state.pop(f"{kept} of {version}", None)

    store_questions(
        client,
        files,
        rows,
        done="The reviews are in a new version.",
        failure="The reviews could not be saved",
        then=freeze_and_forget,
    )
