"""What routes need to ask served pipelines: the pipelines themselves, callers that go away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Lock
from typing import TypeVar

from fastapi import FastAPI, Request

from service.api.context import ServiceContext
from service.api.errors import Problem, writable
from service.contract.query_schemas import ServedAnswerView, TokensView
from service.contract.schemas import PassageView
from service.run.remote_settings import check_stored_models
from service.safety.allowed_models import AllowedModels
from service.serving.asked import ServedAnswer
from service.serving.pipelines import ServedPipelines
from service.serving.servable import check_servable, read_servable
from service.store.comparisons.comparison_store import find_comparison

T = TypeVar("T")

_making = Lock()


def get_served(request: Request) -> ServedPipelines:
    """The pipelines of this process, made when they are first asked for."""
    state = request.app.state
    with _making:
        if not hasattr(state, "served"):
            context: ServiceContext = state.context
            read = partial(
                read_servable, context.engine, context.directory, retired_model=context.settings.retired_model
            )
            memory_bytes = context.settings.serving_memory_bytes
            state.served = ServedPipelines(context.directory, read, memory_bytes=memory_bytes)
    served: ServedPipelines = state.served
    return served


def check_askable(context: ServiceContext, askable: AllowedModels, comparison_id: str, kind: str) -> None:
    """See that an arm is there and of models that may be asked; nothing is loaded.

    Raises:
        ComparisonNotFoundError, NotServableError, NoSuchPipelineError: it is not there.
        ModelNotAllowedError: the operator's list has no model of it any more.
    """
    check_servable(context.engine, comparison_id, kind)
    # Every question comes by here: the row is not read where nothing could be refused.
    if not askable.is_everything:
        check_stored_models(find_comparison(context.engine, comparison_id).settings, askable, kind)


@asynccontextmanager
async def closing_served(app: FastAPI) -> AsyncIterator[None]:
    """Lets the models go when the service ends; nobody waits for an answer any more."""
    yield
    if hasattr(app.state, "served"):
        await asyncio.to_thread(app.state.served.close, at_once=True)


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, which is cancelled when the caller goes away.

    Raises:
        Problem: the caller went away, so that nobody will read it.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Problem(503, "Caller gone", "the caller closed the connection before the answer was there")
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def view_answer(served: ServedAnswer) -> ServedAnswerView:
    """An answer as the API gives it."""
    answer = served.answer
    return ServedAnswerView(
        question=served.question,
        text=writable(answer.text),
        sources=view_sources(served),
        tokens=TokensView(
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            embedding_tokens=answer.usage.embedding_tokens,
        ),
        latency_s=served.latency_s,
        model_s=served.model_s,
        batch_size=served.batch_size,
        cost_usd=served.cost_usd,
        finish_reason=answer.finish_reason,
    )


def view_sources(served: ServedAnswer) -> list[PassageView]:
    """The passages of an answer as the API gives them."""
    return [
        PassageView(
            chunk_id=chunk.chunk_id,
            document_id=chunk.document_id,
            title=writable(chunk.title),
            text=writable(chunk.text),
            score=chunk.score,
            used=chunk.used,
        )
        for chunk in served.answer.retrieved
    ]
