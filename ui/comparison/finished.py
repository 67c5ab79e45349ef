"""Finished comparisons, read once: they never change."""

import streamlit as st

from advisor.errors import EvaluationError
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from service.contract.client import ServiceClient
from ui.connection import cache_owner, guarded
from ui.untrusted import shown


def finished_comparison(client: ServiceClient, comparison_id: str) -> Comparison:
    """The comparison as it was reported; the page ends with a message where it cannot be read."""
    with guarded("The report could not be read"):
        try:
            return _read(client, comparison_id, cache_owner())
        except EvaluationError as error:
            st.error(
                f"The report cannot be understood: {shown(str(error), 500)} Open it with the version that wrote it, or "
                "start the comparison again with the same settings.",
                icon=":material/error:",
            )
            st.page_link("app_pages/new_comparison.py", label="New comparison", icon=":material/add_circle:")
            st.stop()


@st.cache_data(max_entries=32, show_spinner="Reading the report …")
def _read(_client: ServiceClient, comparison_id: str, owner: str) -> Comparison:
    text = _client.get_report(comparison_id, "report.json").decode("utf-8")
    return read_comparison(text, f"report.json of {comparison_id}")
