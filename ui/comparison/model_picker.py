"""Choose the model that arms start from: of those on the service, of the hub, of an endpoint, or by its name."""

import streamlit as st

from advisor.results.quantities import seconds
from service.contract.client import ServiceClient, ServiceError
from service.contract.query_schemas import BaseModelView, ModelTrialView
from ui.comparison.setting_fields import model_field
from ui.connection import cache_owner, show_failure
from ui.counted import counted
from ui.untrusted import shown

_PLACES = {
    "embedded": "comes with Tuning Fork",
    "folder": "a folder of the service",
    "hub": "the Hugging Face hub",
    "endpoint": "an endpoint",
}
_FIELD, _PICKED = "model", "picked model"


@st.cache_data(ttl=30, show_spinner=False)
def base_models(_client: ServiceClient, owner: str) -> list[BaseModelView]:
    """Models and adapters of the service; none where it does not tell."""
    try:
        return _client.list_base_models().items
    except ServiceError:
        return []


@st.cache_data(ttl=30, show_spinner=False)
def _facts(_client: ServiceClient, model: str, owner: str) -> ModelTrialView:
    return _client.try_model(model, ask=False)


def choose_model(client: ServiceClient) -> str:
    """The model that all arms start from: where it is, how large, and what it says when it is tried."""
    models = [one for one in base_models(client, cache_owner()) if one.place in _PLACES]
    by_spec = {one.spec: one for one in models}
    with st.popover("Models to choose from", icon=":material/list:"):
        st.selectbox(
            "Model",
            list(by_spec),
            None,
            format_func=lambda spec: _label(by_spec[spec]),
            key=_PICKED,
            on_change=_take_picked,
            placeholder="by place, size, and what it lacks",
        )
    field, button = st.columns([5, 1], vertical_alignment="bottom")
    with field:
        model = model_field()
    is_tried = button.button("Try it", icon=":material/bolt:", help="Puts one short question to the model.")
    try:
        facts = _facts(client, model, cache_owner())
        st.caption(shown("; ".join([facts.message, *_sizes(facts)])))
        if is_tried:
            with st.spinner("Asking the model …"):
                _tell_trial(client.try_model(model) if facts.is_ready else facts)
    except ServiceError as error:
        if is_tried:
            show_failure("The model could not be tried", error)
    return model


def _take_picked() -> None:
    if picked := st.session_state.get(_PICKED):
        st.session_state[_FIELD] = picked


def _label(one: BaseModelView) -> str:
    state = "" if one.is_ready else "needs a key" if one.place == "endpoint" else "to be downloaded"
    return "; ".join(filter(None, [one.spec, _PLACES[one.place], *_sizes(one), state]))


def _sizes(one: BaseModelView | ModelTrialView) -> list[str]:
    sizes = [f"{one.parameters / 1e6:,.0f} million parameters"] if one.parameters else []
    return sizes + ([f"{one.n_bytes / 1e6:,.0f} MB"] if one.n_bytes else [])


def _tell_trial(tried: ModelTrialView) -> None:
    if tried.answer is None:
        st.warning(f"It cannot be tried yet: {shown(tried.message)}.", icon=":material/block:")
        return
    said = tried.answer
    st.success(
        f"It answers “{shown(said.text.strip(), 200)}” to “{shown(said.question)}”: {seconds(said.answer_s)}, "
        f"{counted(said.input_tokens, 'token')} read, {counted(said.output_tokens, 'token')} written; ready after "
        f"{seconds(said.load_s)}.",
        icon=":material/check_circle:",
    )
