"""Baselines: names for comparisons that others are held against. Only a request changes them, never a good result."""

import time
from dataclasses import dataclass

from sqlalchemy import Engine, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lm.errors import ErrorKind, TuningForkError
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import ComparisonConflictError, find_comparison, hold_comparison
from service.store.database import writing
from service.store.tables import baselines


class BaselineNotFoundError(TuningForkError):
    """There is no baseline of that name."""

    kind = ErrorKind.NOT_FOUND
    title = "No such baseline"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A name for a finished comparison."""

    name: str
    comparison_id: str
    created_at: float


def set_baseline(engine: Engine, name: str, comparison_id: str) -> tuple[Baseline, bool]:
    """Let a name stand for a comparison, and whether the name is new.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
        ComparisonConflictError: it has not succeeded.
    """
    found = find_comparison(engine, comparison_id)
    if found.state is not ComparisonState.SUCCEEDED:
        raise ComparisonConflictError(
            f"{comparison_id} is {found.state}; only a comparison that has succeeded can be a baseline"
        )
    baseline = Baseline(name, comparison_id, time.time())
    try:
        return baseline, _write(engine, baseline)
    except IntegrityError:
        # Another request made the same name in between: the second look sees it.
        return baseline, _write(engine, baseline)


def find_baseline(engine: Engine, name: str) -> Baseline:
    """The baseline of that name.

    Raises:
        BaselineNotFoundError: there is none.
    """
    with engine.connect() as connection:
        row = connection.execute(select(baselines).where(baselines.c.name == name)).first()
    if row is None:
        raise BaselineNotFoundError(f"there is no baseline {name!r}; PUT /v1/baselines/{name} stores one")
    return _baseline(row)


def list_baselines(engine: Engine) -> list[Baseline]:
    """All baselines by name."""
    with engine.connect() as connection:
        return [_baseline(row) for row in connection.execute(select(baselines).order_by(baselines.c.name))]


def delete_baseline(engine: Engine, name: str) -> None:
    """Forget a name; the comparison stays.

    Raises:
        BaselineNotFoundError: there is none.
    """
    with writing(engine) as connection:
        if connection.execute(delete(baselines).where(baselines.c.name == name)).rowcount == 0:
            raise BaselineNotFoundError(f"there is no baseline {name!r}; GET /v1/baselines lists those there are")


def _write(engine: Engine, baseline: Baseline) -> bool:
    values = {"comparison_id": baseline.comparison_id, "created_at": baseline.created_at}
    with writing(engine) as connection:
        hold_comparison(connection, baseline.comparison_id)
        changed = connection.execute(update(baselines).where(baselines.c.name == baseline.name).values(**values))
        if changed.rowcount:
            return False
        connection.execute(insert(baselines).values(name=baseline.name, **values))
        return True


def _baseline(row: Row[tuple[object, ...]]) -> Baseline:
    return Baseline(row.name, row.comparison_id, row.created_at)
