"""Questions looked at by a person, one at a time, beside the documents that should answer them."""

from collections.abc import Mapping

import streamlit as st

from advisor.results.quantities import count
from service.contract.client import ServiceClient, ServiceError
from ui.connection import show_failure
from ui.dataset.choice import DATASET
from ui.dataset.question_edits import VERDICTS, Review, ReviewVerdict, Row, apply_reviews, count_reviews, review_of
from ui.dataset.version_files import VersionFiles, store_questions
from ui.untrusted import shown

_OPEN = "not reviewed"
_ALL = "all"
_ICONS: Mapping[str, str] = {
    "right": ":material/check:",
    "wrong": ":material/close:",
    "unclear": ":material/question_mark:",
}


def review_questions(client: ServiceClient, version: str, files: VersionFiles) -> None:
    """Go through the questions; what was said of them is stored as a new version when asked."""
    given: dict[str, Review] = st.session_state.setdefault(f"reviews of {version}", {})
    rows = apply_reviews(files.questions, given)
    _tell(rows, len(given))
    if given and st.button(f"Save as a new version (reviews: {len(given)})", type="primary", icon=":material/save:"):
        _save(client, version, files, rows)
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


def _show(row: Row, files: VersionFiles) -> None:
    st.text(f"Question: {row['question']}")
    answers = row.get("answers") or []
    answers = [answers] if isinstance(answers, str) else answers
    st.text(f"Right answer: {' | '.join(answers) or '(none: no document answers it)'}")
    cited = row.get("document_ids") or []
    for i, document_id in enumerate([cited] if isinstance(cited, str) else cited):
        document = files.documents.get(document_id)
        if document is None:
            continue
        with st.expander(shown(document.get("title") or document_id, 80), expanded=i == 0):
            st.text(document["text"])
    if not cited:
        st.caption("The question names no document that answers it.")
    if (said := review_of(row)) is not None:
        st.caption(f"Said so far: {said.verdict}{f' ({shown(said.note)})' if said.note else ''}")


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

    buttons = st.container(horizontal=True)
    for verdict in VERDICTS:
        buttons.button(
            verdict.capitalize(), icon=_ICONS[verdict], key=f"judge {verdict}", on_click=judge, args=(verdict,)
        )
    buttons.button("Next", icon=":material/skip_next:", key="judge next", on_click=skip)


def _save(client: ServiceClient, version: str, files: VersionFiles, rows: list[Row]) -> None:
    try:
        with st.spinner("Storing …"):
            stored = store_questions(client, files, rows)
    except ServiceError as error:
        show_failure("The reviews could not be saved", error)
        return
    st.session_state.pop(f"reviews of {version}", None)
    st.query_params[DATASET] = stored.version
    st.toast("The reviews are in a new version.", icon=":material/save:")
    st.rerun()
