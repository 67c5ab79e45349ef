"""The newest comparison is read before anyone asks for it, for it is the one that will be looked at."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, select

from service.contract.comparison_state import ComparisonState
from service.store.tables import IS_COMPARISON, comparisons

LOOK_INTERVAL_S = 3.0

_LOG = logging.getLogger("tuning_fork.service")

Read = Callable[[str, float], object]
"""Takes id and time of the end of a comparison."""


@contextmanager
def newest_kept_ready(engine: Engine, read: Read, *, look_interval_s: float = LOOK_INTERVAL_S) -> Iterator[None]:
    """Have the comparison that finished last read beside all other work, wherever it was computed.

    Args:
        read: Keeps what it read; called once for each comparison.
    """
    ended = threading.Event()
    looking = threading.Thread(
        target=_look_until, args=(ended, engine, read, look_interval_s), name="newest comparison", daemon=True
    )
    looking.start()
    try:
        yield
    finally:
        ended.set()


def _look_until(ended: threading.Event, engine: Engine, read: Read, interval_s: float) -> None:
    ready: tuple[str, float] | None = None
    # Not at once: whoever starts the service waits for its first answer.
    while not ended.wait(interval_s):
        try:
            newest = _newest(engine)
            if newest is not None and newest != ready:
                ready = newest
                read(*newest)
        except Exception as error:
            # Whoever asks for it is told what is wrong with it; here it must not end the looking.
            _LOG.warning("the newest comparison could not be read beforehand: %s", error)


def _newest(engine: Engine) -> tuple[str, float] | None:
    query = (
        select(comparisons.c.id, comparisons.c.finished_at)
        .where(IS_COMPARISON, comparisons.c.state == ComparisonState.SUCCEEDED, comparisons.c.finished_at.is_not(None))
        .order_by(comparisons.c.finished_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        found = connection.execute(query).first()
    return (found.id, found.finished_at) if found is not None else None
