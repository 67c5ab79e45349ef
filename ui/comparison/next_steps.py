"""What to do after a verdict: each step a click away, and whether the verdict still holds."""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from advisor.decision.record import Recheck, RecheckOutcome
from advisor.report.arms import candidates
from advisor.report.facts import NextStep, StepKind
from advisor.results.comparison import Comparison
from service.contract.client import ServiceClient
from service.contract.schemas import ComparisonSummary
from ui.connection import guarded
from ui.dataset.choice import DATASET
from ui.untrusted import shown

_RECHECKED, _HANDED = "rechecked", "handed over"
_DATA, _NEW = "app_pages/data.py", "app_pages/new_comparison.py"
_PLACES = {
    StepKind.FIX: (_DATA, ":material/build:"),
    StepKind.QUESTIONS: (_DATA, ":material/playlist_add:"),
    StepKind.MODEL: (_NEW, ":material/neurology:"),
    StepKind.SETTINGS: (_NEW, ":material/tune:"),
}
# Of the settings of a comparison those that its address on the form can say.
_CARRIED = ("model", "top_k", "chunk_tokens", "max_epochs", "train_limit")


def offer_steps(
    client: ServiceClient, chosen: ComparisonSummary, comparison: Comparison, steps: Sequence[NextStep]
) -> None:
    """Each step as a button to where it is taken, with what it brings below."""
    if not steps:
        return
    st.header("Next steps")
    row = st.container(horizontal=True, key="next_steps")
    for step in steps:
        if step.kind is StepKind.DEPLOY:
            with row:
                _offer_deployment(client, chosen.id, comparison)
            continue
        page, icon = _PLACES[step.kind]
        query = {DATASET: chosen.dataset} if page == _DATA else _again(chosen, comparison, step)
        row.page_link(page, label=shown(step.action), icon=icon, query_params=query)
    st.markdown("\n".join(f"- **{shown(step.action)}**: {shown(step.effect)}" for step in steps))


def _again(chosen: ComparisonSummary, comparison: Comparison, step: NextStep) -> dict[str, str | list[str]]:
    """The address of the form that asks for the same comparison with one thing changed."""
    settings = {**comparison.settings, **step.settings}
    carried = {name: str(settings[name]) for name in _CARRIED if settings.get(name) is not None}
    return {DATASET: chosen.dataset, "arms": list(chosen.arms), **carried}


def _offer_deployment(client: ServiceClient, comparison_id: str, comparison: Comparison) -> None:
    kinds = [arm.id for arm in candidates(comparison)]
    with st.popover(f"Deploy {comparison.recommendation.arm}", icon=":material/rocket_launch:"):
        alias = st.text_input("Alias that applications call", "production", max_chars=64, key="deploy alias")
        recommended = comparison.recommendation.arm
        arm = st.selectbox(
            "Arm to deploy", kinds, index=kinds.index(recommended) if recommended in kinds else 0, key="deploy arm"
        )
        if st.button("Deploy it now", type="primary", disabled=not alias):
            with guarded("It could not be deployed"):
                client.deploy(alias, comparison_id, arm)
            st.success(f"{shown(alias)} now serves {shown(arm)}. Reports & CI rolls it back.")


def _offer_handover(client: ServiceClient, comparison_id: str, arms: Sequence[str], recommended: str | None) -> None:
    """Choose a tool and an arm, have its files written, and take them as a zip archive."""
    with st.popover("Hand over", icon=":material/package_2:"):
        with guarded("The targets could not be listed"):
            targets = {one.name: one.description for one in client.list_handover_targets().items}
        st.caption("The arm for another tool: its files, a README with exact commands, versions and hashes.")
        target = st.selectbox(
            "For", list(targets), format_func=lambda name: f"{name}: {targets[name]}", key="handover target"
        )
        first = arms.index(recommended) if recommended in arms else 0
        arm = st.selectbox("Arm to hand over", arms, first, key="handover arm")
        if st.button("Write the files", help="Weights are loaded, converted and compared, which can take minutes."):
            with guarded("It could not be handed over"), st.spinner("Writing the files …"):
                st.session_state[_HANDED] = (comparison_id, arm, target, client.hand_over(comparison_id, arm, target))
        kept = st.session_state.get(_HANDED)
        if kept is not None and kept[:3] == (comparison_id, arm, target):
            name = f"{comparison_id}-{arm}-{target}.zip"
            st.download_button("Download the zip", kept[3], name, "application/zip", icon=":material/download:")


def _offer_link(client: ServiceClient, comparison_id: str) -> None:
    """Make or end a link that shows the verdict alone to people without a key."""
    with st.popover("Share verdict", icon=":material/share:"):
        st.caption(
            "Whoever has the link sees arms, scores, costs and reasons, and no question, answer or document. A new "
            "link ends the one before."
        )
        if st.button("Make a link"):
            with guarded("The verdict could not be shared"):
                st.code(client.share_comparison(comparison_id), language=None, wrap_lines=True)
        if st.button("End the link"):
            with guarded("The link could not be ended"):
                client.unshare_comparison(comparison_id)
            st.success("The link opens nothing any more.")


_TOLD = {RecheckOutcome.HOLDS: st.success, RecheckOutcome.CHANGED: st.error, RecheckOutcome.UNKNOWN: st.warning}


def offer_what_follows(client: ServiceClient, comparison_id: str, comparison: Comparison) -> None:
    """What can be done with a verdict: check whether it still holds, share it, take an arm elsewhere."""
    row = st.container(horizontal=True)
    with row:
        _offer_link(client, comparison_id)
        _offer_handover(
            client, comparison_id, [arm.id for arm in candidates(comparison)], comparison.recommendation.arm
        )
    if row.button(
        "Does the decision still hold?",
        icon=":material/event_repeat:",
        help="Reads prices, documents, questions and model anew and decides again from the stored scores. No model is "
        "asked.",
    ):
        with guarded("It could not be checked"), st.spinner("Reading how things are today …"):
            st.session_state[_RECHECKED] = (comparison_id, client.recheck(comparison_id, {}))
    with guarded("It could not be read when the decision was last checked"):
        last = client.last_recheck(comparison_id)
    if last.checked_at is not None and last.found is not None:
        day = datetime.fromtimestamp(last.checked_at, UTC).strftime("%Y-%m-%d")
        st.caption(f"Last checked by the service itself on {day}: {last.found.outcome}.")
        if last.found.outcome is not RecheckOutcome.HOLDS:
            _show_recheck(last.found)
    kept: tuple[str, Recheck] | None = st.session_state.get(_RECHECKED)
    if kept is not None and kept[0] == comparison_id:
        _show_recheck(kept[1])


def _show_recheck(reply: Recheck) -> None:
    outcome = str(reply.outcome)
    told = [f"**{outcome[0].upper()}{outcome[1:]}.** {shown(reply.explanation)}"]
    if reply.expired:
        told.append(f"The record expired on {shown(reply.expires_on)}.")
    told += [f"- Changed: {shown(one)}" for one in reply.changes]
    told += [f"- To be run again: {shown(one)}" for one in reply.reruns]
    _TOLD[reply.outcome]("\n".join(told))
