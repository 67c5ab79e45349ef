"""A choice that the address names: a link or the back button changes it, and so does the visitor."""

from collections.abc import Callable, Sequence

import streamlit as st


def linked_choice(
    label: str,
    parameter: str,
    options: Sequence[str],
    format_func: Callable[[str], str] = str,
) -> str:
    """A field to choose one of the options, kept in the address and from page to page.

    Args:
        parameter: Of the address. What it names and is no option is passed over.
        options: At least one; the first where nothing else was chosen before.
    """
    key, told = f"{parameter} field", f"{parameter} of address"
    asked, before = st.query_params.get(parameter), st.session_state.get(told)
    # The address wins only where it is not what this field itself wrote there: the field may have been moved since.
    if asked in options and asked != before:
        st.session_state[key] = asked
    if st.session_state.get(key) not in options:
        st.session_state[key] = before if before in options else options[0]
    chosen = st.selectbox(label, options, format_func=format_func, key=key)
    st.query_params[parameter] = st.session_state[told] = chosen
    return chosen
