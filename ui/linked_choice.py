"""A choice that the address names: a link or the back button changes it, and so does the visitor."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from service.contract.client import ServiceError
from ui.connection import show_failure

_NOTHING_OF_THAT_NAME = (404, 422)


@contextmanager
def guarded_address(what: str) -> Iterator[None]:
    """Say that what the address names cannot be read, and lead to what there is; the page ends there."""
    try:
        yield
    except ServiceError as error:
        show_failure(what, error)
        if error.status in _NOTHING_OF_THAT_NAME:
            st.page_link("app_pages/start.py", label="Show what is available", icon=":material/home:")
        st.stop()


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
    stands = asked if asked in options and asked != before else st.session_state.get(key)
    if stands not in options:
        stands = before if before in options else options[0]
    # Said again each time: the field of another page has the same key and yet takes nothing over.
    st.session_state[key] = stands
    chosen = st.selectbox(label, options, format_func=format_func, key=key)
    st.query_params[parameter] = st.session_state[told] = chosen
    return chosen
