"""What the service does again and again beside all other work."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger("tuning_fork.service")


@contextmanager
def done_regularly(name: str, do: Callable[[], object], interval_s: float, *, first_s: float) -> Iterator[None]:
    """Call a function in a thread of its own until the block ends; what it raises is logged and does not end it.

    Args:
        first_s: After which it is called for the first time.
    """
    ended = threading.Event()

    def go_on() -> None:
        pause_s = first_s
        while not ended.wait(pause_s):
            pause_s = interval_s
            try:
                do()
            except Exception:
                _LOG.exception("%s failed; it is tried again in %g s", name, interval_s)

    threading.Thread(target=go_on, name=name, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
