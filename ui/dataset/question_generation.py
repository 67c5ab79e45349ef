"""Questions that a model writes from documents: what to write, how far it is, and what became of it."""

from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import QUESTION_RUNS, QuestionRunView
from service.contract.settings import QuestionSettings
from ui.comparison.setting_fields import group_fields
from ui.connection import guarded, show_failure
from ui.counted import counted
from ui.dataset.choice import DATASET
from ui.side_runs import list_runs, show_run, watch_run

RUN = "questions"
"""The run that a page shows, in its address."""

_LISTED_RUNS = 5


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
        show_run(RUN, run)


def list_question_runs(client: ServiceClient) -> None:
    """The newest runs, each to be opened."""
    with guarded("The runs could not be listed"):
        runs = client.list_runs(QUESTION_RUNS, limit=_LISTED_RUNS).items
    list_runs(RUN, runs)


def watch_question_run(client: ServiceClient, view_key: str, review: str) -> None:
    """The run of the address, if it names one.

    Args:
        view_key: Of the widget that chooses what the page shows; `review` is its choice that shows the review queue.
    """

    def told(run: QuestionRunView) -> tuple[str, float]:
        wanted = int(run.settings["facts"])
        return f"{run.n_kept:,} of {wanted:,} facts", run.n_kept / wanted

    def show_made(run: QuestionRunView, close: Callable[[], None]) -> None:
        made = run.made
        assert made is not None

        def open_review() -> None:
            close()
            st.query_params[DATASET] = made.version
            st.session_state[view_key] = review

        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(made.kinds.items()))
        st.write(f"Questions: {kinds}. The model was asked for {counted(made.n_asked, 'question')}.")
        rows = sorted(((n, why) for why, n in made.dropped.items() if n), reverse=True)
        with st.expander(f"Dropped: {sum(n for n, _ in rows):,}"):
            frame = pd.DataFrame({"why": [why for _, why in rows], "questions": [n for n, _ in rows]})
            st.dataframe(frame, hide_index=True, width="stretch", key="dropped", alt="Dropped questions by the reason")
        st.button("Review them", type="primary", icon=":material/fact_check:", on_click=open_review)

    watch_run(client, QUESTION_RUNS, RUN, told, show_made)
