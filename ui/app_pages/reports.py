"""Reports to download, a gate for continuous integration, keys, and what is deployed."""

import json
import shlex
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import pandas as pd
import streamlit as st

from advisor.report.arms import candidates
from service.contract.client import REPORT_NAMES, ServiceClient, ServiceError
from service.contract.schemas import ComparisonSummary
from service.contract.scope import Scope
from ui.address import chosen_comparison
from ui.comparison.finished import finished_comparison
from ui.comparison.gate_file import GateDraft, ThresholdDraft, gate_rules, gate_toml
from ui.connection import guarded, service_client, show_failure
from ui.untrusted import shown

_WHAT = {
    "report.html": ("Report (HTML)", "text/html"),
    "report.md": ("Report (Markdown)", "text/markdown"),
    "report.json": ("Report (JSON)", "application/json"),
    "report.xml": ("JUnit (XML)", "application/xml"),
    "decision.json": ("Decision record", "application/json"),
    "results.csv": ("Every answer (CSV)", "text/csv"),
    "results.jsonl": ("Every answer (JSON Lines)", "application/x-ndjson"),
}
_TRIED = "gate tried"
_LOWER_IS_BETTER = ("p50_latency_s", "p95_latency_s", "usd_per_query", "usd_per_month")


def offer_downloads(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """Every format of the report."""
    st.header("Download")
    row = st.container(horizontal=True)
    for name in sorted(REPORT_NAMES, key=list(_WHAT).index):
        label, mime = _WHAT[name]
        row.download_button(
            label,
            # Read when it is asked for: the answers of a large comparison take many megabytes.
            partial(client.get_report, comparison.id, name),
            f"{comparison.id}-{name}",
            mime,
            icon=":material/download:",
            # A page drawn again meanwhile would take the file away before a slow browser has fetched it.
            on_click="ignore",
            key=f"download {name}",
        )


def build_gate(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """Thresholds to try on this comparison, and the file that asks the same in CI."""
    st.header("Gate for CI")
    st.write(
        "A gate fails a pull request when the questions show that something became too bad, not when luck made it look "
        "so. Try it here, then put the file into your repository."
    )
    finished = finished_comparison(client, comparison.id)
    kinds = ["recommended", *(arm.id for arm in candidates(finished))]
    metrics = list(dict.fromkeys(m.metric for arm in candidates(finished) for m in arm.metrics))
    n = st.number_input("Number of thresholds", 1, 10, 1)
    thresholds = []
    for i in range(n):
        arm_field, measure_field, limit_field = st.columns(3)
        arm = arm_field.selectbox("Arm", kinds, key=f"gate arm {i}")
        measure = measure_field.selectbox("Measure", [*metrics, *_LOWER_IS_BETTER], key=f"gate measure {i}")
        word: Literal["at most", "at least"] = "at most" if measure in _LOWER_IS_BETTER else "at least"
        limit = limit_field.number_input(
            f"Is {word} ({_unit(measure)})", 0.0, value=0.5, step=0.05, format="%.4f", key=f"gate limit {i} {word}"
        )
        thresholds.append(ThresholdDraft(arm, measure, word, limit))
    baseline = st.text_input("Name of a baseline it must not fall behind", placeholder="none", max_chars=64) or None
    is_uploaded = comparison.dataset != finished.card.name
    draft = GateDraft(finished.card.name, is_uploaded, tuple(thresholds), baseline)
    if st.button("Try the gate on this comparison", icon=":material/rule:"):
        try:
            outcome = client.check_gate(comparison.id, gate_rules(draft))
        except ServiceError as error:
            show_failure("The gate could not be tried", error)
        else:
            st.session_state[_TRIED] = (comparison.id, draft, outcome)
    # It stays until something else is asked.
    if (tried := st.session_state.get(_TRIED)) and tried[:2] == (comparison.id, draft):
        show_outcome(tried[2])
    st.markdown("**tuning-fork.toml**")
    st.code(gate_toml(draft, finished.settings), language="toml", wrap_lines=True)
    github, gitlab = st.tabs(["GitHub", "GitLab"])
    github.code(
        "on: pull_request\n"
        "permissions:\n  contents: read\n  pull-requests: write\n"
        "jobs:\n  gate:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - uses: actions/checkout@v4\n"
        "      - uses: OWNER/tuning-fork/ci@main  # where you keep Tuning Fork\n"
        "        with:\n          config: tuning-fork.toml\n",
        language="yaml",
        wrap_lines=True,
    )
    gitlab.code(
        "gate:\n  script:\n    - tuningfork ci tuning-fork.toml --out tuning-fork-report\n"
        "  artifacts:\n    when: always\n    paths: [tuning-fork-report/]\n"
        "    reports:\n      junit: tuning-fork-report/junit.xml\n",
        language="yaml",
        wrap_lines=True,
    )
    name = st.text_input("Keep this comparison as the baseline named", max_chars=64, key="baseline name")
    if st.button("Set baseline", icon=":material/flag:", disabled=not name):
        with guarded("The baseline could not be set"):
            client.set_baseline(name, comparison.id)
        st.success(f"{shown(name)} now stands for this comparison. It never changes by itself.")


def _unit(measure: str) -> str:
    if measure not in _LOWER_IS_BETTER:
        return "0 to 1"
    return "seconds" if measure.endswith("_s") else "USD"


def show_outcome(outcome: dict[str, Any]) -> None:
    """Pass, fail or cannot compare, and why."""
    told = {"pass": st.success, "fail": st.error}.get(str(outcome["verdict"]), st.warning)
    told(f"{str(outcome['verdict']).capitalize()}. {shown(str(outcome.get('headline', '')))}")
    frame = pd.DataFrame(
        [{"check": c["name"], "verdict": c["verdict"], "reason": c["reason"]} for c in outcome.get("checks", [])]
    )
    st.dataframe(frame, hide_index=True, width="stretch", key="gate checks", alt="Checks of the gate")


def deploy(client: ServiceClient, comparison: ComparisonSummary) -> None:
    """What an alias serves, how to change it, and how to go back."""
    st.header("Deploy")
    with guarded("The deployments could not be listed"):
        deployed = client.list_deployments()
    if deployed:
        frame = pd.DataFrame(
            [
                {
                    "alias": one["alias"],
                    "arm": one["kind"],
                    "comparison": one["comparison_id"],
                    "revision": one["revision"],
                    "since (UTC)": datetime.fromtimestamp(one["created_at"], UTC).strftime("%Y-%m-%d %H:%M"),
                }
                for one in deployed
            ]
        )
        st.dataframe(frame, hide_index=True, width="stretch", key="deployments", alt="What each alias serves")
    else:
        st.caption("Nothing is deployed. Applications ask a deployed arm at /v1/chat/completions by its alias.")
    alias_field, arm_field = st.columns(2)
    alias = alias_field.text_input("Alias", "production", max_chars=64)
    recommended = comparison.recommended_arm
    start = comparison.arms.index(recommended) if recommended in comparison.arms else 0
    kind = arm_field.selectbox("Arm to deploy", comparison.arms, index=start)
    row = st.container(horizontal=True)
    if row.button("Deploy", icon=":material/rocket_launch:", disabled=not alias):
        with guarded("It could not be deployed"):
            client.deploy(alias, comparison.id, kind)
        st.rerun()
    if row.button("Roll back", icon=":material/undo:", disabled=not any(one.get("alias") == alias for one in deployed)):
        with guarded("It could not be rolled back"):
            client.roll_back(alias)
        st.rerun()
    body = {"model": alias or f"{comparison.id}/{kind}", "messages": [{"role": "user", "content": "Your question"}]}
    st.code(
        f"curl {client.url}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        '  -H "Authorization: Bearer $TUNING_FORK_API_KEY" \\\n'
        f"  -d {shlex.quote(json.dumps(body))}",
        language="bash",
        wrap_lines=True,
    )


def manage_keys(client: ServiceClient) -> None:
    """Keys for CI and applications; only for who may make them."""
    st.header("API keys")
    try:
        keys = client.list_keys().items
    except ServiceError as error:
        if error.status in (401, 403):
            st.caption("Keys are shown to those whose own key has the scope admin.")
            return
        show_failure("The keys could not be listed", error)
        return
    if keys:
        rows = [
            {"name": k.name, "scopes": ", ".join(k.scopes), "id": k.id, "revoked": "yes" if k.revoked_at else ""}
            for k in keys
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="keys", alt="API keys")
    else:
        st.caption("There is none. From the first key on, every caller needs one, this page too.")
    with st.form("new key"):
        name = st.text_input("Name of a new key", max_chars=120)
        scope = st.selectbox("It may", [str(one) for one in Scope])
        sent = st.form_submit_button("Make the key", icon=":material/key:")
    if sent and name:
        with guarded("The key could not be made"):
            created = client.create_key(name, scopes=[Scope(scope)])
        st.success("This is the key. It is shown this once and stored nowhere:")
        st.code(created.secret, language=None, wrap_lines=True)
    live = [key for key in keys if not key.revoked_at]
    if live:
        doomed = st.selectbox("Revoke", live, index=None, format_func=lambda k: f"{k.name} · {k.id}", key="revoke")
        if doomed is not None and st.button("Revoke it", icon=":material/block:"):
            with guarded("The key could not be revoked"):
                client.revoke_key(doomed.id)
            st.rerun()


st.title("Reports & CI")
the_client = service_client()
chosen = chosen_comparison(the_client)
offer_downloads(the_client, chosen)
build_gate(the_client, chosen)
deploy(the_client, chosen)
manage_keys(the_client)
