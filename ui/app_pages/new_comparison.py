"""Set up a comparison, see what it will take, and start it."""

import secrets
from typing import Any, get_args

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from advisor.arms import ARMS, DEFAULT_PIPELINES
from advisor.data.dataset import Task
from advisor.results.quantities import count, seconds, usd
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonRequest, DatasetSummary, Estimate, TuningMethod
from ui.address import COMPARISON
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.dataset_choice import chosen_dataset
from ui.questionnaire import PRIOR_STATE
from ui.stage_names import stage_name
from ui.untrusted import shown

_TUNE_ON = ("questions", "questions+documents")
_CONSTRAIN = ("auto", "off")
_SUBMISSION = "submission key"


def choose_dataset(client: ServiceClient) -> DatasetSummary:
    """One of the data sets there are, with its sizes; the address may name it."""
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
        default=list(DEFAULT_PIPELINES),
        help="The ways of answering that are built on your data and compared.",
        key="arms",
        bind="query-params",
    )
    st.caption("  \n".join(f"**{arm.name}**: {arm.label}" for arm in fitting))
    return list(chosen)


def basic_settings(dataset: DatasetSummary) -> dict[str, Any]:
    """What most people set."""
    n_test = dataset.split_sizes.get("test", 0)
    return {
        "name": st.text_input("Name", value=dataset.name, max_chars=120) or None,
        "model": st.text_input(
            "Model",
            value="smollm2",
            key="model",
            bind="query-params",
            help="smollm2 is installed with Tuning Fork and runs anywhere; hf:NAME is a model of the Hugging Face hub; "
            "openai:MODEL@URL is an endpoint with that protocol, which cannot be tuned here.",
        ),
        "pipelines": choose_arms(dataset.task),
        "limit": st.number_input(
            "Test questions to ask, at most",
            1,
            max(1, n_test),
            value=min(n_test, 400) or 1,
            help="Fewer is faster and less sure.",
        ),
    }


def advanced_settings() -> dict[str, Any]:
    """The rest, folded away."""
    with st.expander("Advanced settings", icon=":material/settings:"):
        retrieval, tuning, decision = st.tabs(["Retrieval", "Prompt and tuning", "Decision"])
        with retrieval:
            found: dict[str, Any] = {
                "top_k": _number("Passages retrieved for a question", 1, 100, 3, key="top_k"),
                "chunk_tokens": _number("Longest passage (tokens)", 8, 8192, 128, key="chunk_tokens"),
                "overlap_tokens": _number("Shared by neighbouring passages (tokens)", 0, 8191, 0, key="overlap_tokens"),
                "embedder": st.text_input(
                    "Embedder",
                    "minilm",
                    help="minilm, hf:NAME, or openai:MODEL[@URL].",
                    key="embedder",
                    bind="query-params",
                ),
            }
        with tuning:
            found |= {
                "n_shots": _number("Worked examples of the few-shot arm", 1, 1000, 6, key="n_shots"),
                "constrain": st.selectbox(
                    "Answers within labels or schema",
                    _CONSTRAIN,
                    help="auto: all arms answer within the data set's labels or JSON schema, where it has them.",
                    key="constrain",
                    bind="query-params",
                ),
                "method": st.selectbox("Tuning method", get_args(TuningMethod), key="method", bind="query-params"),
                "tune_on": st.selectbox("Tuning reads", _TUNE_ON, key="tune_on", bind="query-params"),
                "max_epochs": _number("Most passes over the training questions", 1, 1000, None, key="max_epochs"),
                "train_limit": _number("Most training questions", 1, None, None, key="train_limit"),
                "training_seeds": _number("Trainings of each tuned arm, each with its own seed", 1, 20, 1, key="seeds"),
                "seed": _number("Seed of everything drawn by lot", 0, 2**32 - 1, 0, key="seed"),
            }
        with decision:
            found |= {
                "margin": _amount("Smallest difference that matters (points)", 99.0, 2.0, key="margin") / 100,
                "coverage": st.slider(
                    "Share of users' questions that training covers (%)",
                    0,
                    100,
                    50,
                    key="coverage",
                    bind="query-params",
                )
                / 100,
                "race": st.toggle(
                    "Stop asking an arm once it is surely worse",
                    key="race",
                    help="A race: fewer answers are needed, and the decision holds for this margin and share alone.",
                    bind="query-params",
                ),
                "judge": st.text_input(
                    "Judge for graded metrics", "", help="Named as the model is.", key="judge", bind="query-params"
                )
                or None,
                "traffic": {
                    "queries_per_month": _amount("Questions a month", None, 10_000.0, step=1000.0, key="questions"),
                    "refreshes_per_month": _amount("Changes of documents a month", None, 1.0, key="changes"),
                },
            }
    return found


def _number(label: str, least: int, most: int | None, start: int | None, *, key: str) -> int | None:
    return st.number_input(label, least, most, start, key=key, bind="query-params")


def _amount(label: str, most: float | None, start: float, *, key: str, step: float | None = None) -> float:
    return st.number_input(label, 0.0, most, start, step=step, key=key, bind="query-params")


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
