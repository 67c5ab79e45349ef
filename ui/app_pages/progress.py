"""A comparison while it runs: stages, losses, running scores, resources, and what to do when it stops."""

import pandas as pd
import streamlit as st

from advisor.results.quantities import scale_of_scores
from service.contract.client import ServiceClient, ServiceError, StreamedEvent
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonDetail, RunningScore, StageProgress
from ui.address import COMPARISON, chosen_comparison
from ui.comparison.running import STAGES_OF_ARMS, events_so_far, resource_points, stage_starts, training_points
from ui.comparison.stage_names import stage_name
from ui.connection import guarded, service_client, show_failure
from ui.counted import counted
from ui.figures import live_losses, resource_curves, show_figure
from ui.last_resort import last_resort
from ui.untrusted import shown

_INTERVAL_S = 2.0
_RISE = 1.25
"""A time left that rises by less is not told: estimates are no finer."""


@last_resort("the progress of a comparison")
def watch(client: ServiceClient, comparison_id: str) -> None:
    """What is known now; looks again by itself until the comparison is over."""
    try:
        detail = client.get_comparison(comparison_id)
        events = events_so_far(client, detail)
    except ServiceError as error:
        # The service may be restarting: what was measured is kept, and the next look finds it again.
        show_failure("Progress could not be read; trying again", error)
        return
    show_state(detail)
    if detail.state in (ComparisonState.QUEUED, ComparisonState.RUNNING):
        offer_cancel(client, detail)
    elif detail.state in (ComparisonState.FAILED, ComparisonState.CANCELLED):
        offer_resume(client, detail)
    else:
        st.page_link(
            "app_pages/decision.py",
            label="Read the decision",
            icon=":material/gavel:",
            query_params={COMPARISON: comparison_id},
        )
    show_stages(detail.progress)
    show_scores(detail.running_scores)
    if figure := live_losses(training_points(events)):
        st.header("Loss while tuning")
        show_figure(figure, "losses")
    show_resources(events)
    if detail.state.is_final and not st.session_state.get(f"seen over {comparison_id}"):
        st.session_state[f"seen over {comparison_id}"] = True
        st.rerun()


def show_state(detail: ComparisonDetail) -> None:
    """One sentence, and a bar where there is something to wait for."""
    if detail.state is ComparisonState.QUEUED:
        ahead = detail.queue_position or 0
        st.info(
            f"Queued; {counted(ahead, 'comparison')} before it." if ahead else "It is next.",
            icon=":material/schedule:",
        )
    elif detail.state is ComparisonState.RUNNING:
        said = "time left not known yet" if detail.eta_s is None else told_time_left(detail, detail.eta_s)
        stopping = " It stops at the end of the block it is at." if detail.cancel_requested else ""
        st.info(f"Running{stage_reached(detail)}: {said}.{stopping}", icon=":material/play_circle:")
    elif detail.state is ComparisonState.SUCCEEDED:
        st.success(f"Finished. {shown(detail.headline or '')}", icon=":material/check_circle:")
    elif detail.state is ComparisonState.CANCELLED:
        st.warning("It was cancelled. What was measured is kept.", icon=":material/cancel:")
    else:
        st.error(f"It failed: {shown(detail.error or 'no reason is known')}", icon=":material/error:")


def told_time_left(detail: ComparisonDetail, eta_s: float) -> str:
    """The time left as it was last told where it rose by little; what rose by more is told with its reason."""
    key = f"time left of {detail.id}"
    before = st.session_state.get(key)
    if before is None or eta_s <= before:
        st.session_state[key] = eta_s
        return time_left(eta_s)
    if eta_s <= max(_RISE * before, before + 60):
        return time_left(before)
    st.session_state[key] = eta_s
    at = f" ({stage_name(detail.progress[-1].stage, detail.progress[-1].arm)})" if detail.progress else ""
    return f"{time_left(eta_s)}, more than was said before: this stage{at} takes longer than was estimated"


def time_left(eta_s: float) -> str:
    """As precise as an estimate is: whole minutes, beyond two hours whole hours."""
    if eta_s < 1:
        return "longer than was estimated"
    if eta_s < 60:
        return "less than a minute left"
    minutes = round(eta_s / 60)
    return f"about {minutes} min left" if minutes < 120 else f"about {round(minutes / 60)} h left"


def stage_reached(detail: ComparisonDetail) -> str:
    """Which of the stages that were estimated it is at; nothing where none of them began."""
    stages = [(one.stage, one.arm) for one in detail.estimate.stages] if detail.estimate is not None else []
    begun = {(one.stage, one.arm) for one in detail.progress}
    reached = [i for i, stage in enumerate(stages, 1) if stage in begun]
    return f", stage {reached[-1]} of {len(stages)}" if reached else ""


def offer_cancel(client: ServiceClient, detail: ComparisonDetail) -> None:
    """A button that stops it."""
    if st.button("Cancel", icon=":material/stop_circle:", disabled=detail.cancel_requested):
        with guarded("It could not be cancelled"):
            client.cancel_comparison(detail.id)
        st.rerun()


def offer_resume(client: ServiceClient, detail: ComparisonDetail) -> None:
    """A button that lets it go on from what it has."""
    if st.button("Resume", type="primary", icon=":material/resume:"):
        with guarded("It could not be resumed"):
            client.resume_comparison(detail.id)
        st.session_state.pop(f"seen over {detail.id}", None)
        st.rerun()


def show_stages(progress: list[StageProgress]) -> None:
    """A bar for each stage that began and is not done, and below them what is done."""
    st.header("Stages")
    if not progress:
        st.caption("No stage has begun yet.")
    # Of stages that go through the arms one by one the last word tells how far they are.
    shown_stages = {(one.stage, one.arm if one.stage in STAGES_OF_ARMS else ""): one for one in progress}
    finished = []
    for (_, arm), one in shown_stages.items():
        detail = f" · {shown(one.detail)}" if one.detail else ""
        told = f"{stage_name(one.stage, arm)}: {one.done:,} of {one.total:,}{detail}"
        if one.done >= one.total:
            finished.append(f":material/check: {told}")
        else:
            st.progress(one.done / one.total, text=told)
    if finished:
        st.markdown("  \n".join(finished))


def show_resources(events: list[StreamedEvent]) -> None:
    """What the comparison takes of the machine, stage by stage."""
    stages = [(one.at, stage_name(one.stage, one.arm)) for one in stage_starts(events)]
    figures = resource_curves(resource_points(events), stages)
    if not figures:
        return
    st.header("Use of the machine")
    for i, figure in enumerate(figures):
        show_figure(figure, f"resources {i}")
    if stages:
        st.caption("Stages by number: " + " · ".join(f"{i} {shown(name)}" for i, (_, name) in enumerate(stages, 1)))


def show_scores(scores: list[RunningScore]) -> None:
    """Means so far. They move while questions come in, and decide nothing."""
    if not scores:
        return
    st.header("Scores so far")
    scale = scale_of_scores(one.mean for one in scores)
    frame = pd.DataFrame(
        [
            {
                "arm": one.arm,
                f"{one.metric} ({scale.unit})": scale.value(one.mean),
                "questions scored": f"{one.n:,} of {one.n_questions:,}",
            }
            for one in scores
        ]
    )
    st.dataframe(frame, hide_index=True, width="stretch", key="scores", alt="Mean score of each arm so far")
    st.caption(
        "Plain means without intervals, to watch; the decision weighs kinds of questions and says how sure it is."
    )


st.title("Progress")
the_client = service_client()
chosen = chosen_comparison(the_client, finished=False)
is_waiting = not chosen.state.is_final
st.fragment(watch, run_every=_INTERVAL_S if is_waiting else None)(the_client, chosen.id)
