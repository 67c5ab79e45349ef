"""What to ship, how sure that is, and what would change it."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from advisor.decision.constraints import Constraints
from advisor.report.arms import pivot_arm
from advisor.report.facts import facts_table, next_steps
from advisor.report.pictures.break_evens import break_even_table
from advisor.report.pictures.flip_map import flip_map_sentence
from advisor.report.sections.constraints import constraint_sentences, constraint_table
from advisor.report.sections.economics import cost_table, net_value_table
from advisor.report.sections.prior import prior_sentences, prior_table
from advisor.report.sections.sensitivity import change_summary, flip_table
from advisor.report.sections.verdict import best_chance_table, standing, unknowns
from advisor.results.comparison import Comparison, FlipMap, Verdict
from advisor.results.quantities import percent, usd, usd_range
from lm.setting import read_settings
from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import AxisView, ComparisonSummary, FirstLook, WhatIfReply, WhatIfRequest
from ui.address import chosen_comparison
from ui.comparison.controls import declared_inputs
from ui.comparison.examples import show_examples
from ui.comparison.finished import finished_comparison
from ui.comparison.freshness import offer_freshness
from ui.comparison.next_steps import offer_steps, offer_what_follows
from ui.comparison.what_if import reconsidered
from ui.connection import cache_owner, guarded, service_client, show_failure
from ui.copying import offer_copies
from ui.figures import cost_curves, decision_map, differences, frontier, show_figure
from ui.findings import show_findings
from ui.last_resort import last_resort
from ui.tables import show_facts, show_table
from ui.untrusted import shown

_BADGES = {
    Verdict.WINNER: ("Winner", ":material/check_circle:", "green"),
    Verdict.BEST_CHOICE: ("Best choice", ":material/check_circle:", "green"),
    Verdict.NO_CLEAR_WINNER: ("No clear winner", ":material/balance:", "blue"),
    Verdict.NOT_READY: ("Not ready to ship", ":material/do_not_disturb_on:", "orange"),
    Verdict.INSUFFICIENT_DATA: ("Insufficient data", ":material/help:", "orange"),
    Verdict.INVALID_COMPARISON: ("Invalid comparison", ":material/block:", "red"),
}


@st.cache_data(max_entries=32, show_spinner="Reading the scores …")
def as_decided(_client: ServiceClient, comparison_id: str, owner: str) -> WhatIfReply:
    """The decision on record, with where every input stands."""
    return _client.decide_again(comparison_id, WhatIfRequest())


@st.cache_data(max_entries=32, show_spinner="Reading the answers …")
def look_at_answers(_client: ServiceClient, comparison_id: str, owner: str) -> FirstLook:
    """What the answers come to; they never change."""
    return _client.first_look(comparison_id)


@st.fragment
@last_resort("the decision with its controls")
def decide(client: ServiceClient, chosen: ComparisonSummary, comparison: Comparison) -> None:
    """The verdict above, what it rests on below; a moved control runs only this part again."""
    with guarded("The decision could not be read"):
        axes = as_decided(client, chosen.id, cache_owner()).axes
        look = look_at_answers(client, chosen.id, cache_owner())
    verdict = st.container()
    steps = st.container(key="off_paper_steps")
    with st.container(key="off_paper_examples"):
        show_examples(comparison, look.examples)
    what_if = st.container(key="off_paper_what_if")
    with what_if:
        st.header("What if …")
        st.caption("Move what you are unsure of. Nothing is run again: the decision is made anew from stored scores.")
        # The style of the page keeps it at the top of the window while the controls below it are moved.
        in_sight = st.container(key="in_sight")
        request = declared_inputs(chosen.id, comparison, axes, recorded_constraints(comparison))
    try:
        # The verdict first: the map takes longer, and is asked for when it is looked at.
        reply = client.decide_again(chosen.id, request.model_copy(update={"parts": []}))
    except ServiceError as error:
        show_failure("It could not be decided", error)
        return
    changed = reconsidered(comparison, request, reply)
    with verdict:
        show_verdict(changed, look)
    with steps:
        offer_steps(client, chosen, changed, next_steps(changed, look.tally))
        offer_what_follows(client, chosen.id, comparison)
    with in_sight:
        show_what_if(
            comparison, changed, is_moved=bool(request.model_dump(exclude_none=True, exclude={"parts", "labels"}))
        )
    with what_if:
        show_pictures(changed, request, axes, lambda: client.decide_again(chosen.id, request).flip_map)


def recorded_constraints(comparison: Comparison) -> Constraints:
    """What the comparison was declared with."""
    declared = comparison.settings.get("constraints") or {}
    return read_settings(Constraints, declared, refuse_unknown=False)


def show_verdict(changed: Comparison, look: FirstLook) -> None:
    """The verdict in one sentence, the arms in one table, and why."""
    recommendation = changed.recommendation
    label, icon, colour = _BADGES[recommendation.verdict]
    with st.container(key="headline"):
        st.header(shown(recommendation.headline), anchor=False)
    show_facts(facts_table(changed, look.tally))
    st.badge(label, icon=icon, color=colour)  # type: ignore[arg-type]
    st.write(" ".join([standing(changed), *_more_of_the_arm(changed)]))
    reasons = [*recommendation.reasons, *constraint_sentences(changed)]
    if reasons:
        st.markdown("**Because**")
        st.markdown("\n".join(f"- {shown(reason)}" for reason in reasons[:3]))
        if len(reasons) > 3:
            with st.expander("All reasons"):
                st.markdown("\n".join(f"- {shown(reason)}" for reason in reasons))
    st.header("Audit")
    show_findings(changed.findings)


def _more_of_the_arm(changed: Comparison) -> list[str]:
    """What the table does not say of the arm that others are compared with."""
    arm = pivot_arm(changed)
    if arm is None:
        return []
    told = []
    if (chance := changed.recommendation.probability_best.get(arm)) is not None:
        told.append(f"{shown(arm)} is the best in {percent(chance)} of samples like this one.")
    if (cost := changed.arm(arm).cost) is not None:
        told.append(f"It costs {usd(cost.monthly_usd)} {usd_range(cost.monthly_interval)}".rstrip() + " a month.")
    return [one.replace("$", "\\$") for one in told]


def show_what_if(recorded: Comparison, changed: Comparison, *, is_moved: bool) -> None:
    """The verdict in short, and whether what was moved has changed it."""
    before, now = recorded.recommendation, changed.recommendation
    told = "as decided"
    if is_moved:
        told = f"flipped from {before.arm or 'no verdict'}"
        if now.arm == before.arm:
            told = "as decided" + (f", but now {now.verdict}" if now.verdict != before.verdict else "")
        st.badge(f"What if: {told}", icon=":material/tune:", color="gray" if told == "as decided" else "violet")
    st.markdown(f"**{shown(now.headline)}**")


def show_pictures(
    changed: Comparison, request: WhatIfRequest, axes: list[AxisView], make_map: Callable[[], FlipMap | None]
) -> None:
    """Quality against cost, cost over volume, and the map of decisions."""
    current = {view.axis: view.current for view in axes}
    volume = request.queries_per_month if request.queries_per_month is not None else current["queries_per_month"] or 0.0
    by_cost, by_volume, by_both = st.tabs(
        ["Quality and cost", "Break-even", "Map of decisions"], key="decision pictures", on_change="rerun"
    )
    with by_cost:
        if figure := frontier(changed):
            show_figure(figure, "frontier")
        else:
            st.info("No arm has both a score and a price, so there is nothing to draw.")
        show_table(cost_table(changed), "costs")
        if table := net_value_table(changed):
            show_table(table, "net values")
    with by_volume:
        if figure := cost_curves(changed, volume):
            show_figure(figure, "cost curves")
        if table := break_even_table(changed):
            show_table(table, "break-evens")
    with by_both:
        if by_both.open:
            show_map(changed, make_map)
    if table := constraint_table(changed):
        show_table(table, "constraints")


def show_map(changed: Comparison, make_map: Callable[[], FlipMap | None]) -> None:
    """What would be recommended at other values of two inputs."""
    try:
        with st.spinner("Deciding at every point of the map …"):
            flip_map = make_map()
    except ServiceError as error:
        show_failure("The map could not be made", error)
        return
    if flip_map is None:
        st.info("Without an arm to recommend there is no map to draw; see the reasons above.")
        return
    if sentence := flip_map_sentence(replace(changed, flip_map=flip_map)):
        st.info(shown(sentence))
        return
    show_figure(decision_map(flip_map, changed), "map")


def show_rest(comparison: Comparison) -> None:
    """What the comparison itself says beside the verdict."""
    st.header("What would change it")
    if sentences := change_summary(comparison):
        st.markdown("\n".join(f"- {shown(sentence)}" for sentence in sentences))
    else:
        st.info("There was no arm to recommend, so nothing was searched that would change it.")
    if table := flip_table(comparison):
        with st.expander("Every input and its nearest flips"):
            show_table(table, "flips")
    st.header("What is not known")
    st.markdown("\n".join(f"- {shown(sentence)}" for sentence in unknowns(comparison)))
    if table := best_chance_table(comparison):
        with st.expander("Chance of being the best, for every arm"):
            show_table(table, "chances")
    with st.container(key="off_paper_rest"):
        show_off_paper(comparison)


def show_off_paper(comparison: Comparison) -> None:
    """What a page of paper has no room for."""
    st.header("Differences to the winner")
    if figure := differences(comparison):
        show_figure(figure, "differences")
    if sentences := prior_sentences(comparison):
        st.header("What was expected beforehand")
        st.markdown("\n".join(f"- {shown(sentence)}" for sentence in sentences))
        if table := prior_table(comparison):
            show_table(table, "prior")


st.title("Decision")
the_client = service_client()
chosen = chosen_comparison(the_client)
finished = finished_comparison(the_client, chosen.id)
decide(the_client, chosen, finished)
show_rest(finished)
with st.container(key="off_paper_freshness"):
    offer_freshness(the_client, chosen)
offer_copies(f"{chosen.name}: {finished.recommendation.headline} {standing(finished)}", paper=True)
