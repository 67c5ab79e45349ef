"""Several comparisons side by side: their verdicts, their scores, and what was set differently."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from advisor.report.arms import candidates
from advisor.results.comparison import Comparison
from advisor.results.quantities import MISSING, scale_of, usd, usd_range
from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonSummary
from ui.connection import guarded, page_words, service_client
from ui.finished import finished_comparison
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
        format_func=lambda one: f"{by_id[one].name} · {by_id[one].model} · {one}",
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
                "made": run.created_at[:16].replace("T", " "),
                "data set": run.card.name,
                "model": run.model,
                "verdict": str(run.recommendation.verdict),
                "arm": run.recommendation.arm or "",
                "metric": run.recommendation.metric,
                "test questions": max((arm.n_questions for arm in run.arms), default=0),
                "same data as the first": "yes" if run.dataset_hash == next(iter(runs.values())).dataset_hash else "no",
            }
            for name, run in runs.items()
        ]
    )


def score_frame(runs: Mapping[str, Comparison]) -> pd.DataFrame:
    """A row an arm, a column a comparison: score with interval, and cost a month."""
    kinds = dict.fromkeys(arm.kind for run in runs.values() for arm in candidates(run))
    return pd.DataFrame([{"arm": kind, **{name: _figures(run, kind) for name, run in runs.items()}} for kind in kinds])


def _figures(run: Comparison, kind: str) -> str:
    arm = next((one for one in run.arms if one.kind == kind), None)
    summary = arm.metric(run.recommendation.metric) if arm is not None else None
    if arm is None or summary is None:
        return "not compared"
    scale = scale_of(run, run.recommendation.metric)
    unscored = f", unscored {summary.n_unscored}" if summary.n_unscored else ""
    score = f"{summary.metric} {scale.interval(summary.interval)} {scale.unit} (n {summary.n}{unscored})"
    spread = usd_range(arm.cost.monthly_interval) if arm.cost else ""
    return f"{score} · {usd(arm.cost.monthly_usd if arm.cost else None)} {spread}".rstrip() + " a month"


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
st.header("Scores and costs")
st.dataframe(score_frame(runs), hide_index=True, width="stretch", key="scores", alt="Score and cost of each arm")
st.caption("The deciding metric with its 95 % interval and number of questions, and the cost a month with its spread.")
if len({run.recommendation.metric for run in runs.values()}) > 1:
    st.warning("They were decided by different metrics, whose scores cannot be set against each other.")
st.header("What was set differently")
frame = changed_settings(runs)
if frame.empty:
    st.success("Nothing: they have the same settings, data and models.")
else:
    st.dataframe(frame, hide_index=True, width="stretch", key="settings", alt="Settings that differ")
