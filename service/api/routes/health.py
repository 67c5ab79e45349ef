"""Whether the service lives and is ready, and what it counts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.api.auth import Principal, WholeService, require
from service.api.errors import Problem
from service.api.metrics import CONTENT_TYPE
from service.contract.schemas import Health
from service.contract.scope import Scope

READY_S = 3.0
"""For the database to answer; who asks whether the service is ready waits no longer."""

router = APIRouter(tags=["health"])
# Questions that a stalled database leaves without an answer must not take the threads of requests.
_asking = ThreadPoolExecutor(2, thread_name_prefix="readiness")


@router.get("/healthz")
async def live() -> Health:
    """The process answers, also while all threads for other requests are taken."""
    return Health(status="alive", version=version("tuning-fork"))


@router.get("/readyz")
async def ready(context: WholeService) -> Health:
    """The database answers in time and has the tables of this version."""
    try:
        async with asyncio.timeout(READY_S):
            current = await asyncio.get_running_loop().run_in_executor(_asking, _is_current, context.engine)
    except (SQLAlchemyError, TimeoutError) as error:
        raise Problem(
            503, "Not ready", "the database does not respond; check that it is running", retry_after_s=5
        ) from error
    if not current:
        detail = "the database was made by another version; start `tuningfork serve` again, which brings it up to date"
        raise Problem(503, "Not ready", detail, retry_after_s=5)
    checks = {"database": "answers", "migrations": "current"}
    return Health(status="ready", version=version("tuning-fork"), checks=checks)


def _is_current(engine: Engine) -> bool:
    from service.store.migrations.upgrade import is_current

    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return is_current(engine)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, caller: Annotated[Principal, Depends(require(Scope.READ))]) -> Response:
    """Counts and gauges of the whole service for Prometheus, which sends a key of the workspace `default`."""
    if not caller.is_operator:
        detail = "these are counts over all workspaces; send a key of the workspace `default`"
        raise Problem(403, "Not of this workspace", detail)
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)
