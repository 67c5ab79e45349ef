"""What happens to a comparison, as it happens: server-sent events, numbered without a gap."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.api.auth import Context, require
from service.api.context import ServiceContext
from service.api.paging import Whole
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.comparisons.comparison_store import ComparisonNotFoundError, find_comparison
from service.store.comparisons.events import EVENT_TYPES, Event, read_events

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])
HEARTBEAT_S = 15.0
PAUSE_S = 0.3
RECONNECT_MS = 1000

_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Sequence number."},
        "event": {
            "type": "string",
            "enum": [*EVENT_TYPES],
        },
        "data": {"type": "string", "description": "JSON."},
    },
}


@router.get(
    "/{comparison_id}/events",
    dependencies=[Depends(require(Scope.READ))],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": _EVENT}}}},
)
async def stream(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN)],
    context: Context,
    request: Request,
    last_event_id: Annotated[
        str | None,
        Header(pattern=r"^[0-9]{1,9}$", description="The last one that came through; those behind it follow."),
    ] = None,
    after: Annotated[Whole, Query(ge=0, le=999_999_999, description="The same, for who cannot set headers.")] = 0,
) -> StreamingResponse:
    """Events from the first or from Last-Event-ID on. The stream ends when the comparison is over.

    Types: `state` (state, error); `progress` (stage, arm, done, total, detail); `block`, the same for answers that are
    now stored, with the arm's score so far; `training`, the same for steps of tuning, with losses; `resources`, what a
    process of the comparison took of its machine since its last such event (process, interval_s, cores_busy of n_cores,
    highest resident_bytes and gpu_bytes). Each has `at`. Lines that begin with a colon are heartbeats.
    """
    await run_in_threadpool(find_comparison, context.engine, comparison_id)
    start = int(last_event_id) if last_event_id is not None else after
    # Proxies that buffer would hold events back.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    events = _events(context, comparison_id, start, request.app.state.stopping)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    context: ServiceContext, comparison_id: str, after: int, stopping: threading.Event
) -> AsyncIterator[str]:
    ends_at = time.monotonic() + context.settings.event_stream_s
    heartbeat_at = time.monotonic() + HEARTBEAT_S
    yield f"retry: {RECONNECT_MS}\n\n"
    # Who watches takes it up again where it ended, after a restart as well.
    while time.monotonic() < ends_at and not stopping.is_set():
        try:
            # The state is read first: what led to it is then among the events that are read after it.
            is_over, found = await run_in_threadpool(_read, context, comparison_id, after)
        except ComparisonNotFoundError:
            return
        for event in found:
            yield _as_text(event)
            after = event.sequence
        if is_over and not found:
            return
        if found:
            heartbeat_at = time.monotonic() + HEARTBEAT_S
            continue
        if time.monotonic() >= heartbeat_at:
            yield ": still here\n\n"
            heartbeat_at = time.monotonic() + HEARTBEAT_S
        await asyncio.sleep(PAUSE_S)


def _read(context: ServiceContext, comparison_id: str, after: int) -> tuple[bool, list[Event]]:
    is_over = find_comparison(context.engine, comparison_id).state.is_final
    return is_over, read_events(context.engine, comparison_id, after=after, limit=500)


def _as_text(event: Event) -> str:
    data = json.dumps({**event.data, "at": event.created_at})
    return f"id: {event.sequence}\nevent: {event.type}\ndata: {data}\n\n"
