"""Comparisons that nobody relies on are deleted after a time."""

import logging
import time
from dataclasses import dataclass

from sqlalchemy import Engine, select

from lm.errors import TuningForkError
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.events import append_event
from service.store.comparisons.run_folder import remove_comparison
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import baselines, comparisons, datasets, deployments, events, shares
from service.store.workspaces import EVERY_WORKSPACE

DAY_S = 86_400.0
EVENT = "retention"

_LOG = logging.getLogger("tuning_fork.store")


@dataclass(frozen=True, slots=True)
class Expired:
    """A comparison that may go."""

    id: str
    name: str
    finished_at: float


def expired(engine: Engine, finished_before: float) -> list[Expired]:
    """Comparisons that were over by then, of all workspaces, the oldest first.

    Kept are those that a baseline names, a deployment serves or can be rolled back to, or a link shows, and those of a
    frozen dataset.
    """
    relied_on = [
        select(baselines.c.comparison_id),
        select(deployments.c.comparison_id),
        select(shares.c.comparison_id),
    ]
    frozen = select(datasets.c.version).where(datasets.c.frozen)
    query = (
        select(comparisons.c.id, comparisons.c.name, comparisons.c.finished_at)
        .where(
            comparisons.c.state.in_([state for state in ComparisonState if state.is_final]),
            comparisons.c.finished_at < finished_before,
            comparisons.c.dataset.not_in(frozen),
            *(comparisons.c.id.not_in(named) for named in relied_on),
        )
        .order_by(comparisons.c.finished_at, comparisons.c.id)
        .execution_options(**EVERY_WORKSPACE)
    )
    with engine.connect() as connection:
        return [Expired(row.id, row.name, row.finished_at) for row in connection.execute(query)]


def prune(engine: Engine, directory: DataDirectory, keep_days: float) -> list[Expired]:
    """Delete what is older, with all that was made for it alone, and tell it in the log; what was deleted."""
    gone = []
    for one in expired(engine, time.time() - keep_days * DAY_S):
        try:
            remove_comparison(engine, directory, one.id)
        except TuningForkError as error:
            # Somebody came to rely on it, or deleted it, since.
            _LOG.info("the comparison %s is kept: %s", one.id, error)
            continue
        _LOG.info("the comparison %s is deleted: it was over more than %g days ago", one.id, keep_days)
        gone.append(one)
    return gone


def announce(engine: Engine, keep_days: float) -> None:
    """Tell those who watch a comparison that goes within the next day, by one event."""
    for one in expired(engine, time.time() - (keep_days - 1) * DAY_S):
        known = select(events.c.sequence).where(events.c.comparison_id == one.id, events.c.type == EVENT).limit(1)
        with writing(engine) as connection:
            if connection.execute(known).first() is None:
                append_event(connection, one.id, EVENT, {"deletes_at": one.finished_at + keep_days * DAY_S})
