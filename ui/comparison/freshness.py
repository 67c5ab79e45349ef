"""How the arms of a comparison do after its documents changed: what to ask, how far it is, and what was found."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from advisor.data.files import DOCUMENTS_FILE
from advisor.data.revision import ANSWERS_FILE, REVISION_FOLDER
from advisor.report.freshness import NOTE, freshness_columns, freshness_markdown, freshness_rows, freshness_sentences
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import FRESHNESS_RUNS, ComparisonSummary, FreshnessRunView
from ui.comparison.stage_names import stage_name
from ui.connection import guarded, show_failure
from ui.side_runs import list_runs, show_run, watch_run
from ui.untrusted import shown

RUN = "freshness"
"""The run that a page shows, in its address."""

_LISTED_RUNS = 5


def offer_freshness(client: ServiceClient, chosen: ComparisonSummary) -> None:
    """Ask the arms again with changed documents; earlier runs below."""
    st.header("When documents change")
    watch_run(client, FRESHNESS_RUNS, RUN, _told, _show_result, belongs=lambda run: run.comparison_id == chosen.id)
    with st.expander("Ask the arms again with changed documents", icon=":material/update:"):
        st.caption(
            "Shows which arms still give the old answers after documents changed, and what indexing or training again "
            "takes until they are right. Arms are indexed and trained anew for it, so it takes about as long as the "
            "comparison did. The comparison itself stays as it is."
        )
        sent = st.file_uploader(
            f"The changed documents ({DOCUMENTS_FILE}) and the facts they changed ({ANSWERS_FILE}). Leave it empty if "
            f"the dataset came with them, in its folder {REVISION_FOLDER}.",
            type="jsonl",
            accept_multiple_files=True,
            key="later editions",
        )
        if st.button("Ask again", type="primary", icon=":material/update:"):
            _start(client, chosen, {one.name: one.getvalue() for one in sent})
        with guarded("The runs could not be listed"):
            earlier = client.list_runs(FRESHNESS_RUNS, comparison_id=chosen.id, limit=_LISTED_RUNS).items
        list_runs(RUN, earlier)


def _start(client: ServiceClient, chosen: ComparisonSummary, files: dict[str, bytes]) -> None:
    try:
        texts = {name: content.decode("utf-8-sig") for name, content in files.items()}
    except UnicodeDecodeError:
        st.error("A file is not UTF-8; save it as UTF-8 and choose it again.", icon=":material/error:")
        return
    try:
        with st.spinner("Checking the documents …"):
            run = client.measure_freshness({"comparison_id": chosen.id, "files": texts or None})
    except ServiceError as error:
        show_failure("The arms cannot be asked again", error)
        return
    show_run(RUN, run)


def _told(run: FreshnessRunView) -> tuple[str, float]:
    if not run.progress:
        return "loading the models", 0.0
    step = run.progress[-1]
    return f"{stage_name(step.stage, step.arm)} ({step.done:,} of {step.total:,})", step.done / max(1, step.total)


def _show_result(run: FreshnessRunView, close: Callable[[], None]) -> None:
    found = run.result
    assert found is not None
    st.markdown("\n".join(f"- {shown(sentence)}" for sentence in freshness_sentences(found)))
    frame = pd.DataFrame(freshness_rows(found), columns=list(freshness_columns(found)))
    caption = f"Facts changed: {found.n_facts:,}, in {found.n_documents:,} documents"
    st.markdown(f"**{caption}**")
    st.dataframe(frame, hide_index=True, width="stretch", key="freshness", alt=caption)
    st.caption(shown(NOTE))
    st.download_button(
        "Download as Markdown",
        freshness_markdown(found),
        f"{run.comparison_id}-freshness.md",
        "text/markdown",
        icon=":material/download:",
        key="download freshness",
    )
