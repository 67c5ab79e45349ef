"""What happened to a comparison, numbered without a gap, for those who watch it or come back later."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select

from service.store.database import undamaged
from service.store.tables import comparisons, events

RECHECK = "recheck"
EVENT_TYPES = ("state", "progress", "block", "training", "resources", "finding", RECHECK, "retention")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        sequence: 1, 2, 3 … within its comparison.
        type: One of `EVENT_TYPES`.
    """

    sequence: int
    type: str
    data: Mapping[str, Any]
    created_at: float


def append_event(connection: Connection, comparison_id: str, type: str, data: Mapping[str, Any]) -> int:  # noqa: A002
    """Add an event in the caller's transaction; its sequence number."""
    # The row of the comparison is held, so that no second writer takes the same number and none is left out.
    connection.execute(select(comparisons.c.id).where(comparisons.c.id == comparison_id).with_for_update())
    highest = select(func.max(events.c.sequence)).where(events.c.comparison_id == comparison_id)
    sequence = (connection.execute(highest).scalar() or 0) + 1
    connection.execute(
        insert(events).values(
            comparison_id=comparison_id, sequence=sequence, type=type, data=json.dumps(data), created_at=time.time()
        )
    )
    return sequence


def newest_event(engine: Engine, comparison_id: str, type: str) -> Event | None:  # noqa: A002
    """The last one of a type, if there is one."""
    query = (
        select(events)
        .where(events.c.comparison_id == comparison_id, events.c.type == type)
        .order_by(events.c.sequence.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else _event(row)


def read_events(engine: Engine, comparison_id: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
    """Events behind a sequence number, in order."""
    query = (
        select(events)
        .where(events.c.comparison_id == comparison_id, events.c.sequence > after)
        .order_by(events.c.sequence)
        .limit(limit)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [_event(row) for row in rows]


def _event(row: Row[Any]) -> Event:
    with undamaged(f"the events of {row.comparison_id}"):
        return Event(row.sequence, row.type, json.loads(row.data), row.created_at)
