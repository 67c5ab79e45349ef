"""What a visitor is told where the program itself failed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def last_resort(part: str) -> Iterator[None]:
    """Say that the page has a defect and what to do next, in place of a traceback.

    Also a decorator. Fragments need it themselves: they are run again without the page around them.

    Args:
        part: What failed, for the log.
    """
    try:
        yield
    except Exception:
        logging.getLogger("tuning_fork.page").exception("%s failed", part)
        st.error(
            "Something failed here; the details are in logs/page.log of the data directory. Your comparisons are "
            "safe: reload, or go on elsewhere.",
            icon=":material/bug_report:",
        )
