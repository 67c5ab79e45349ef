"""One question to all arms side by side, and blind votes between two of them."""

import random
import secrets
from collections.abc import Mapping
from typing import Any

import streamlit as st

from advisor.report.facts import arm_facts, is_cheap, serving_price
from advisor.results.quantities import seconds
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ComparisonSummary
from ui.address import chosen_comparison
from ui.comparison.finished import finished_comparison
from ui.comparison.overlap import overlap_marks
from ui.comparison.votes import show_tally
from ui.connection import guarded, page_words, service_client, show_failure
from ui.untrusted import shown

_VOTER = "voter"
_SHOWN = "playground answers"
_DUEL = "playground duel"
_BESIDE = 3
# Arms that have answered this visitor; the service may have let their model go since, but mostly has not.
_LOADED = "playground loaded"


def ask_all(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """All arms answer one question, text appearing as it is written."""
    with st.form("ask"):
        question = st.text_area("Question", max_chars=4000, height=80, key="playground question")
        kinds = st.pills("Arms", comparison.arms, selection_mode="multi", default=comparison.arms)
        sent = st.form_submit_button("Ask", type="primary", icon=":material/send:")
    if sent and not question.strip():
        st.info("Write a question first.")
    if sent and not kinds:
        st.info("Choose at least one arm to ask.")
    if sent and question.strip() and kinds:
        answers = _stream_all(client, comparison.id, list(kinds), question.strip())
        st.session_state[_SHOWN] = (comparison.id, question.strip(), answers)
        st.rerun()
    if (kept := st.session_state.get(_SHOWN)) and kept[0] == comparison.id:
        st.text(f"Question: {kept[1]}")
        _show_all(kept[2], _prices(client, comparison.id))


def _stream_all(
    client: ServiceClient, comparison_id: str, kinds: list[str], question: str
) -> list[tuple[str, dict[str, Any] | str]]:
    """Each arm's answer, or why there is none."""
    answers: list[tuple[str, dict[str, Any] | str]] = []
    loaded: set[tuple[str, str]] = st.session_state.setdefault(_LOADED, set())
    columns = [column for _ in range(0, len(kinds), _BESIDE) for column in st.columns(_BESIDE)]
    for kind, column in zip(kinds, columns, strict=False):
        with column:
            st.markdown(f"**{shown(kind)}**")
            place, text = st.empty(), ""
            answer: dict[str, Any] | str = "the service ended without an answer; ask again"
            try:
                with st.spinner("Asking …" if (comparison_id, kind) in loaded else "Loading the model, then asking …"):
                    for event in client.stream_answer(comparison_id, kind, question):
                        if event.type == "piece":
                            text += str(event.data["text"])
                            place.text(text)
                        elif event.type == "answer":
                            answer = dict(event.data)
                            loaded.add((comparison_id, kind))
                        elif event.type == "problem":
                            answer = page_words(str(event.data["detail"]))
            except ServiceError as error:
                answer = page_words(str(error))
            answers.append((kind, answer))
    return answers


def _prices(client: ServiceClient, comparison_id: str) -> dict[str, str]:
    """What each arm costs, as Decision says it: an answer more or less long than most says little of that."""
    facts = arm_facts(finished_comparison(client, comparison_id))
    cheap = is_cheap(one.usd_per_1000 for one in facts)
    per = "per million" if cheap else "per 1,000"
    return {
        one.arm: f"{serving_price(one.usd_per_1000, is_cheap=cheap)} {per}"
        for one in facts
        if one.usd_per_1000 is not None
    }


def _show_all(answers: list[tuple[str, dict[str, Any] | str]], prices: Mapping[str, str]) -> None:
    for start in range(0, len(answers), _BESIDE):
        for column, (kind, answer) in zip(st.columns(_BESIDE), answers[start : start + _BESIDE], strict=False):
            with column.container(border=True):
                st.markdown(f"**{shown(kind)}**")
                if isinstance(answer, str):
                    st.warning(shown(answer), icon=":material/error:")
                    continue
                show_answer(answer, prices.get(kind, "no price"))


def show_answer(answer: dict[str, Any], price: str) -> None:
    """Text, what it took, what the arm costs, and the passages it was given."""
    st.text(answer["text"] or "(an empty answer)")
    tokens = answer["tokens"]
    st.caption(
        f"you waited {seconds(answer['latency_s'])}, {seconds(answer['model_s'])} of it in the model · "
        f"{tokens['input_tokens']:,} tokens read, {tokens['output_tokens']:,} written · {price}"
    )
    for source in answer["sources"]:
        with st.expander(shown(source["title"] or source["document_id"], 60)):
            st.markdown(overlap_marks(source["text"], answer["text"]))
            st.caption(shown(source["document_id"]))


def duel(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """Two answers without names; a vote shows whose they are."""
    st.header("Blind vote")
    st.write(
        "Two arms answer the same question and you are not told which is which. Your votes join the evidence: they "
        "show whether people prefer what the metric prefers."
    )
    if len(comparison.arms) < 2:
        st.info("This comparison has a single arm, so there is nothing to vote between.")
        return
    with st.form("duel"):
        question = st.text_input("Question for the vote", max_chars=4000, key="duel question")
        sent = st.form_submit_button("Show two answers", icon=":material/visibility_off:")
    if sent and not question.strip():
        st.info("Write a question for the vote first.")
    if sent and question.strip():
        arms = random.sample(comparison.arms, 2)
        with guarded("The arms could not be asked"), st.spinner("Asking two arms …"):
            answers = [client.ask(comparison.id, arm, [question.strip()])[0] for arm in arms]
        st.session_state[_DUEL] = {"id": comparison.id, "question": question.strip(), "arms": arms, "answers": answers}
    current = st.session_state.get(_DUEL)
    if not current or current["id"] != comparison.id:
        return
    st.text(f"Question: {current['question']}")
    for name, answer, column in zip("AB", current["answers"], st.columns(2), strict=True):
        with column.container(border=True):
            st.markdown(f"**Answer {name}**")
            st.text(answer["text"] or "(an empty answer)")
    if "vote" in current:
        told = {"A": "A is better", "B": "B is better", "neither": "neither is better"}[current["vote"]]
        first, second = current["arms"]
        st.success(f"Your vote: {told}. A was {shown(first)}, B was {shown(second)}.", icon=":material/how_to_vote:")
        return
    buttons = st.container(horizontal=True)
    for vote, label in (("A", "A is better"), ("B", "B is better"), ("neither", "Neither")):
        if buttons.button(label, key=f"vote {vote}"):
            cast(client, comparison.id, current, vote)
            st.rerun()


def cast(client: ServiceClient, comparison_id: str, current: dict[str, Any], vote: str) -> None:
    """Store the vote of this browser session."""
    preferred = {"A": current["arms"][0], "B": current["arms"][1]}.get(vote)
    voter = st.session_state.setdefault(_VOTER, f"page-{secrets.token_hex(8)}")
    try:
        client.cast_vote(
            comparison_id,
            question=current["question"],
            arms=(current["arms"][0], current["arms"][1]),
            preferred=preferred,
            voter=voter,
        )
    except ServiceError as error:
        show_failure("The vote could not be stored", error)
        st.stop()
    current["vote"] = vote


st.title("Playground")
the_client = service_client()
chosen = chosen_comparison(the_client)
ask_all(the_client, chosen)
duel(the_client, chosen)
show_tally(the_client, chosen.id)
