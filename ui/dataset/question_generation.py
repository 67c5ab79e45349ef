"""Questions that a model writes from documents: what to write, how far it is, and what became of it."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import QuestionRunView
from service.contract.settings import QuestionSettings
from ui.comparison.setting_fields import group_fields
from ui.connection import guarded, show_failure
from ui.counted import counted
from ui.dataset.choice import DATASET
from ui.last_resort import last_resort
from ui.untrusted import shown

RUN = "questions"
"""The run that a page shows, in its address."""

_LISTED_RUNS = 5
_LOOK_INTERVAL_S = 2.0


def generation_form(
    client: ServiceClient, *, dataset: str | None = None, files: Mapping[str, bytes] | None = None
) -> None:
    """Settings of a run on the documents of a dataset, or of files that were chosen here."""
    st.caption(
        "A model asks about one sentence after the other. Kept are questions whose answer stands in the passage, whose "
        "passage retrieval finds, and which the model answers alike from it. Reports say for ever that a model wrote "
        "them: review them first. The embedded model is too small to write good ones; name a larger one."
    )
    place = "of dataset " if dataset else "of files "
    given = group_fields(QuestionSettings, place)
    if st.button("Write questions", type="primary", icon=":material/edit_note:", key=f"{place}write"):
        try:
            run = client.generate_questions(given | ({"dataset": dataset} if dataset else {}), files)
        except ServiceError as error:
            show_failure("The questions could not be written", error)
            return
        st.query_params[RUN] = run.id
        st.rerun()


def list_runs(client: ServiceClient) -> None:
    """The newest runs, each to be opened."""
    with guarded("The runs could not be listed"):
        runs = client.list_question_runs(limit=_LISTED_RUNS).items
    for run in runs:
        if st.button(f"{shown(run.name, 80)} · {run.state}", key=f"run {run.id}", icon=":material/history:"):
            st.query_params[RUN] = run.id
            st.rerun()


def watch_run(client: ServiceClient, view_key: str, review: str) -> None:
    """The run of the address, if it names one.

    Args:
        view_key: Of the widget that chooses what the page shows; `review` is its choice that shows the review queue.
    """
    run_id = st.query_params.get(RUN)
    if not run_id:
        return
    with guarded("The run that writes questions could not be read"):
        run = client.get_question_run(run_id)
    with st.container(border=True):
        if run.state.is_final:
            _show_ended(client, run, view_key, review)
        else:
            _show_going_on(client, run_id)


@st.fragment(run_every=_LOOK_INTERVAL_S)
@last_resort("the run that writes questions")
def _show_going_on(client: ServiceClient, run_id: str) -> None:
    with guarded("The run that writes questions could not be read"):
        run = client.get_question_run(run_id)
    if run.state.is_final:
        st.rerun()
    wanted = int(run.settings["facts"])
    told = "waits for its turn" if run.state is ComparisonState.QUEUED else f"{run.n_kept:,} of {wanted:,} facts"
    st.text(f"{run.name}: {told}")
    st.progress(min(1.0, run.n_kept / wanted))
    st.caption("You may leave this page; the run goes on.")
    if st.button("Cancel", key="cancel run", icon=":material/cancel:"):
        with guarded("It could not be cancelled"):
            client.cancel_question_run(run_id)
        st.rerun()


def _show_ended(client: ServiceClient, run: QuestionRunView, view_key: str, review: str) -> None:
    st.text(f"{run.name}: {run.state}")
    if run.error:
        st.error(shown(run.error, 1000))
    made = run.made

    def close() -> None:
        st.query_params.pop(RUN, None)

    def open_review() -> None:
        close()
        assert made is not None
        st.query_params[DATASET] = made.version
        st.session_state[view_key] = review

    if made is not None:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(made.kinds.items()))
        st.write(f"Questions: {kinds}. The model was asked for {counted(made.n_asked, 'question')}.")
        rows = sorted(((n, why) for why, n in made.dropped.items() if n), reverse=True)
        with st.expander(f"Dropped: {sum(n for n, _ in rows):,}"):
            frame = pd.DataFrame({"why": [why for _, why in rows], "questions": [n for n, _ in rows]})
            st.dataframe(frame, hide_index=True, width="stretch", key="dropped", alt="Dropped questions by the reason")
    buttons = st.container(horizontal=True)
    if made is not None:
        buttons.button("Review them", type="primary", icon=":material/fact_check:", on_click=open_review)
    elif buttons.button("Try again", icon=":material/refresh:", key="resume run"):
        with guarded("It could not be started again"):
            client.resume_question_run(run.id)
        st.rerun()
    buttons.button("Close", icon=":material/close:", key="close run", on_click=close)
