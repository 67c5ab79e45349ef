"""Set up a comparison, see what it will take, and start it."""

import secrets

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from advisor.arms import ARMS, DEFAULT_ARMS
from advisor.data.dataset import Task
from advisor.results.quantities import count, seconds, usd
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonRequest, DatasetSummary, Estimate
from ui.address import COMPARISON
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.dataset_choice import chosen_dataset
from ui.questionnaire import PRIOR_STATE
from ui.setting_fields import setting_fields
from ui.stage_names import stage_name
from ui.untrusted import shown

_SUBMISSION = "submission key"


def choose_dataset(client: ServiceClient) -> DatasetSummary:
    """One of the datasets there are, with its sizes; the address may name it."""
    found = chosen_dataset(client)
    sizes = ", ".join(f"{n:,} {split}" for split, n in found.split_sizes.items())
    st.caption(f"{shown(found.description)} {counted(found.n_documents, 'document')}; questions: {sizes}.")
    return found


def choose_arms(task: Task) -> list[str]:
    """The arms that fit a task, each explained."""
    fitting = [arm for arm in ARMS if task in arm.tasks]
    chosen = st.pills(
        "Arms",
        [arm.name for arm in fitting],
        selection_mode="multi",
        default=list(DEFAULT_ARMS),
        help="The ways of answering that are built on your data and compared.",
        key="arms",
        bind="query-params",
    )
    st.caption("  \n".join(f"**{arm.name}**: {arm.label}" for arm in fitting))
    return list(chosen)


def show_estimate(estimate: Estimate) -> None:
    """Time, tokens and money before the start, and what they rest on."""
    st.header("What it will take", anchor=False)
    figures = st.columns(3)
    figures[0].metric("Time", seconds(estimate.time_s))
    if estimate.is_rough:
        figures[0].caption("A rough guess: some speeds have not been measured here yet.")
    figures[1].metric("Tokens read and written", count(estimate.input_tokens + estimate.output_tokens))
    figures[2].metric("Money", usd(estimate.usd) if estimate.usd is not None else "not priced")
    with st.expander("By stage, and what this rests on"):
        frame = pd.DataFrame(
            [
                {
                    "stage": stage_name(one.stage, one.arm),
                    "time": seconds(one.time_s),
                    "tokens read": count(one.input_tokens),
                    "tokens written": count(one.output_tokens),
                    "tokens embedded": count(one.embedding_tokens),
                    "money": usd(one.usd) if one.usd is not None else "not priced",
                    "the time is": one.basis,
                }
                for one in estimate.stages
            ]
        )
        st.dataframe(frame, hide_index=True, width="stretch", key="stages", alt="Estimate by stage")
        st.text("\n".join(estimate.basis))


def start(client: ServiceClient, request: ComparisonRequest) -> None:
    """Start it once, however often the button is pressed, and go where it can be watched."""
    key = st.session_state.setdefault(_SUBMISSION, secrets.token_hex(16))
    try:
        created = client.create_comparison(request, idempotency_key=key)
    except ServiceError as error:
        # Changed settings under an old key would be refused as well.
        st.session_state.pop(_SUBMISSION, None)
        show_failure("The comparison could not be started", error)
        return
    st.session_state.pop(_SUBMISSION, None)
    st.switch_page("app_pages/progress.py", query_params={COMPARISON: created.id})


st.title("New comparison")
the_client = service_client()
dataset = choose_dataset(the_client)
settings = {
    "name": st.text_input("Name", value=dataset.name, max_chars=120) or None,
    "arms": choose_arms(dataset.task),
    **setting_fields(),
}
given = st.session_state.get(PRIOR_STATE)
if given and st.checkbox("Set my answers to the questionnaire beside the evidence", value=True):
    settings["prior"] = given
if not settings["arms"]:
    st.warning("Choose at least one arm.", icon=":material/warning:")
    st.stop()
try:
    request = ComparisonRequest(dataset=dataset.version, **settings)
except ValidationError as error:
    first = error.errors()[0]
    st.warning(f"{shown('.'.join(map(str, first['loc'])))}: {shown(first['msg'])}", icon=":material/warning:")
    st.stop()
with guarded("It could not be estimated"):
    expected = the_client.estimate_comparison(request)
show_estimate(expected)
if st.button("Start the comparison", type="primary", icon=":material/play_arrow:"):
    with st.spinner("Starting …"):
        start(the_client, request)
