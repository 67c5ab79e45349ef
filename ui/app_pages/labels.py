"""One answer after another, for people to say whether it is right; whose it is is not told."""

import secrets
from typing import Any

import pandas as pd
import streamlit as st

from advisor.results.quantities import POINTS
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonSummary, WhatIfRequest
from ui.address import chosen_comparison
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.untrusted import shown

_VOTER = "voter"
_QUEUE = "label queue"
_PAIRS = "pair queue"
_NEITHER = ("Neither", "0", None)
_KEYS = (("Right", "1", True), ("Wrong", "2", False), ("Leave out", "0", None))


def label(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """The next answer, and a button and a key for each thing that can be said of it."""
    voter = st.session_state.setdefault(_VOTER, f"page-{secrets.token_hex(8)}")
    kept = st.session_state.get(_QUEUE)
    if not kept or kept[0] != comparison.id:
        with guarded("The answers could not be read"):
            st.session_state[_QUEUE] = kept = (comparison.id, client.next_label(comparison.id, voter=voter))
    queue: dict[str, Any] = kept[1]
    answer = queue["next"]
    if answer is None:
        st.success("You have seen every answer that needs a label.", icon=":material/done_all:")
    else:
        _show(answer, queue["metric"])
        buttons = st.container(horizontal=True)
        for name, key, good in _KEYS:
            if buttons.button(name, key=f"label {key}", shortcut=key):
                _cast(client, comparison.id, answer, good, voter)
                st.rerun()
    _show_progress(queue)


def compare_pairs(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """Two answers to one question, and a button and a key for each thing that can be said of them."""
    voter = st.session_state.setdefault(_VOTER, f"page-{secrets.token_hex(8)}")
    kept = st.session_state.get(_PAIRS)
    if not kept or kept[0] != comparison.id:
        with guarded("The answers could not be read"):
            st.session_state[_PAIRS] = kept = (comparison.id, client.next_pair(comparison.id, voter=voter))
    queue: dict[str, Any] = kept[1]
    pair = queue["next"]
    if pair is None:
        st.success("You have seen every pair that needs a vote.", icon=":material/done_all:")
        st.caption(_votes(queue))
        return
    st.text(f"Question: {pair['question']}")
    for name, side in zip("AB", st.columns(2), strict=True):
        with side.container(border=True):
            st.caption(f"Answer {name}")
            st.text(pair["first" if name == "A" else "second"] or "(an empty answer)")
    buttons = st.container(horizontal=True)
    for name, key, better in (("A is better", "1", pair["first"]), ("B is better", "2", pair["second"]), _NEITHER):
        if buttons.button(name, key=f"pair {key}", shortcut=key):
            try:
                queue = client.cast_pair(comparison.id, example_id=pair["example_id"], better=better, voter=voter)
            except ServiceError as error:
                show_failure("The vote could not be stored", error)
                st.stop()
            st.session_state[_PAIRS] = (comparison.id, queue)
            st.rerun()
    st.caption(f"Keys: 1 A, 2 B, 0 neither. {_votes(queue)}")


def _votes(queue: dict[str, Any]) -> str:
    return f"{counted(queue['n_votes'], 'vote')} so far; Playground has the tally of each pair of arms."


def _show(answer: dict[str, Any], metric: str) -> None:
    st.text(f"Question: {answer['question']}")
    expected = answer["references"][0] if answer["references"] else "to decline, as no document holds one"
    st.text(f"Right answer: {expected}")
    with st.container(border=True):
        st.text(answer["answer"] or "(an empty answer)")
    for number, passage in enumerate(answer["passages"], 1):
        with st.expander(f"Passage {number}"):
            st.text(passage)
    by = "right" if metric == "human_correct" else f"good by {metric}"
    st.write(f"Is this answer {by}? Keys: 1 yes, 2 no, 0 leave out.")


def _cast(client: ServiceClient, comparison_id: str, answer: dict[str, Any], good: bool | None, voter: str) -> None:
    try:
        queue = client.cast_label(
            comparison_id, example_id=answer["example_id"], answer=answer["answer"], good=good, voter=voter
        )
    except ServiceError as error:
        show_failure("The label could not be stored", error)
        st.stop()
    st.session_state[_QUEUE] = (comparison_id, queue)


def _show_progress(queue: dict[str, Any]) -> None:
    st.header("Labels so far")
    needed = queue["n_needed"]
    rows = [{"arm": arm, "labelled": n, "still needed": max(0, needed - n)} for arm, n in queue["n_by_arm"].items()]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="labelled", alt="Labels of each arm")
    st.caption(
        f"Agreement with the deciding metric: {_kappa(queue['with_metric'], queue['n_with_metric'])}. "
        f"Between people: {_kappa(queue['between_people'], queue['n_between_people'])}. "
        "Later comparisons on this data count them once they are in the dataset as human_labels.jsonl."
    )


def offer_decision(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """What would be decided by the labels given so far; nothing is run."""
    st.header("What they decide")
    if not st.button("Decide by the labels so far", icon=":material/gavel:"):
        return
    with guarded("It could not be decided"):
        reply = client.decide_again(comparison.id, WhatIfRequest(labels=True))
    st.markdown(f"**{shown(reply.recommendation.headline)}**")
    rows = [
        {"arm": arm, f"{one.metric} (points)": POINTS.interval(one.interval), "answers counted": one.n}
        for arm, one in reply.quality.items()
        if one is not None
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="by labels", alt="Scores by labels")
    st.markdown("\n".join(f"- {shown(reason)}" for reason in reply.recommendation.reasons))


def _kappa(kappa: dict[str, float] | None, n: int) -> str:
    if kappa is None:
        return f"unknown with {n} labels"
    return f"kappa {kappa['estimate']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}] on {n} labels"


st.title("Labels")
the_client = service_client()
chosen = chosen_comparison(the_client)
kinds = {"Right or wrong": label, "Which of two is better": compare_pairs}
kind = st.segmented_control("What to say", list(kinds), default="Right or wrong", required=True)
kinds[kind](the_client, chosen)
offer_decision(the_client, chosen)
