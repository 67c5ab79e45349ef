"""The page's own style, beside the theme: room at the top, smaller titles, and how it is printed."""

import streamlit as st

_STYLE = """<style>
.stMainBlockContainer { padding: 2.75rem 2.5rem 3rem; }
[data-testid=stSidebarHeader] { height: 2.5rem; margin-bottom: 0; }
.stMain h1 { font-size: 2rem; padding: 0 0 .25rem; }
.stMain h2 { font-size: 1.5rem; padding-top: .75rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3.25rem 1rem 2rem; } }
.st-key-headline h2 { font-size: 1.2rem; line-height: 1.3; padding: 0 0 .4rem; }
.st-key-next_steps { align-items: center; }
.st-key-next_steps a { min-height: 2.5rem; border: 1px solid #8886; border-radius: .5rem; }
.facts { overflow-x: auto; }
.facts table { width: 100%; border-collapse: collapse; font-size: .85rem; line-height: 1.25; margin: 0;
  font-variant-numeric: tabular-nums; }
.facts caption { position: absolute; clip-path: inset(50%); }
.facts thead th { font-weight: 600; opacity: .8; vertical-align: bottom; }
.facts th, .facts td { padding: .25rem .75rem .25rem 0; text-align: start; vertical-align: top; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
.facts th:first-child { padding-inline-start: .5rem; }
.facts tbody th { font-weight: 600; overflow-wrap: anywhere; }
.facts small { display: block; font-weight: 400; font-size: .78rem; opacity: .8; }
.facts tr.recommended > * { background: #2E9E5B26; }
.facts tr.recommended > th { box-shadow: inset 3px 0 0 #2E9E5B; }
.facts tr.reference > * { opacity: .75; font-weight: 400; font-style: italic; }
.stCode .token:is(.attr-name, .property, .variable, .class-name, .function, .keyword) {
  color: light-dark(#00598A, #7FD0FF); }
.stCode .token:is(.string, .char, .attr-value, .number, .boolean) { color: light-dark(#116329, #7EE2A8); }
.stCode .token:is(.comment, .prolog) { color: light-dark(#57606A, #B1BAC4); }
[data-testid=stLayoutWrapper]:has(> .st-key-in_sight) { position: sticky; top: 0; z-index: 3; }
.st-key-in_sight { background: light-dark(#fff, #171614); border-bottom: 1px solid #8884; padding: .4rem 0;
  gap: .3rem; }
.st-key-in_sight p { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
@media (max-width: 640px) {
  .st-key-headline h2 { font-size: 1.02rem; }
  .st-key-in_sight { padding-top: 3rem; }
  .facts td { white-space: nowrap; }
  .facts tr > :nth-child(n+3):not(.price) { display: none; }
}
@media print {
  [class*=st-key-off_paper] { display: none !important; }
  .stSidebar, .stAppHeader, .stExpander:has(details:not([open])), .st-key-copy, .stElementContainer:has(.stButton,
  .stDownloadButton, .stSelectbox, .stMultiSelect, .stSlider, .stCheckbox, .stNumberInput, .stTextInput, .stPageLink) {
    display: none !important; }
  html, body, #root, .stApp, .stAppViewContainer, .stMain { position: static !important; display: block !important;
    height: auto !important; overflow: visible !important; background: white !important; }
  .stMainBlockContainer { padding: 0; max-width: none; }
  .stMainBlockContainer:has(.st-key-headline) { zoom: .72; }
  .stElementContainer { break-inside: avoid; }
  .facts { overflow: visible; }
  .facts table { font-size: .8rem; }
}
</style>"""


def dress_page() -> None:
    """To be called once a run, before anything is drawn."""
    st.html(_STYLE)
