"""Comparisons whose connections and processes end with the test, whatever becomes of it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.chaos.workplace import ChaosWorkplace, OpenWorkplace


@pytest.fixture
def open_workplace() -> Iterator[OpenWorkplace]:
    """Makes workplaces, as many as a test wants."""
    with ExitStack() as stack:
        yield lambda root, url=None: stack.enter_context(closing(ChaosWorkplace(root, url)))
