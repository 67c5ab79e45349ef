"""Sliders and switches for what a team declares: each starts where the comparison was decided."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from advisor.comparison import Comparison
from advisor.decision_inputs import Axis
from advisor.report.axes import axis_value, axis_words
from service.api.schemas import AnswerValuesRequest, AxisView, ConstraintsRequest, WhatIfRequest

_PER_DECADE = 6
_RESET = "what-if round"


def declared_inputs(comparison: Comparison, axes: Sequence[AxisView], recorded: ConstraintsRequest) -> WhatIfRequest:
    """What the visitor wants to try; unmoved controls say nothing."""
    by_axis = {view.axis: view for view in axes}
    # Another round makes new widgets, which start where the comparison was decided.
    tag = f"{comparison.id} {st.session_state.setdefault(_RESET, 0)}"
    first, second = st.columns(2)
    with first:
        volume = _by_factors(comparison, by_axis[Axis.QUERIES_PER_MONTH], tag)
        refreshes = _by_factors(comparison, by_axis[Axis.REFRESHES_PER_MONTH], tag)
        coverage = _share(comparison, by_axis[Axis.COVERAGE], tag, most=100)
        margin = _share(comparison, by_axis[Axis.MARGIN], tag, most=30)
    with second:
        prices = {
            axis: _by_factors(comparison, by_axis[axis], tag)
            for axis in (Axis.MACHINE_PRICE, Axis.INPUT_PRICE, Axis.OUTPUT_PRICE)
            if by_axis[axis].current is not None
        }
        values = _worth(comparison, by_axis[Axis.RIGHT_ANSWER], tag)
    constraints = _constraints(recorded, tag)
    st.button("Back to what was decided", icon=":material/undo:", on_click=_start_anew)
    return WhatIfRequest(
        queries_per_month=volume,
        refreshes_per_month=refreshes,
        coverage=coverage,
        margin=margin,
        machine_usd_per_hour=prices.get(Axis.MACHINE_PRICE),
        usd_per_million_input_tokens=prices.get(Axis.INPUT_PRICE),
        usd_per_million_output_tokens=prices.get(Axis.OUTPUT_PRICE),
        values=values,
        constraints=constraints,
        parts=["flip_map"],
    )


def _start_anew() -> None:
    st.session_state[_RESET] = st.session_state.get(_RESET, 0) + 1


def _by_factors(comparison: Comparison, view: AxisView, tag: str) -> float | None:
    """A slider whose steps are factors; None where it stands as recorded."""
    current = view.current if view.current is not None else view.low
    moved = st.select_slider(
        axis_words(view.axis).name,
        options=_steps(view, current),
        value=current,
        format_func=lambda value: axis_value(comparison, view.axis, value),
        key=f"{view.axis} {tag}",
    )
    return None if moved == view.current else float(moved)


def _steps(view: AxisView, current: float) -> list[float]:
    n_decades = round(float(np.log10(view.high / view.low)))
    grid = np.geomspace(view.low, view.high, n_decades * _PER_DECADE + 1)
    others = {0.0, *(float(f"{step:.2g}") for step in grid)}
    return sorted({*(step for step in others if abs(step - current) > 1e-9 * max(1.0, current)), current})


def _share(comparison: Comparison, view: AxisView, tag: str, *, most: int) -> float | None:
    current = view.current if view.current is not None else 0.0
    moved = st.slider(
        f"{axis_words(view.axis).name} ({'%' if view.axis == Axis.COVERAGE else 'points'})",
        min_value=0.0,
        max_value=float(max(most, current * 100)),
        value=current * 100,
        step=0.5,
        key=f"{view.axis} {tag}",
    )
    return None if moved == current * 100 else moved / 100


def _worth(comparison: Comparison, view: AxisView, tag: str) -> AnswerValuesRequest | None:
    """The worth of answers; None where it is as recorded."""
    declared = view.current is not None
    if not st.toggle(
        "Answers have a worth in money",
        value=declared,
        key=f"worth {tag}",
        help="Arms are then compared by what they bring a month, costs taken off, instead of by score alone.",
        disabled=declared,
    ):
        return None
    current = view.current if view.current is not None else 0.01
    right = st.number_input(
        "A right answer brings (USD)", min_value=0.0, value=current, format="%.4f", key=f"right {tag}"
    )
    wrong = st.number_input("A wrong answer costs (USD)", min_value=0.0, value=0.0, format="%.4f", key=f"wrong {tag}")
    return AnswerValuesRequest(right_usd=right, wrong_usd=wrong)


def _constraints(recorded: ConstraintsRequest, tag: str) -> ConstraintsRequest | None:
    with st.expander("What an arm must fulfil", icon=":material/rule:"):
        chosen = ConstraintsRequest(
            must_cite_sources=st.toggle("It must cite sources", recorded.must_cite_sources, key=f"cite {tag}"),
            facts_must_be_deletable=st.toggle(
                "Facts must be deletable", recorded.facts_must_be_deletable, key=f"delete {tag}"
            ),
            no_gpu_in_serving=st.toggle("It must answer without a GPU", recorded.no_gpu_in_serving, key=f"gpu {tag}"),
            max_p95_latency_s=_limit("Longest wait of 19 in 20 callers (s)", recorded.max_p95_latency_s, 2.0, tag),
            monthly_budget_usd=_limit("Most it may cost a month (USD)", recorded.monthly_budget_usd, 100.0, tag),
            min_abstention_recall=_limit(
                "Least share of unanswerable questions it declines", recorded.min_abstention_recall, 0.7, tag, most=1.0
            ),
        )
    return None if chosen == recorded else chosen


def _limit(label: str, recorded: float | None, start: float, tag: str, *, most: float | None = None) -> float | None:
    if not st.toggle(label, recorded is not None, key=f"on {label} {tag}"):
        return None
    return st.number_input(
        label,
        min_value=0.001,
        max_value=most,
        value=recorded if recorded is not None else start,
        key=f"{label} {tag}",
        label_visibility="collapsed",
    )
