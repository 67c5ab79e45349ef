"""What Tuning Fork does, a sample a click away, and the questions to answer before tuning anything."""

import streamlit as st

from service.api.schemas import ComparisonRequest
from service.client import ServiceClient, ServiceError
from ui.address import COMPARISON
from ui.connection import guarded, service_client, show_failure
from ui.questionnaire import ask_questionnaire
from ui.untrusted import shown

SAMPLE = ComparisonRequest(
    dataset="appliance-support", name="Sample: appliance support", limit=150, chunk_tokens=64, top_k=1
)


def offer_sample(client: ServiceClient) -> None:
    """Start the sample, or open it where it was started before."""
    st.header("See it work")
    st.write(
        "The sample compares five ways of answering questions about the handbooks of invented household appliances, "
        "with a small language model that comes with Tuning Fork. It takes a few minutes on two processor cores and "
        "needs no key and no network."
    )
    if not st.button("Run the sample comparison", type="primary", icon=":material/play_arrow:"):
        return
    try:
        with st.spinner("Starting …"):
            # The same key gives the same comparison, however often the button is pressed.
            created = client.create_comparison(SAMPLE, idempotency_key="page-sample-1")
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
        row.write(f"**{shown(one.name)}** · {shown(one.model)} · {one.state}")
        is_done = one.state == "succeeded"
        row.page_link(
            "app_pages/decision.py" if is_done else "app_pages/progress.py",
            label="Decision" if is_done else "Progress",
            icon=":material/gavel:" if is_done else ":material/monitoring:",
            query_params={COMPARISON: one.id},
        )
    if recent.total > len(recent.items):
        st.caption(f"{recent.total - len(recent.items)} more are under Compare runs.")


def bring_your_own() -> None:
    """Where to go with own data."""
    st.header("Bring your own")
    st.page_link("app_pages/data.py", label="1. Upload documents and questions", icon=":material/folder_open:")
    st.page_link("app_pages/new_comparison.py", label="2. Start a comparison", icon=":material/add_circle:")
    st.page_link("app_pages/decision.py", label="3. Read the decision", icon=":material/gavel:")


st.title("Tuning Fork")
st.write(
    "Prompt, retrieval, fine-tuning or both? Tuning Fork builds every variant on your own documents and questions, "
    "measures accuracy, cost, tokens and latency on the same questions, decides with honest statistics, and says what "
    "would change the decision."
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
