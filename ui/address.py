"""What a view shows, in its address: a link leads others to the same comparison, and a reload loses nothing."""

from datetime import UTC, datetime

import streamlit as st

from advisor.results.quantities import scale_of_scores
from service.contract.client import ServiceClient
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonSummary
from ui.connection import guarded
from ui.linked_choice import guarded_address, linked_choice
from ui.untrusted import shown

COMPARISON = "comparison"


def chosen_comparison(client: ServiceClient, *, finished: bool = True) -> ComparisonSummary:
    """The comparison of the address, for the visitor to change; the newest where the address names none.

    Without any comparison the page says how to make one, and ends.

    Args:
        finished: Offer only those that have a report.
    """
    with guarded("The comparisons could not be listed"):
        listed = client.list_comparisons(state=ComparisonState.SUCCEEDED if finished else None, limit=200).items
    wanted = st.query_params.get(COMPARISON)
    if wanted and all(one.id != wanted for one in listed):
        with guarded_address("The comparison of this address could not be read"):
            found = client.get_comparison(wanted)
        if finished and found.state is not ComparisonState.SUCCEEDED:
            _explain_unfinished(found)
        listed = [*listed, found]
    if not listed:
        st.info(
            "There is no finished comparison yet. Start one, and its result will be here."
            if finished
            else "There is no comparison yet. Start one to watch it here.",
            icon=":material/info:",
        )
        st.page_link("app_pages/new_comparison.py", label="New comparison", icon=":material/add_circle:")
        st.stop()
    by_id = {one.id: one for one in listed}
    chosen = linked_choice("Comparison", COMPARISON, list(by_id), lambda one: comparison_label(by_id[one]))
    return by_id[chosen]


def comparison_label(one: ComparisonSummary) -> str:
    """Name, date, dataset, and the winner with its score or where it stands, as plain text."""
    day = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    number = f" v{one.dataset_number}" if one.dataset_number is not None else ""
    came = one.recommended_arm or one.verdict or str(one.state)
    if one.score is not None:
        came += f" {scale_of_scores([one.score]).value(one.score)}"
    return f"{one.name} · {day} · {one.dataset_name}{number} · {came}"


def _explain_unfinished(found: ComparisonSummary) -> None:
    st.info(f"{shown(found.name)} is {found.state}: it has no report yet.", icon=":material/hourglass:")
    st.page_link(
        "app_pages/progress.py",
        label="Watch its progress",
        icon=":material/monitoring:",
        query_params={COMPARISON: found.id},
    )
    st.stop()
