"""What people preferred in blind votes between two arms."""

from typing import Any

import pandas as pd
import streamlit as st

from advisor.results.quantities import MISSING
from service.contract.client import ServiceClient
from ui.connection import guarded


def show_tally(client: ServiceClient, comparison_id: str) -> None:
    """All votes on this comparison, with intervals."""
    with guarded("The votes could not be read"):
        tallies = client.list_votes(comparison_id)
    if not tallies:
        st.caption("No vote has been cast on this comparison yet.")
        return
    frame = pd.DataFrame(
        [
            {
                "arms": f"{one['first']} against {one['second']}",
                "prefer the first": _share(one),
                "votes for the first": one["n_first"],
                "votes for the second": one["n_second"],
                "neither": one["n_ties"],
                "voters": one["n_voters"],
            }
            for one in tallies
        ]
    )
    st.dataframe(frame, hide_index=True, width="stretch", key="tally", alt="Votes between arms")
    st.caption("Share of decided votes with its 95 % interval; votes for neither count in no share.")


def _share(tally: dict[str, Any]) -> str:
    if tally["first_share"] is None:
        return MISSING
    low, high = tally["first_share_low"], tally["first_share_high"]
    return f"{tally['first_share']:.0%} [{low:.0%}, {high:.0%}]"
