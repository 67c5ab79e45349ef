"""Set up a comparison, see what it will take, and start it."""

import secrets
from typing import Any, get_args

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from advisor.report.quantities import count, seconds, usd
from service.api.schemas import Candidate, ComparisonRequest, DatasetSummary, Estimate, TuningMethod
from service.client import ServiceClient, ServiceError
from ui.address import COMPARISON
from ui.connection import guarded, service_client, show_failure
from ui.dataset_choice import chosen_dataset
from ui.questionnaire import PRIOR_STATE
from ui.untrusted import shown

_ARMS = {
    "base": "the model with the question only",
    "few-shot": "the model with worked examples in the prompt",
    "rag": "the model with passages found in your documents",
    "fine-tuned": "the model tuned on your training questions",
    "hybrid": "the tuned model with passages",
    "raft": "the model tuned with passages among distractors",
}
_DEFAULT_ARMS = ("base", "few-shot", "rag", "fine-tuned", "hybrid")
_SUBMISSION = "submission key"


def choose_dataset(client: ServiceClient) -> DatasetSummary:
    """One of the data sets there are, with its sizes; the address may name it."""
    found = chosen_dataset(client)
    sizes = ", ".join(f"{n:,} {split}" for split, n in found.split_sizes.items())
    st.caption(f"{shown(found.description)} {found.n_documents:,} documents; questions: {sizes}.")
    return found


def basic_settings(dataset: DatasetSummary) -> dict[str, Any]:
    """What most people set."""
    n_test = dataset.split_sizes.get("test", 0)
    known = [kind for kind in get_args(Candidate) if kind in _ARMS]
    return {
        "name": st.text_input("Name", value=dataset.name, max_chars=120) or None,
        "model": st.text_input(
            "Model",
            value="pocket",
            help="pocket comes with Tuning Fork and runs anywhere; hf:NAME is a model of the Hugging Face hub; "
            "openai:MODEL@URL is an endpoint with that protocol, which cannot be tuned here.",
        ),
        "pipelines": st.pills(
            "Arms",
            known,
            selection_mode="multi",
            default=[kind for kind in _DEFAULT_ARMS if kind in known],
            help="; ".join(f"{kind}: {_ARMS[kind]}" for kind in known),
        ),
        "limit": st.number_input(
            "Most test questions", 1, max(1, n_test), value=min(n_test, 400) or 1, help="Fewer is faster and less sure."
        ),
    }


def advanced_settings() -> dict[str, Any]:
    """The rest, folded away."""
    with st.expander("Advanced settings", icon=":material/settings:"):
        retrieval, tuning, decision = st.tabs(["Retrieval", "Prompt and tuning", "Decision"])
        with retrieval:
            found: dict[str, Any] = {
                "top_k": st.number_input("Passages retrieved for a question", 1, 100, 3),
                "chunk_tokens": st.number_input("Longest passage (tokens)", 8, 8192, 128),
                "overlap_tokens": st.number_input("Shared by neighbouring passages (tokens)", 0, 8191, 0),
                "embedder": st.text_input("Embedder", "minilm", help="minilm, hf:NAME, or openai:MODEL[@URL]."),
            }
        with tuning:
            found |= {
                "n_shots": st.number_input("Worked examples of the few-shot arm", 1, 1000, 6),
                "method": st.selectbox("Tuning method", get_args(TuningMethod)),
                "max_epochs": st.number_input("Most passes over the training questions", 1, 1000, None),
                "train_limit": st.number_input("Most training questions", 1, None, None),
                "seed": st.number_input("Seed of everything drawn by lot", 0, 2**32 - 1, 0),
            }
        with decision:
            found |= {
                "margin": st.number_input("Smallest difference that matters (points)", 0.0, 99.0, 2.0) / 100,
                "coverage": st.slider("Share of users' questions that training covers (%)", 0, 100, 50) / 100,
                "judge": st.text_input("Judge for graded metrics", "", help="Named as the model is.") or None,
                "traffic": {
                    "queries_per_month": st.number_input("Questions a month", 0.0, value=10_000.0, step=1000.0),
                    "refreshes_per_month": st.number_input("Changes of documents a month", 0.0, value=1.0),
                },
            }
    return found


def show_estimate(estimate: Estimate) -> None:
    """Time, tokens and money before the start, and what they rest on."""
    st.header("What it will take", anchor=False)
    figures = st.columns(3)
    figures[0].metric("Time", f"{'roughly ' if estimate.is_rough else ''}{seconds(estimate.time_s)}")
    figures[1].metric("Tokens read and written", count(estimate.input_tokens + estimate.output_tokens))
    figures[2].metric("Money", usd(estimate.usd) if estimate.usd is not None else "not priced")
    with st.expander("By stage, and what this rests on"):
        frame = pd.DataFrame([one.model_dump() for one in estimate.stages])
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
settings = basic_settings(dataset) | advanced_settings()
given = st.session_state.get(PRIOR_STATE)
if given and st.checkbox("Set my answers to the questionnaire beside the evidence", value=True):
    settings["prior"] = given
if not settings["pipelines"]:
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
