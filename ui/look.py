"""The page's own style, beside the theme: room at the top, smaller titles, and how it is printed."""

import streamlit as st

_STYLE = """<style>
.stMainBlockContainer { padding: 2.75rem 2.5rem 3rem; }
[data-testid=stSidebarHeader] { height: 2.5rem; margin-bottom: 0; }
.stMain h1 { font-size: 2rem; padding: 0 0 .25rem; }
.stMain h2 { font-size: 1.5rem; padding-top: .75rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3.25rem 1rem 2rem; } }
@media print {
  .stSidebar, .stAppHeader, .stExpander:has(details:not([open])), .st-key-copy, .stElementContainer:has(.stButton,
  .stDownloadButton, .stSelectbox, .stMultiSelect, .stSlider, .stCheckbox, .stNumberInput, .stTextInput, .stPageLink) {
    display: none !important; }
  html, body, #root, .stApp, .stAppViewContainer, .stMain { position: static !important; display: block !important;
    height: auto !important; overflow: visible !important; background: white !important; }
  .stMainBlockContainer { padding: 0; max-width: none; }
  .stElementContainer { break-inside: avoid; }
}
</style>"""


def dress_page() -> None:
    """To be called once a run, before anything is drawn."""
    st.html(_STYLE)
