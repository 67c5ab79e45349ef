"""Runs that ask the arms of a comparison again with later editions of its documents."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from lm.files import sha256
from service.api.auth import Allowed, Budget, Context
from service.api.context import ServiceContext
from service.api.paging import Offset
from service.api.routes.comparisons import IdempotencyKey, own_key, submit
from service.api.routes.side_runs.routes import Limit, Reader, Runner, SideRuns
from service.contract.schemas import (
    FRESHNESS_RUNS,
    ID_PATTERN,
    FreshnessRunRequest,
    FreshnessRunView,
    SideRunList,
    StageProgress,
)
from service.run.finished.freshness_run import check_freshness, queue_freshness
from service.run.remote_settings import check_stored_models
from service.safety.allowed_models import AllowedModels
from service.store.comparisons.comparison_store import (
    StoredComparison,
    find_by_idempotency_key,
    find_comparison,
)
from service.store.tables import FRESHNESS_RUN


def _own_fields(
    stored: StoredComparison, progress: list[StageProgress], result: dict[str, Any] | None
) -> dict[str, Any]:
    return {"comparison_id": stored.settings["comparison_id"], "progress": progress, "result": result}


def _check_models(context: ServiceContext, stored: StoredComparison, allowed: AllowedModels) -> None:
    check_stored_models(find_comparison(context.engine, stored.settings["comparison_id"]).settings, allowed)


_RUNS = SideRuns(FRESHNESS_RUNS, FRESHNESS_RUN, _own_fields, _check_models)
router = _RUNS.router()


@router.post("", status_code=202)
def create(
    body: FreshnessRunRequest,
    caller: Runner,
    context: Context,
    allowed: Allowed,
    budget: Budget,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> FreshnessRunView:
    """Queue a run on a finished comparison. Its arms are asked as they were built, re-indexed and trained again."""
    files: dict[str, bytes] = {name: text.encode() for name, text in (body.files or {}).items()}
    sent = {"comparison_id": body.comparison_id, "files": {name: sha256(files[name]) for name in files}}
    key = own_key(caller, idempotency_key)
    stored = find_by_idempotency_key(context.engine, key, sent) if key else None
    if stored is None:
        compared = find_comparison(context.engine, body.comparison_id)
        check_stored_models(compared.settings, allowed)
        check_freshness(context.engine, context.directory, compared, files, budget)
        stored, is_new = queue_freshness(
            context.engine,
            compared,
            files,
            idempotency_key=key,
            request=sent,
            max_queued=context.settings.max_queued,
            made_by=budget.key_id if budget is not None else None,
        )
        if is_new:
            submit(context, stored.id)
    view = _RUNS.view(context, request, stored)
    response.headers["Location"] = f"{FRESHNESS_RUNS.path}/{view.id}"
    return view


@router.get("")
def list_all(
    caller: Reader,
    context: Context,
    request: Request,
    comparison_id: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only those on it.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> SideRunList[FreshnessRunView]:
    """Runs, the newest first."""
    of = {"comparison_id": comparison_id} if comparison_id is not None else None
    return _RUNS.page(context, request, limit, offset, of)
