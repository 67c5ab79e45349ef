"""What a running comparison tells its watchers, and how it learns that it should stop."""

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, select

from service.contract.comparison_state import ComparisonState
from service.run.progress import Progress
from service.store.comparisons.events import append_event
from service.store.database import patiently, writing
from service.store.tables import comparisons

SHORTEST_INTERVAL_S = 0.5
"""Between two events that only say how far something is."""

LOOK_INTERVAL_S = 1.0


class StoppedError(Exception):
    """The comparison must not go on here; everything measured so far is kept."""


class CancelledError(StoppedError):
    """Somebody cancelled it."""


class SupersededError(StoppedError):
    """Another process finished it, or it was deleted."""


class ParkedError(StoppedError):
    """This process is to end; another one goes on."""


class JobWatch:
    """Turns progress into events, and raises where the comparison should stop."""

    def __init__(
        self, engine: Engine, comparison_id: str, *, show_life: Callable[[str], None] = lambda stage: None
    ) -> None:
        """`show_life` is given the stage whenever anything moved; it neither waits nor fails."""
        self._engine = engine
        self._comparison_id = comparison_id
        self._show_life = show_life
        self._parked = threading.Event()
        self._stage = ("", "")
        self._told: Progress | None = None
        self._told_at = -math.inf
        self._looked_at = -math.inf

    def park(self) -> None:
        """Stop at the next opportunity; may be called by a signal handler."""
        self._parked.set()

    def __call__(self, progress: Progress) -> None:
        """Tell one step.

        Raises:
            StoppedError: the comparison should not go on here.
        """
        self._show_life(progress.stage)
        is_new = (progress.stage, progress.arm) != self._stage
        self._stage = (progress.stage, progress.arm)
        self.look(at_once=is_new or progress.score is not None)
        now = time.monotonic()
        is_news = is_new or progress.score is not None or progress.is_milestone or progress.done == progress.total
        if progress != self._told and (is_news or now - self._told_at >= SHORTEST_INTERVAL_S):
            self._told_at, self._told = now, progress
            self._tell(progress)

    def look(self, *, at_once: bool = False) -> None:
        """See whether to stop, in the database once a second at most unless it is wanted at once.

        Raises:
            StoppedError: the comparison should not go on here.
        """
        if self._parked.is_set():
            raise ParkedError
        now = time.monotonic()
        if not at_once and now - self._looked_at < LOOK_INTERVAL_S:
            return
        self._looked_at = now
        row = patiently(self._read)
        if row is None or row.state in (ComparisonState.SUCCEEDED, ComparisonState.FAILED):
            raise SupersededError
        if row.cancel_requested or row.state == ComparisonState.CANCELLED:
            raise CancelledError

    def _read(self) -> Any:
        columns = select(comparisons.c.state, comparisons.c.cancel_requested)
        with self._engine.connect() as connection:
            return connection.execute(columns.where(comparisons.c.id == self._comparison_id)).first()

    def _tell(self, progress: Progress) -> None:
        type_, data = event_of(progress)

        def write() -> None:
            with writing(self._engine) as connection:
                append_event(connection, self._comparison_id, type_, data)

        patiently(write)


def life_on(descriptor: int) -> Callable[[str], None]:
    """Shows life by writing to a pipe, of which the other end may be slow or gone."""
    os.set_blocking(descriptor, False)

    def show_life(stage: str) -> None:
        with suppress(OSError):
            os.write(descriptor, f"{stage}\n".encode())

    return show_life


def event_of(progress: Progress) -> tuple[str, dict[str, Any]]:
    """Type and data of the event that tells a step."""
    data: dict[str, Any] = {
        "stage": progress.stage,
        "arm": progress.arm,
        "done": progress.done,
        "total": progress.total,
    }
    if progress.detail:
        data["detail"] = progress.detail
    if progress.key:
        data["key"] = progress.key
    if progress.stage == "answer" and progress.key:
        return "block", data | {"score": progress.score}
    if progress.stage == "tune" and progress.values:
        return "training", data | {name: _finite(value) for name, value in progress.values.items()}
    return "progress", data


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
