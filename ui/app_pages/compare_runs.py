"""Several comparisons side by side: their verdicts, their scores, and what was set differently."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from advisor.report.arms import candidates
from advisor.results.comparison import ArmSummary, Comparison, MetricSummary
from advisor.results.quantities import MISSING, scale_of, usd, usd_range
from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonSummary
from ui.address import comparison_label
from ui.comparison.finished import finished_comparison
from ui.connection import guarded, page_words, service_client
from ui.copying import offer_copies
from ui.figures import scores_of_runs, show_figure
from ui.untrusted import shown

_MOST = 6
_RUN, _FIELD, _WRITTEN = "run", "runs field", "runs of address"
_NOT_SETTINGS = {"training_curves"}
_HASH = re.compile(r"[0-9a-f]{40,}")


def choose(client: ServiceClient) -> dict[str, str]:
    """Names of the chosen comparisons by id; the address keeps the choice."""
    with guarded("The comparisons could not be listed"):
        listed = client.list_comparisons(state=ComparisonState.SUCCEEDED, limit=200).items
    by_id = {one.id: one for one in [*listed, *_asked_besides(client, {one.id for one in listed})]}
    if len(by_id) < 2:
        st.info("Two finished comparisons are needed to compare.", icon=":material/info:")
        st.page_link("app_pages/new_comparison.py", label="New comparison", icon=":material/add_circle:")
        st.stop()
    asked = [one for one in st.query_params.get_all(_RUN) if one in by_id][:_MOST]
    # The address wins only where it is not what the field itself wrote there: the field may have been moved since.
    if asked and asked != st.session_state.get(_WRITTEN):
        st.session_state[_FIELD] = asked
    elif _FIELD not in st.session_state:
        earlier = [one for one in st.session_state.get(_WRITTEN, ()) if one in by_id]
        st.session_state[_FIELD] = earlier or list(by_id)[:2]
    chosen = st.multiselect(
        "Comparisons",
        list(by_id),
        max_selections=_MOST,
        format_func=lambda one: comparison_label(by_id[one]),
        key=_FIELD,
    )
    st.query_params[_RUN] = st.session_state[_WRITTEN] = chosen
    return {one: by_id[one].name for one in chosen}


def _asked_besides(client: ServiceClient, listed: set[str]) -> list[ComparisonSummary]:
    """Those of the address that are too old for the list; what is not there, or not finished, is told."""
    found: list[ComparisonSummary] = []
    for one in [one for one in st.query_params.get_all(_RUN) if one not in listed][:_MOST]:
        try:
            run = client.get_comparison(one)
        except ServiceError as error:
            st.warning(f"{shown(one, 80)} is left out: {shown(page_words(str(error)))}", icon=":material/link_off:")
            continue
        if run.state is ComparisonState.SUCCEEDED:
            found.append(run)
        else:
            st.warning(
                f"{shown(run.name)} is left out: it is {run.state} and has no report.", icon=":material/link_off:"
            )
    return found


def verdict_frame(runs: Mapping[str, Comparison]) -> pd.DataFrame:
    """A row a comparison."""
    return pd.DataFrame(
        [
            {
                "comparison": name,
                "verdict": str(run.recommendation.verdict),
                "arm": run.recommendation.arm or "",
                "metric": run.recommendation.metric,
                "test questions": max((arm.n_questions for arm in run.arms), default=0),
                "dataset": run.card.name,
                "model": run.model,
                "made": run.created_at[:16].replace("T", " "),
                "same data as the first": "yes" if run.dataset_hash == next(iter(runs.values())).dataset_hash else "no",
            }
            for name, run in runs.items()
        ]
    )


def score_frame(runs: Mapping[str, Comparison], *, is_comparable: bool) -> pd.DataFrame:
    """A row an arm: its score in each comparison, and by how much that differs from the first one.

    Args:
        is_comparable: They are of one dataset and one metric; else there is no difference to tell.
    """
    first = next(iter(runs))
    rows = []
    for kind in _kinds(runs):
        row = {"arm": kind}
        for name, run in runs.items():
            row[name] = _score(run, kind)
            if is_comparable and name != first:
                row[f"{name}, change"] = _change(runs[first], run, kind)
        rows.append(row)
    return pd.DataFrame(rows)


def cost_frame(runs: Mapping[str, Comparison]) -> pd.DataFrame:
    """A row an arm, a column a comparison: cost a month with its spread."""
    return pd.DataFrame(
        [{"arm": kind, **{name: _cost(run, kind) for name, run in runs.items()}} for kind in _kinds(runs)]
    )


def _kinds(runs: Mapping[str, Comparison]) -> list[str]:
    return list(dict.fromkeys(arm.id for run in runs.values() for arm in candidates(run)))


def _arm(run: Comparison, kind: str) -> ArmSummary | None:
    return next((one for one in run.arms if one.id == kind), None)


def _summary(run: Comparison, kind: str) -> MetricSummary | None:
    arm = _arm(run, kind)
    return arm.metric(run.recommendation.metric) if arm is not None else None


def _score(run: Comparison, kind: str) -> str:
    summary = _summary(run, kind)
    if summary is None:
        return "not compared"
    unscored = f", unscored {summary.n_unscored}" if summary.n_unscored else ""
    return f"{scale_of(run, summary.metric).interval(summary.interval)} (n {summary.n}{unscored})"


def _change(first: Comparison, run: Comparison, kind: str) -> str:
    before, now = _summary(first, kind), _summary(run, kind)
    if before is None or now is None or before.interval is None or now.interval is None:
        return MISSING
    change = (now.interval.estimate - before.interval.estimate) * scale_of(run, now.metric).factor
    return f"{'▲' if change > 0 else '▼'} {change:+.1f}" if change else "= 0.0"


def _cost(run: Comparison, kind: str) -> str:
    arm = _arm(run, kind)
    if arm is None:
        return "not compared"
    return f"{usd(arm.cost.monthly_usd)} {usd_range(arm.cost.monthly_interval)}".rstrip() if arm.cost else "no price"


def changed_settings(runs: Mapping[str, Comparison]) -> pd.DataFrame:
    """Every setting and hash that is not the same in all."""
    flat = {name: dict(_leaves({"settings": _settings(run), "hashes": run.hashes})) for name, run in runs.items()}
    keys = {key for values in flat.values() for key in values}
    # What people set comes before what was computed of it.
    keys_in_order = sorted(keys, key=lambda key: (key.startswith("hashes."), key))
    rows = [
        {"setting": key.removeprefix("settings."), **{name: _written(values.get(key)) for name, values in flat.items()}}
        for key in keys_in_order
        if len({repr(values.get(key)) for values in flat.values()}) > 1
    ]
    return pd.DataFrame(rows)


def _settings(run: Comparison) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if key not in _NOT_SETTINGS}


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [leaf for key, item in value.items() for leaf in _leaves(item, f"{prefix}.{key}" if prefix else str(key))]


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    text = MISSING if value is None else str(value)
    # Of a hash the beginning tells it apart from others.
    return f"{text[:16]}…" if _HASH.fullmatch(text) else text


st.title("Compare runs")
the_client = service_client()
chosen = choose(the_client)
offer_copies()
if len(chosen) < 2:
    st.info("Choose at least two.")
    st.stop()
names = list(chosen.values())
labels = {one: name if names.count(name) == 1 else f"{name} ({one[-6:]})" for one, name in chosen.items()}
runs = {labels[one]: finished_comparison(the_client, one) for one in chosen}
if len({run.dataset_hash for run in runs.values()}) > 1:
    st.warning(
        "They are of different data, so their scores cannot be set against each other; verdicts and settings can.",
        icon=":material/warning:",
    )
st.header("Verdicts")
for name, run in runs.items():
    st.markdown(f"- **{shown(name)}**: {shown(run.recommendation.headline)}")
st.dataframe(verdict_frame(runs), hide_index=True, width="stretch", key="verdicts", alt="Verdict of each comparison")
metrics = {run.recommendation.metric for run in runs.values()}
is_comparable = len(metrics) == 1 and len({run.dataset_hash for run in runs.values()}) == 1
first = next(iter(runs.values()))
scale = scale_of(first, first.recommendation.metric)
st.header("Scores")
if len(metrics) > 1:
    st.warning("They were decided by different metrics, whose scores cannot be set against each other.")
elif figure := scores_of_runs(runs, first.recommendation.metric, scale):
    show_figure(figure, "scores of runs")
st.dataframe(
    score_frame(runs, is_comparable=is_comparable), hide_index=True, width="stretch", key="scores", alt="Scores of arms"
)
st.caption(
    f"{', '.join(sorted(metrics))} in {scale.unit} with 95 % interval and number of questions. A change is to "
    "the first comparison, and may be chance: a gate on Reports & CI says whether it is more."
)
st.header("Cost a month")
st.dataframe(cost_frame(runs), hide_index=True, width="stretch", key="costs", alt="Cost of each arm")
st.header("What was set differently")
frame = changed_settings(runs)
if frame.empty:
    st.success("Nothing: they have the same settings, data and models.")
else:
    st.dataframe(frame, hide_index=True, width="stretch", key="settings", alt="Settings that differ")
