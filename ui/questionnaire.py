"""The questions to answer before tuning anything, as a form, and what experience says to the answers."""

from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st

from advisor.advice.prior import PriorReason, PriorRecommendation
from service.contract.client import ServiceClient
from service.contract.schemas import QuestionView
from ui.connection import cache_owner, guarded
from ui.counted import counted
from ui.untrusted import shown

PRIOR_STATE = "prior_answers"
"""Answers given in this browser session: a comparison started from it sets them beside its evidence."""


@st.cache_data(max_entries=8, show_spinner=False)
def _questions(_client: ServiceClient, owner: str) -> list[QuestionView]:
    return _client.get_questionnaire().questions


def ask_questionnaire(client: ServiceClient) -> None:
    """The form, and the advice once it was sent."""
    with guarded("The questions could not be read"):
        questions = _questions(client, cache_owner())
    with st.form("questionnaire"):
        answers = {}
        for section, asked in groupby(questions, key=lambda question: question.section):
            with st.expander(section, expanded=section == questions[0].section):
                for question in asked:
                    answer = _field(question)
                    if answer not in (None, []):
                        answers[question.id] = answer
        sent = st.form_submit_button("What do studies suggest?", icon=":material/psychology:")
    if sent:
        st.session_state[PRIOR_STATE] = answers
    if given := st.session_state.get(PRIOR_STATE):
        with guarded("No advice could be given"):
            advice = client.advise(given)
        show_advice(advice)
    elif sent:
        st.info("Answer at least one question first.", icon=":material/info:")


def _field(question: QuestionView) -> Any:
    labels = {option.id: option.label for option in question.options}
    label, key, help_ = question.ask, f"question {question.id}", question.why or None
    if question.several:
        return st.multiselect(label, list(labels), format_func=labels.__getitem__, key=key, help=help_)
    if labels:
        return st.selectbox(
            label,
            list(labels),
            index=None,
            format_func=labels.__getitem__,
            placeholder="not answered",
            key=key,
            help=help_,
        )
    unit = f" ({question.unit})" if question.unit else ""
    if question.whole:
        most = int(question.maximum) if question.maximum is not None else None
        return st.number_input(f"{label}{unit}", 0, most, value=None, step=1, key=key, help=help_)
    return st.number_input(f"{label}{unit}", 0.0, question.maximum, value=None, key=key, help=help_)


def show_advice(advice: PriorRecommendation) -> None:
    """What the answers speak for, arm by arm, with the studies behind it."""
    st.subheader(shown(advice.headline), anchor=False)
    st.caption(f"Confidence: {advice.confidence}. This is experience of others; a comparison measures it on your data.")
    reasons = [reason for arm in advice.ranking for reason in (*arm.reasons, *arm.ruled_out)]
    if reasons:
        _show_ranking(advice)
    for caution in advice.cautions:
        st.warning(shown(caution.text), icon=":material/warning:")
    if sources := _sources([*reasons, *advice.cautions]):
        with st.expander(f"Sources ({len(sources)})"):
            st.text("\n".join(sources))
    if advice.unanswered:
        n_open = len(advice.unanswered)
        st.caption(f"{counted(n_open, 'question')} not answered; an answer to any would make the advice surer.")


def _show_ranking(advice: PriorRecommendation) -> None:
    frame = pd.DataFrame(
        [
            {
                "arm": arm.arm,
                "points": arm.points,
                "speaks for or against it": "; ".join(f"{reason.points:+g} {reason.text}" for reason in arm.reasons),
                "ruled out by": "; ".join(reason.text for reason in arm.ruled_out),
            }
            for arm in advice.ranking
        ]
    )
    st.dataframe(frame, hide_index=True, width="stretch", key="advice", alt="What the answers favour, by arm")


def _sources(reasons: list[PriorReason]) -> list[str]:
    return list(dict.fromkeys(source for reason in reasons for source in reason.sources))
