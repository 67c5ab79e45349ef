"""Entry of the page: `streamlit run ui/app.py`, which `tuningfork serve` and `tuningfork ui` do."""

import streamlit as st

from ui.connection import key_field
from ui.last_resort import last_resort
from ui.look import dress_page

# The page's icon is a sign and no name of a drawing, which the browser would fetch from another host.
st.set_page_config(page_title="Tuning Fork", page_icon="🎼", layout="wide")

_PAGES = {
    "Prepare": [
        st.Page("app_pages/start.py", title="Start", icon=":material/home:", default=True),
        st.Page("app_pages/data.py", title="Data", icon=":material/folder_open:"),
        st.Page("app_pages/new_comparison.py", title="New comparison", icon=":material/add_circle:"),
        st.Page("app_pages/progress.py", title="Progress", icon=":material/monitoring:"),
    ],
    "Decide": [
        st.Page("app_pages/decision.py", title="Decision", icon=":material/gavel:"),
        st.Page("app_pages/evidence.py", title="Evidence", icon=":material/fact_check:"),
        st.Page("app_pages/labels.py", title="Labels", icon=":material/rate_review:"),
        st.Page("app_pages/playground.py", title="Playground", icon=":material/forum:"),
    ],
    "Keep": [
        st.Page("app_pages/compare_runs.py", title="Compare runs", icon=":material/compare_arrows:"),
        st.Page("app_pages/reports.py", title="Reports & CI", icon=":material/description:"),
        st.Page("app_pages/models.py", title="Models", icon=":material/dataset:"),
    ],
}

dress_page()
key_field()
page = st.navigation(_PAGES)
with last_resort(f"the page {page.title}"):
    page.run()
