"""Side runs on a page: listed, watched while they go on, and what came of them. The address names the one shown."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import streamlit as st

from service.contract.client import ServiceClient
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import AnyRun, SideRunKind, SideRunView
from ui.connection import guarded
from ui.last_resort import last_resort
from ui.untrusted import shown

_LOOK_INTERVAL_S = 2.0

Told = Callable[[AnyRun], tuple[str, float]]
"""How far a run is: in words, and as a share of 1."""


def show_run(address: str, run: SideRunView) -> None:
    """Let the page show this run from now on."""
    st.query_params[address] = run.id
    st.rerun()


def list_runs(address: str, runs: Sequence[SideRunView]) -> None:
    """Runs, each to be opened."""
    for run in runs:
        day = datetime.fromtimestamp(run.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        if st.button(f"{shown(run.name, 80)} · {day} · {run.state}", key=f"run {run.id}", icon=":material/history:"):
            show_run(address, run)


def watch_run(
    client: ServiceClient,
    kind: SideRunKind[AnyRun],
    address: str,
    told: Told[AnyRun],
    show_result: Callable[[AnyRun, Callable[[], None]], None],
    *,
    belongs: Callable[[AnyRun], bool] = lambda run: True,
) -> None:
    """The run of the address, if it names one that belongs here.

    Args:
        address: The name that it has there.
        show_result: What a run that has succeeded came to; given what closes it.
    """
    run_id = st.query_params.get(address)
    if not run_id:
        return
    with guarded(f"The {kind.name} could not be read"):
        run = client.get_run(kind, run_id)
    if not belongs(run):
        return
    with st.container(border=True):
        if run.state.is_final:
            _show_ended(client, kind, address, run, show_result)
        else:
            _show_going_on(client, kind, run_id, told)


@st.fragment(run_every=_LOOK_INTERVAL_S)
@last_resort("a run that goes on")
def _show_going_on(client: ServiceClient, kind: SideRunKind[AnyRun], run_id: str, told: Told[AnyRun]) -> None:
    with guarded(f"The {kind.name} could not be read"):
        run = client.get_run(kind, run_id)
    if run.state.is_final:
        st.rerun()
    words, share = ("waits for its turn", 0.0) if run.state is ComparisonState.QUEUED else told(run)
    st.text(f"{run.name}: {words}")
    st.progress(min(1.0, share))
    st.caption("You may leave this page; the run goes on.")
    if st.button("Cancel", key="cancel run", icon=":material/cancel:"):
        with guarded("It could not be cancelled"):
            client.cancel_run(kind, run_id)
        st.rerun()


def _show_ended(
    client: ServiceClient,
    kind: SideRunKind[AnyRun],
    address: str,
    run: AnyRun,
    show_result: Callable[[AnyRun, Callable[[], None]], None],
) -> None:
    def close() -> None:
        st.query_params.pop(address, None)

    st.text(f"{run.name}: {run.state}")
    if run.error:
        st.error(shown(run.error, 1000))
    if run.state is ComparisonState.SUCCEEDED:
        show_result(run, close)
    buttons = st.container(horizontal=True)
    if run.state is not ComparisonState.SUCCEEDED and buttons.button(
        "Try again", icon=":material/refresh:", key="resume run"
    ):
        with guarded("It could not be started again"):
            client.resume_run(kind, run.id)
        st.rerun()
    buttons.button("Close", icon=":material/close:", key="close run", on_click=close)
    if buttons.button("Delete", icon=":material/delete:", key="delete run"):
        with guarded("It could not be deleted"):
            client.delete_run(kind, run.id)
        close()
        st.rerun()
