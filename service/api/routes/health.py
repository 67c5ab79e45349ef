"""Whether the service lives and is ready, and what it counts."""

from importlib.metadata import version

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.api.auth import Context, require
from service.api.errors import Problem
from service.api.metrics import CONTENT_TYPE
from service.contract.schemas import Health
from service.contract.scope import Scope

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def live() -> Health:
    """The process answers, also while all threads for other requests are taken."""
    return Health(status="alive", version=version("tuning-fork"))


@router.get("/readyz")
def ready(context: Context) -> Health:
    """The database answers and has the tables of this version."""
    from service.store.migrations.upgrade import is_current

    try:
        with context.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        current = is_current(context.engine)
    except SQLAlchemyError as error:
        raise Problem(
            503, "Not ready", "the database does not respond; check that it is running", retry_after_s=5
        ) from error
    if not current:
        detail = "the database was made by another version; start `tuningfork serve` again, which brings it up to date"
        raise Problem(503, "Not ready", detail, retry_after_s=5)
    checks = {"database": "answers", "migrations": "current"}
    return Health(status="ready", version=version("tuning-fork"), checks=checks)


@router.get(
    "/metrics",
    dependencies=[Depends(require(Scope.READ))],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Counts and gauges for Prometheus, which sends a key of scope read as its bearer token."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)
