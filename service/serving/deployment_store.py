"""Deployments: an alias such as `production` that stands for one arm of one comparison, and all it stood for before."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from lm.errors import ErrorKind, TuningForkError
from service.serving.servable import check_servable
from service.store.comparisons.comparison_store import hold_comparison
from service.store.database import writing
from service.store.tables import deployments

_ATTEMPTS = 5


class DeploymentNotFoundError(TuningForkError):
    """There is no deployment of that alias, or no such revision of it."""

    kind = ErrorKind.NOT_FOUND
    title = "No such deployment"


class DeploymentConflictError(TuningForkError):
    """There is nothing to roll back to."""

    kind = ErrorKind.CONFLICT
    title = "Nothing to roll back to"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One revision of an alias; the highest is what it serves."""

    alias: str
    revision: int
    comparison_id: str
    kind: str
    created_at: float


def deploy(engine: Engine, alias: str, comparison_id: str, kind: str) -> Deployment:
    """Let an alias serve an arm. Naming what it serves already changes nothing.

    Raises:
        ComparisonNotFoundError, NotServableError, NoSuchPipelineError: the arm cannot be asked.
    """

    def add(connection: Connection) -> Deployment:
        return _add(connection, alias, comparison_id, kind)

    check_servable(engine, comparison_id, kind)
    return _repeated(engine, add)


def roll_back(engine: Engine, alias: str, revision: int | None = None) -> Deployment:
    """Let an alias serve what it served before the present revision, or at a given one; itself a new revision.

    Rolled back twice, it serves again what it did at first.

    Raises:
        DeploymentNotFoundError: there is no such alias or revision.
        DeploymentConflictError: it never served anything else.
    """

    def add(connection: Connection) -> Deployment:
        history = _history(connection, alias)
        if revision is not None:
            found = next((one for one in history if one.revision == revision), None)
            if found is None:
                known = ", ".join(str(one.revision) for one in history)
                raise DeploymentNotFoundError(f"{alias!r} has no revision {revision}; it has {known}")
        elif len(history) < 2:
            raise DeploymentConflictError(f"{alias!r} never served anything else; deploy another comparison instead")
        else:
            found = history[1]
        return _add(connection, alias, found.comparison_id, found.kind)

    return _repeated(engine, add)


def remove_deployment(engine: Engine, alias: str) -> None:
    """Forget an alias and its history.

    Raises:
        DeploymentNotFoundError: there is none.
    """
    with writing(engine) as connection:
        _history(connection, alias)
        connection.execute(delete(deployments).where(deployments.c.alias == alias))


def find_deployment(engine: Engine, alias: str) -> Deployment:
    """What an alias serves.

    Raises:
        DeploymentNotFoundError: there is none.
    """
    return deployment_history(engine, alias)[0]


def deployment_history(engine: Engine, alias: str) -> list[Deployment]:
    """All revisions, the one it serves first.

    Raises:
        DeploymentNotFoundError: there is none.
    """
    with engine.connect() as connection:
        return _history(connection, alias)


def list_deployments(engine: Engine) -> list[Deployment]:
    """What each alias serves, by alias."""
    with engine.connect() as connection:
        rows = connection.execute(select(deployments).order_by(deployments.c.alias, deployments.c.revision)).all()
    return list({(row.workspace, row.alias): _deployment(row) for row in rows}.values())


def _repeated(engine: Engine, add: Callable[[Connection], Deployment]) -> Deployment:
    """Two callers may take the same revision number at the same time; the second then takes the next."""
    for _ in range(_ATTEMPTS):
        with suppress(IntegrityError), writing(engine) as connection:
            return add(connection)
    with writing(engine) as connection:
        return add(connection)


def _add(connection: Connection, alias: str, comparison_id: str, kind: str) -> Deployment:
    newest = connection.execute(
        select(deployments).where(deployments.c.alias == alias).order_by(deployments.c.revision.desc()).limit(1)
    ).first()
    if newest is not None and (newest.comparison_id, newest.kind) == (comparison_id, kind):
        return _deployment(newest)
    hold_comparison(connection, comparison_id)
    made = Deployment(alias, newest.revision + 1 if newest else 1, comparison_id, kind, time.time())
    connection.execute(
        insert(deployments).values(
            alias=made.alias,
            revision=made.revision,
            comparison_id=made.comparison_id,
            kind=made.kind,
            created_at=made.created_at,
        )
    )
    return made


def _history(connection: Connection, alias: str) -> list[Deployment]:
    rows = connection.execute(
        select(deployments).where(deployments.c.alias == alias).order_by(deployments.c.revision.desc())
    ).all()
    if not rows:
        raise DeploymentNotFoundError(f"there is no deployment {alias!r}; GET /v1/deployments lists them")
    return [_deployment(row) for row in rows]


def _deployment(row: Row[tuple[object, ...]]) -> Deployment:
    return Deployment(row.alias, row.revision, row.comparison_id, row.kind, row.created_at)
