"""A few test questions with what two arms said, side by side."""

from collections.abc import Sequence

import streamlit as st

from advisor.report.facts import SideBySide
from advisor.report.sections.quality import named_with_role
from advisor.results.comparison import Comparison
from ui.comparison.answer_matrix import NO_REFERENCE
from ui.untrusted import shown

_CAPTIONS = {
    "a win": "The arm of the verdict is right, its closest rival is not.",
    "a loss": "The rival is right, the arm of the verdict is not.",
    "a dangerous mistake": "Claimed, and wrong: whoever relies on it is misled.",
}


def show_examples(comparison: Comparison, examples: Sequence[SideBySide]) -> None:
    """Each in a box of its own; nothing where there are none."""
    if not examples:
        return
    st.header("Three answers")
    for one, column in zip(examples, st.columns(len(examples)), strict=True):
        with column.container(border=True):
            st.markdown(f"**{one.kind.capitalize()}**")
            st.caption(_CAPTIONS[one.kind])
            st.text(f"Question: {one.question}")
            st.text(f"Right answer: {' | '.join(one.references) or NO_REFERENCE}")
            for answer in one.answers:
                st.markdown(f"{'✓' if answer.is_right else '✗'} {shown(named_with_role(comparison, answer.arm))}")
                st.text(answer.text or "(an empty answer)")
