"""What Tuning Fork does, a sample a click away, and the questions to answer before tuning anything."""

import hashlib

import streamlit as st

from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonRequest, ComparisonSummary
from service.contract.settings import SAMPLE
from ui.address import COMPARISON, comparison_label
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.questionnaire import ask_questionnaire
from ui.untrusted import shown

SAMPLE_REQUEST = ComparisonRequest(name="Sample: ticket triage", **SAMPLE)

# A later version may ask for more by default, and a key that came with another request is refused.
_SAMPLE_KEY = f"page-sample-{hashlib.sha256(SAMPLE_REQUEST.model_dump_json().encode()).hexdigest()[:16]}"


def offer_sample(client: ServiceClient) -> None:
    """Start the sample, or open it where it was started before."""
    st.header("See it work")
    st.write(
        f"The sample compares {len(SAMPLE['arms'])} ways of sorting messages to an invented support desk, with a small "
        "language model that comes with Tuning Fork. It takes about six minutes on two processor cores and needs no "
        "key and no network."
    )
    if not st.button("Run the sample comparison", type="primary", icon=":material/play_arrow:"):
        return
    try:
        with st.spinner("Starting …"):
            # The same key gives the same comparison, however often the button is pressed.
            created = client.create_comparison(SAMPLE_REQUEST, idempotency_key=_SAMPLE_KEY)
    except ServiceError as error:
        show_failure("The sample could not be started", error)
        return
    page = "app_pages/decision.py" if created.state == "succeeded" else "app_pages/progress.py"
    st.switch_page(page, query_params={COMPARISON: created.id})


def list_recent(client: ServiceClient) -> None:
    """The newest comparisons with their states."""
    st.header("Your comparisons")
    with guarded("The comparisons could not be listed"):
        recent = client.list_comparisons(limit=5)
    if not recent.items:
        st.info("There is none yet. Run the sample, or bring your own documents and questions.")
    for one in recent.items:
        row = st.container(horizontal=True, vertical_alignment="center")
        told = comparison_label(one).removeprefix(f"{one.name} ")
        row.markdown(f"**{shown(one.name)}** {shown(told)}", width="content")
        is_done = one.state is ComparisonState.SUCCEEDED
        row.page_link(
            "app_pages/decision.py" if is_done else "app_pages/progress.py",
            label="Decision" if is_done else "Progress",
            icon=":material/gavel:" if is_done else ":material/monitoring:",
            query_params={COMPARISON: one.id},
        )
        with row.popover("Manage", key=f"manage {one.id}"):
            _manage(client, one)
    if recent.total > len(recent.items):
        n_older = recent.total - len(recent.items)
        st.caption(f"{counted(n_older, 'older comparison')} can be chosen on the other pages.")


def _manage(client: ServiceClient, one: ComparisonSummary) -> None:
    """Another name for a comparison, or its end."""
    name = st.text_input("Name", one.name, max_chars=120, key=f"name {one.id}")
    is_same = name.strip() in ("", one.name)
    if st.button("Rename", key=f"rename {one.id}", icon=":material/edit:", disabled=is_same):
        with guarded("It could not be renamed"):
            client.rename_comparison(one.id, name)
        st.rerun()
    if not one.state.is_final:
        st.caption("It can be deleted once it is over; Progress cancels it.")
        return
    is_sure = st.checkbox("Delete it with its reports and votes, for good", key=f"sure {one.id}")
    if st.button("Delete", key=f"delete {one.id}", icon=":material/delete:", disabled=not is_sure):
        with guarded("It could not be deleted"):
            client.delete_comparison(one.id)
        st.rerun()


def bring_your_own() -> None:
    """Where to go with own data."""
    st.header("Bring your own")
    st.page_link("app_pages/data.py", label="1. Upload documents and questions", icon=":material/folder_open:")
    st.page_link("app_pages/new_comparison.py", label="2. Start a comparison", icon=":material/add_circle:")
    st.page_link("app_pages/decision.py", label="3. Read the decision", icon=":material/gavel:")


st.title("Tuning Fork")
st.write(
    "Prompt, retrieval, fine-tuning or both? Tuning Fork builds every variant on your own documents and questions, "
    "measures accuracy, cost, tokens and latency on the same questions, and says which one to ship, how sure that is, "
    "and what would change it."
)
the_client = service_client()
first, second = st.columns([3, 2], gap="large")
with first:
    offer_sample(the_client)
    list_recent(the_client)
with second:
    bring_your_own()
st.header("Before you tune anything")
st.write(
    "Answer what you can and skip the rest. The reply is what published studies suggest. A comparison on your own data "
    "then shows whether it holds for you."
)
ask_questionnaire(the_client)
