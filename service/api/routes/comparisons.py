"""Starting, watching, stopping and deleting comparisons."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.auth import Allowed, Budget, Context, Principal, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Offset, Whole
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import (
    ID_PATTERN,
    ComparisonDetail,
    ComparisonList,
    ComparisonRename,
    ComparisonRequest,
    ComparisonSummary,
    Estimate,
)
from service.contract.scope import Scope
from service.json_log import about
from service.run.estimate import estimate_comparison, remaining_s
from service.run.remote_settings import check_request, check_sent_files, check_stored_models, sent_settings
from service.safety.allowed_models import AllowedModels
from service.safety.endpoint_guard import EndpointGuard
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.comparisons.comparison_store import (
    ARM_FILES,
    StoredComparison,
    create_comparison,
    find_by_idempotency_key,
    find_comparison,
    list_comparisons,
    new_comparison_id,
    queue_position,
    rename_comparison,
    request_cancel,
    resume_comparison,
)
from service.store.comparisons.run_folder import remove_comparison
from service.store.dataset_store import DatasetNotFoundError, dataset_numbers, find_dataset, read_version
from service.store.key_budget import KeyBudget
from service.store.reports.outcomes import Outcome, Outcomes

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])
ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]
Reader = Annotated[Principal, Depends(require(Scope.READ))]
Runner = Annotated[Principal, Depends(require(Scope.RUN))]
LOGGER = logging.getLogger("tuning_fork.api.comparisons")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read of comparisons before: how far they are, and what came of them."""

    followed: FollowedComparisons
    outcomes: Outcomes


def _seen(request: Request) -> _Seen:
    return _Seen(request.app.state.followed, request.app.state.outcomes)


Seen = Annotated[_Seen, Depends(_seen)]


IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Any text of yours. The same key and body always give what they gave first.",
    ),
]


def own_key(caller: Principal, idempotency_key: str | None) -> str | None:
    """A caller's text, apart from those of other callers."""
    return f"{caller.id}:{idempotency_key}" if idempotency_key is not None else None


@router.post("", status_code=202)
def create(
    body: ComparisonRequest,
    caller: Runner,
    context: Context,
    allowed: Allowed,
    budget: Budget,
    seen: Seen,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ComparisonDetail:
    """Queue a comparison. Where it can be watched is in Location."""
    sent = sent_settings(body)
    key = own_key(caller, idempotency_key)
    stored = find_by_idempotency_key(context.engine, key, sent) if key else None
    if stored is None:
        settings, estimate, name = _checked(body, context, allowed, budget)
        stored, is_new = create_comparison(
            context.engine,
            comparison_id=new_comparison_id(name),
            name=body.name or name,
            dataset=body.dataset,
            settings=settings,
            estimate=estimate.model_dump(mode="json"),
            idempotency_key=key,
            request=sent,
            max_queued=context.settings.max_queued,
            made_by=budget.key_id if budget is not None else None,
        )
        if is_new:
            submit(context, stored.id)
    request.scope.setdefault("state", {})["comparison_id"] = stored.id
    response.headers["Location"] = f"/v1/comparisons/{stored.id}"
    return _detail(context, seen, stored)


@router.post("/estimate")
def estimate(body: ComparisonRequest, caller: Reader, context: Context, allowed: Allowed) -> Estimate:
    """What a comparison would take, in time, tokens and money. Nothing is run or stored."""
    return _checked(body, context, allowed)[1]


@router.get("")
def list_all(
    caller: Reader,
    context: Context,
    seen: Seen,
    state: Annotated[ComparisonState | None, Query(description="Only those in this state.")] = None,
    dataset: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only those on this version.")] = None,
    limit: Annotated[Whole, Query(ge=1, le=200)] = 50,
    offset: Offset = 0,
) -> ComparisonList:
    """Comparisons, the newest first."""
    stored, total = list_comparisons(context.engine, state=state, dataset=dataset, limit=limit, offset=offset)
    items = [ComparisonSummary(**one) for one in _summaries(context, seen, stored)]
    return ComparisonList(items=items, total=total)


@router.get("/{comparison_id}")
async def get(
    comparison_id: ComparisonId,
    caller: Reader,
    context: Context,
    seen: Seen,
    request: Request,
    wait_s: Annotated[float, Query(ge=0, le=60, description="Answer as soon as it is over, at latest after this.")] = 0,
) -> ComparisonDetail:
    """One comparison: state, progress by stage, time that remains, scores so far; its verdict once there is one."""
    stored = await when_over(request, context, comparison_id, wait_s)
    return await run_in_threadpool(_detail, context, seen, stored)


@router.post("/{comparison_id}/cancel", status_code=202)
def cancel(comparison_id: ComparisonId, caller: Runner, context: Context, seen: Seen) -> ComparisonDetail:
    """Stop a comparison: what waits at once, what runs within seconds. Results so far stay readable."""
    return _detail(context, seen, request_cancel(context.engine, comparison_id))


@router.post("/{comparison_id}/resume", status_code=202)
def resume(
    comparison_id: ComparisonId, caller: Runner, context: Context, allowed: Allowed, seen: Seen
) -> ComparisonDetail:
    """Queue a failed or cancelled comparison again. It goes on from what it has."""
    check_stored_models(find_comparison(context.engine, comparison_id).settings, allowed)
    stored = resume_comparison(context.engine, comparison_id, max_queued=context.settings.max_queued)
    submit(context, comparison_id)
    return _detail(context, seen, stored)


@router.delete("/{comparison_id}", status_code=204)
def delete(comparison_id: ComparisonId, caller: Runner, context: Context) -> None:
    """Delete a comparison that is over, with its events, reports and votes, and what was made for it alone."""
    remove_comparison(context.engine, context.directory, comparison_id)


@router.patch("/{comparison_id}")
def rename(
    comparison_id: ComparisonId, body: ComparisonRename, caller: Runner, context: Context, seen: Seen
) -> ComparisonSummary:
    """Give a comparison another name; its id stays."""
    renamed = rename_comparison(context.engine, comparison_id, body.name)
    return ComparisonSummary(**_summaries(context, seen, [renamed])[0])


def _checked(
    body: ComparisonRequest, context: ServiceContext, allowed: AllowedModels, budget: KeyBudget | None = None
) -> tuple[dict[str, Any], Estimate, str]:
    """Settings, estimate and the dataset's name of a request that can be run."""
    try:
        dataset = find_dataset(context.engine, body.dataset)
    except DatasetNotFoundError as error:
        raise Problem(422, "No such dataset", str(error)) from error
    settings = check_request(body, EndpointGuard(), allowed, budget)
    check_sent_files(context.engine, context.directory, body.dataset, settings)
    data = read_version(context.engine, context.directory, body.dataset)
    return settings, estimate_comparison(context.engine, context.directory, settings, data), dataset.card.name


async def when_over(request: Request, context: ServiceContext, comparison_id: str, wait_s: float) -> StoredComparison:
    """The comparison as soon as it is over, or as it is after the wait."""
    deadline = time.monotonic() + min(wait_s, context.settings.longest_wait_s)
    pause_s = _FIRST_PAUSE_S
    while True:
        stored = await run_in_threadpool(find_comparison, context.engine, comparison_id)
        remaining = deadline - time.monotonic()
        if stored.state.is_final or remaining <= 0 or request.app.state.stopping.is_set():
            return stored
        await asyncio.sleep(min(pause_s, remaining))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def submit(context: ServiceContext, comparison_id: str) -> None:
    """Tell the engine that a row is waiting."""
    try:
        context.submit(comparison_id)
    except Exception:
        # The row is committed and says queued: workers take up such rows when they start.
        LOGGER.exception("the comparison could not be put into the queue", extra=about(comparison_id))


def _summaries(context: ServiceContext, seen: _Seen, found: Sequence[StoredComparison]) -> list[dict[str, Any]]:
    numbers = dataset_numbers(context.engine)
    return [_summary(one, seen.outcomes.find(context.engine, one), numbers) for one in found]


def _summary(stored: StoredComparison, outcome: Outcome, numbers: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    # A bundled dataset has its name for a version.
    name, number = numbers.get(stored.dataset, (stored.dataset, None))
    return asdict(outcome) | {
        "score": outcome.score.estimate if outcome.score else None,
        "id": stored.id,
        "name": stored.name,
        "dataset": stored.dataset,
        "dataset_name": name,
        "dataset_number": number,
        "model": str(stored.settings.get("model", "")),
        "arms": list(stored.arms),
        "state": stored.state,
        "cancel_requested": stored.cancel_requested,
        "error": stored.error,
        "created_at": stored.created_at,
        "started_at": stored.started_at,
        "finished_at": stored.finished_at,
    }


def _detail(context: ServiceContext, seen: _Seen, stored: StoredComparison) -> ComparisonDetail:
    standing = seen.followed.find(context.engine, stored.id)
    progress = standing.progress()
    estimate = Estimate.model_validate(stored.estimate) if stored.estimate else None
    eta_s = None
    if stored.state is ComparisonState.RUNNING and stored.started_at is not None and estimate is not None:
        eta_s = remaining_s(estimate, progress, time.time() - stored.started_at)
    queued = stored.state is ComparisonState.QUEUED
    return ComparisonDetail(
        **_summaries(context, seen, [stored])[0],
        settings={name: value for name, value in stored.settings.items() if name != ARM_FILES},
        estimate=estimate,
        progress=progress,
        eta_s=eta_s,
        running_scores=standing.running_scores(_first_metric(context, stored)),
        last_event=standing.last_event,
        queue_position=queue_position(context.engine, stored) if queued else None,
    )


def _first_metric(context: ServiceContext, stored: StoredComparison) -> str:
    try:
        return find_dataset(context.engine, stored.dataset).card.metrics[0]
    except DatasetNotFoundError:
        return ""
