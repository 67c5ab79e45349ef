"""One answer after another, for people to say whether it is right; whose it is is not told."""

import secrets
from typing import Any

import pandas as pd
import streamlit as st

from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonSummary
from ui.address import chosen_comparison
from ui.connection import guarded, service_client, show_failure

_VOTER = "voter"
_QUEUE = "label queue"
_KEYS = (("Right", "1", True), ("Wrong", "2", False), ("Leave out", "0", None))


def label(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """The next answer, and a button and a key for each thing that can be said of it."""
    voter = st.session_state.setdefault(_VOTER, f"page-{secrets.token_hex(8)}")
    kept = st.session_state.get(_QUEUE)
    if not kept or kept[0] != comparison.id:
        with guarded("The answers could not be read"):
            st.session_state[_QUEUE] = kept = (comparison.id, client.next_label(comparison.id, voter=voter))
    queue: dict[str, Any] = kept[1]
    shown = queue["next"]
    if shown is None:
        st.success("You have seen every answer that needs a label.", icon=":material/done_all:")
    else:
        _show(shown, queue["metric"])
        buttons = st.container(horizontal=True)
        for name, key, good in _KEYS:
            if buttons.button(name, key=f"label {key}", shortcut=key):
                _cast(client, comparison.id, shown, good, voter)
                st.rerun()
    _show_progress(queue)


def _show(shown: dict[str, Any], metric: str) -> None:
    st.text(f"Question: {shown['question']}")
    expected = shown["references"][0] if shown["references"] else "to decline, as no document holds one"
    st.text(f"Right answer: {expected}")
    with st.container(border=True):
        st.text(shown["answer"] or "(an empty answer)")
    for number, passage in enumerate(shown["passages"], 1):
        with st.expander(f"Passage {number}"):
            st.text(passage)
    by = "right" if metric == "human_correct" else f"good by {metric}"
    st.write(f"Is this answer {by}? Keys: 1 yes, 2 no, 0 leave out.")


def _cast(client: ServiceClient, comparison_id: str, shown: dict[str, Any], good: bool | None, voter: str) -> None:
    try:
        queue = client.cast_label(
            comparison_id, example_id=shown["example_id"], answer=shown["answer"], good=good, voter=voter
        )
    except ServiceError as error:
        show_failure("The label could not be stored", error)
        st.stop()
    st.session_state[_QUEUE] = (comparison_id, queue)


def _show_progress(queue: dict[str, Any]) -> None:
    st.header("How far the labels go")
    needed = queue["n_needed"]
    rows = [{"arm": arm, "labelled": n, "still needed": max(0, needed - n)} for arm, n in queue["n_by_arm"].items()]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="labelled", alt="Labels of each arm")
    st.caption(
        f"Agreement with the deciding metric: {_kappa(queue['with_metric'], queue['n_with_metric'])}. "
        f"Between people: {_kappa(queue['between_people'], queue['n_between_people'])}. "
        "Labels decide once they are in the dataset as human_labels.jsonl and the comparison is run again; "
        "the answers are kept."
    )


def _kappa(kappa: dict[str, float] | None, n: int) -> str:
    if kappa is None:
        return f"unknown with {n} labels"
    return f"kappa {kappa['estimate']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}] on {n} labels"


st.title("Labels")
the_client = service_client()
chosen = chosen_comparison(the_client)
label(the_client, chosen)
