"""Sliders and switches for what a team declares: each starts where the comparison was decided, or its address says."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import streamlit as st
from pydantic import ValidationError

from advisor.decision.constraints import Constraints
from advisor.decision.inputs import Axis
from advisor.report.axes import axis_value, axis_words
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Comparison
from service.contract.schemas import AxisView, WhatIfRequest

WHAT_IF = "what_if"
_PER_DECADE = 6
_RESET = "what-if round"
_OF = "what-if of"
_RACED = "A race was run for this one value; compare again without a race to try others."


def declared_inputs(
    comparison_id: str, comparison: Comparison, axes: Sequence[AxisView], recorded: Constraints
) -> WhatIfRequest:
    """What the visitor wants to try; unmoved controls say nothing. The address keeps it.

    Args:
        comparison_id: As the service knows it; one that was run again has a report of the same name.
    """
    by_axis = {view.axis: view for view in axes}
    # Another round makes new widgets, which start where the comparison was decided.
    tag = f"{comparison_id} {st.session_state.setdefault(_RESET, 0)}"
    asked = _asked(comparison_id)

    def by_factors(axis: Axis) -> float | None:
        return _by_factors(comparison, by_axis[axis], getattr(asked, axis), tag)

    first, second = st.columns(2)
    with first:
        volume = by_factors(Axis.QUERIES_PER_MONTH)
        refreshes = by_factors(Axis.REFRESHES_PER_MONTH)
        coverage = _share(comparison, by_axis[Axis.COVERAGE], asked.coverage, tag, most=100)
        margin = _share(comparison, by_axis[Axis.MARGIN], asked.margin, tag, most=30)
    with second:
        prices = {
            axis: by_factors(axis)
            for axis in (Axis.MACHINE_PRICE, Axis.INPUT_PRICE, Axis.OUTPUT_PRICE)
            if by_axis[axis].current is not None
        }
        values = _worth(comparison, asked.values, tag)
    constraints = _constraints(recorded, asked.constraints or recorded, tag)
    st.button("Back to what was decided", icon=":material/undo:", on_click=_start_anew)
    request = WhatIfRequest(
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
    _tell_address(request)
    return request


def _asked(comparison_id: str) -> WhatIfRequest:
    """What the address wants to be tried; nothing where it says it for another comparison, or in words unknown here."""
    if st.session_state.get(_OF) not in (None, comparison_id):
        st.query_params.pop(WHAT_IF, None)
    st.session_state[_OF] = comparison_id
    try:
        return WhatIfRequest.model_validate_json(st.query_params.get(WHAT_IF, "{}"))
    except ValidationError:
        return WhatIfRequest()


def _tell_address(request: WhatIfRequest) -> None:
    told = request.model_dump_json(exclude_none=True, exclude={"parts"})
    if told == "{}":
        st.query_params.pop(WHAT_IF, None)
    elif st.query_params.get(WHAT_IF) != told:
        st.query_params[WHAT_IF] = told


def _start_anew() -> None:
    st.session_state[_RESET] = st.session_state.get(_RESET, 0) + 1
    st.query_params.pop(WHAT_IF, None)


def _by_factors(comparison: Comparison, view: AxisView, asked: float | None, tag: str) -> float | None:
    """A slider whose steps are factors; None where it stands as recorded."""
    current = view.current if view.current is not None else view.low
    steps = _steps(view, current)
    moved = st.select_slider(
        axis_words(view.axis).name,
        options=steps,
        value=current if asked is None else min(steps, key=lambda step: abs(step - asked)),
        format_func=lambda value: axis_value(comparison, view.axis, value),
        key=f"{view.axis} {tag}",
    )
    return None if moved == view.current else float(moved)


def _steps(view: AxisView, current: float) -> list[float]:
    n_decades = round(float(np.log10(view.high / view.low)))
    grid = np.geomspace(view.low, view.high, n_decades * _PER_DECADE + 1)
    others = {0.0, *(float(f"{step:.2g}") for step in grid)}
    return sorted({*(step for step in others if abs(step - current) > 1e-9 * max(1.0, current)), current})


def _share(comparison: Comparison, view: AxisView, asked: float | None, tag: str, *, most: int) -> float | None:
    current = (view.current if view.current is not None else 0.0) * 100
    # Whatever would flip the verdict can be tried.
    flips = [p.value * 100 for f in comparison.flips if f.axis == view.axis for p in (f.below, f.above) if p]
    highest = float(min(ceil(max(most, current, *(flip + 1 for flip in flips))), max(most, 99)))
    is_raced = comparison.race is not None
    moved = st.slider(
        f"{axis_words(view.axis).name} ({'%' if view.axis == Axis.COVERAGE else 'points'})",
        min_value=0.0,
        max_value=highest,
        value=current if asked is None or is_raced else min(round(asked * 100, 6), highest),
        step=0.5,
        format="%.1f",
        key=f"{view.axis} {tag}",
        help=_RACED if is_raced else None,
        disabled=is_raced,
    )
    return None if moved == current else moved / 100


def _worth(comparison: Comparison, asked: AnswerValues | None, tag: str) -> AnswerValues | None:
    """The worth of answers; None where it is as recorded."""
    declared = comparison.settings.get("values")
    recorded = AnswerValues(**declared) if declared else None
    is_raced = comparison.race is not None
    if not st.toggle(
        "Answers have a worth in money",
        value=recorded is not None or (asked is not None and not is_raced),
        key=f"worth {tag}",
        help="A race compares arms by score; compare again without a race to give answers a worth."
        if is_raced
        else "Arms are then compared by what they bring a month, costs taken off, instead of by score alone.",
        disabled=recorded is not None or is_raced,
    ):
        return None
    start = asked or recorded or AnswerValues(right_usd=0.01)
    chosen = AnswerValues(
        right_usd=_amount("A right answer brings (USD)", start.right_usd, f"right {tag}"),
        wrong_usd=_amount("A wrong answer costs (USD)", start.wrong_usd, f"wrong {tag}"),
        abstention_usd=_amount("Declining to answer what has an answer costs (USD)", start.abstention_usd, f"no {tag}"),
    )
    return None if chosen == recorded else chosen


def _amount(label: str, start: float, key: str) -> float:
    return st.number_input(label, min_value=0.0, max_value=1e15, value=start, step=0.001, format="%g", key=key)


def _constraints(recorded: Constraints, start: Constraints, tag: str) -> Constraints | None:
    with st.expander("What an arm must fulfil", icon=":material/rule:"):
        chosen = Constraints(
            must_cite_sources=st.toggle("It must cite sources", start.must_cite_sources, key=f"cite {tag}"),
            facts_must_be_deletable=st.toggle(
                "Facts must be deletable", start.facts_must_be_deletable, key=f"delete {tag}"
            ),
            no_gpu_in_serving=st.toggle("It must answer without a GPU", start.no_gpu_in_serving, key=f"gpu {tag}"),
            max_p95_latency_s=_limit(
                "p95 latency, at most (s)", start.max_p95_latency_s, 2.0, tag, least=0.001, most=1e6
            ),
            monthly_budget_usd=_limit("Most it may cost a month (USD)", start.monthly_budget_usd, 100.0, tag),
            min_abstention_recall=_limit(
                "Least share of unanswerable questions it declines (0 to 1)",
                start.min_abstention_recall,
                0.7,
                tag,
                most=1.0,
            ),
            good_enough=_limit("Least score that is good enough (0 to 1)", start.good_enough, 0.7, tag, most=1.0),
        )
    return None if chosen == recorded else chosen


def _limit(
    label: str, declared: float | None, start: float, tag: str, *, least: float = 0.0, most: float = 1e15
) -> float | None:
    if not st.toggle(label, declared is not None, key=f"on {label} {tag}"):
        return None
    value = declared if declared is not None else start
    return st.number_input(
        label,
        # What was declared may be less than what anyone would type.
        min_value=min(least, value),
        max_value=most,
        value=value,
        format="%g",
        key=f"{label} {tag}",
        label_visibility="collapsed",
    )
