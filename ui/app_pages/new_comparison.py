"""Set up a comparison, see what it will take, and start it."""

import secrets

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from advisor.arms import ARMS, Circumstances, runnable_arms, unrunnable
from advisor.data.dataset import Split
from advisor.data.wording import listed
from advisor.decision.power import WORTHWHILE
from advisor.results.quantities import count, seconds, usd
from lm.errors import ConfigError
from lm.registry import is_tunable
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonRequest, DatasetSummary, Estimate
from ui.address import COMPARISON
from ui.comparison.further_arms import further_arms
from ui.comparison.model_picker import choose_model
from ui.comparison.setting_fields import setting_fields
from ui.comparison.stage_names import stage_name
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.dataset.choice import chosen_dataset
from ui.questionnaire import PRIOR_STATE
from ui.untrusted import shown

_SUBMISSION = "submission key"


def choose_dataset(client: ServiceClient) -> DatasetSummary:
    """One of the datasets there are, with its sizes; the address may name it."""
    found = chosen_dataset(client)
    sizes = ", ".join(f"{n:,} {split}" for split, n in found.split_sizes.items())
    st.caption(f"{shown(found.description)} {counted(found.n_documents, 'document')}; questions: {sizes}.")
    return found


def choose_arms(dataset: DatasetSummary, model: str) -> list[str]:
    """The arms that can run, each explained; why the others cannot."""
    circumstances = Circumstances(
        dataset.name, dataset.task, bool(dataset.split_sizes.get(Split.TRAIN)), model, _is_tunable(model)
    )
    able = runnable_arms(circumstances)
    chosen = st.pills(
        "Arms",
        [arm.name for arm in able],
        selection_mode="multi",
        default=[arm.name for arm in able if arm.in_default],
        help="The ways of answering that are built on your data and compared.",
        key="arms",
        bind="query-params",
    )
    st.caption("  \n".join(f"**{arm.name}**: {arm.label}" for arm in able))
    left_out = [arm.name for arm in ARMS if not arm.source and arm not in able and dataset.task in arm.tasks]
    if left_out:
        why = unrunnable(left_out, circumstances).partition(";")[0]
        st.info(f"Not offered are {listed(left_out)}: {shown(why)}.", icon=":material/info:")
    return list(chosen)


def _is_tunable(model: str) -> bool:
    try:
        return is_tunable(model)
    except ConfigError:
        # The estimate tells what is wrong with the name.
        return True


def show_estimate(estimate: Estimate) -> None:
    """Time, tokens and money before the start, and what they rest on."""
    st.header("What it will take", anchor=False)
    if estimate.power is not None:
        told = st.info if estimate.power.detectable <= WORTHWHILE else st.warning
        told(estimate.power.message, icon=":material/search_insights:")
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
model = choose_model(the_client)
kinds_chosen = choose_arms(dataset, model)
own_arms, files = further_arms(the_client, [arm for arm in ARMS if not arm.source and dataset.task in arm.tasks])
settings = {
    "arms": [*kinds_chosen, *own_arms],
    **({"files": files} if files else {}),
    **setting_fields(),
    **({"model": model} if model != EMBEDDED_MODEL else {}),
    "name": st.text_input("Name", value=dataset.name, max_chars=120) or None,
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
