"""Being built."""

import streamlit as st

st.title("compare_runs")
