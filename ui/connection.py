"""The page's connection to the service, and what it says when the service refuses or is not there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from service.contract.client import ServiceClient, ServiceError
from ui.untrusted import shown

API_VARIABLE = "TUNING_FORK_API"
KEY_VARIABLE = "TUNING_FORK_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
KEY_STATE = "api_key"
_KEY = re.compile(r"[\x21-\x7e]+")
_CALL = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE) /\S")
_CALL_OR_PAGE = re.compile(rf"\({_CALL.pattern}[^ ,]*, or ([^)]*)\)")
# What passes: no answer, too many requests, and what a service says that is restarting or busy.
_PASSING = (0, 429, 502, 503, 504)


def service_client() -> ServiceClient:
    """The client of this visitor: the key typed into the page, else the one of the page's environment."""
    key = _typed_key() or os.environ.get(KEY_VARIABLE, "").strip() or None
    if key is not None and not _KEY.fullmatch(key):
        st.error(
            "This cannot be an API key: it holds blanks or letters that no key has. Copy it into the side "
            "bar again, or empty the field.",
            icon=":material/key:",
        )
        st.stop()
    return _client(os.environ.get(API_VARIABLE) or DEFAULT_URL, key)


def _typed_key() -> str:
    return str(st.session_state.get(KEY_STATE) or "").strip()


@st.cache_resource(max_entries=64, show_spinner=False)
def _client(url: str, key: str | None) -> ServiceClient:
    return ServiceClient(url, key)


def cache_owner() -> str:
    """What cached replies are kept by besides their own names, so that no visitor sees those of another's key."""
    return f"{os.environ.get(API_VARIABLE)} {_typed_key()}"


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Say what failed and what to do next, in place of a traceback; the page ends there.

    Args:
        what: What was being done, as in "The datasets could not be listed".
    """
    try:
        yield
    except ServiceError as error:
        show_failure(what, error)
        st.stop()


def show_failure(what: str, error: ServiceError) -> None:
    """A failure with its next step; 401 and 403 ask for a key."""
    st.error(f"{what}: {shown(page_words(str(error)))}", icon=":material/error:")
    problem = error.problem
    for one in problem.problems if problem is not None else ():
        where = f"{one.file}, line {one.line}" if one.line is not None else one.file
        st.markdown(f"- **{shown(where)}**: {shown(one.message)}")
    if error.status == 404 and problem is not None:
        st.info("It may have been deleted. Choose another one, or reload the page.", icon=":material/search_off:")
    if error.status in (401, 403):
        st.info("Type an API key into the side bar, or ask who runs the service for one.", icon=":material/key:")
    if error.status in _PASSING:
        st.button("Try again", icon=":material/refresh:", key=f"retry {what}")


def page_words(message: str) -> str:
    """What the service said, without the calls of the API that it names: whoever reads a page makes none."""
    said = _CALL_OR_PAGE.sub(r"(\1)", message)
    kept = [part for part in said.split("; ") if not _CALL.search(part)]
    return "; ".join(kept) or message


def key_field() -> None:
    """Where a visitor gives a key; it stays in this browser session and is stored nowhere."""
    with st.sidebar.expander("API key", icon=":material/key:"):
        st.text_input("API key", type="password", key=KEY_STATE, help="Only needed where the service asks for one.")
