"""Asking the arms of a finished comparison."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from lm.errors import TuningForkError
from service.api.auth import Askable, Budget, Context, require
from service.api.errors import PROBLEM_MEDIA_TYPE, Problem, as_problem, problem_type, writable
from service.api.served import check_askable, closing_served, get_served, view_answer, while_connected
from service.contract.query_schemas import (
    AnswersReply,
    AnswersRequest,
    ArmReply,
    PieceEvent,
    QuestionRequest,
    SideBySideReply,
)
from service.contract.schemas import ID_PATTERN, ProblemDetails
from service.contract.scope import Scope
from service.safety.allowed_models import ModelNotAllowedError
from service.serving.errors import EndpointFailedError
from service.serving.pipelines import ServedPipelines
from service.serving.servable import check_servable
from service.store.key_budget import KeyBudget

_PROBLEM = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}

router = APIRouter(
    prefix="/v1/comparisons",
    tags=["querying"],
    responses={
        502: {"description": "The hosted model that was asked is down or broken.", "content": _PROBLEM},
        504: {"description": "The hosted model that was asked did not answer in time.", "content": _PROBLEM},
    },
    dependencies=[Depends(require(Scope.RUN))],
    lifespan=closing_served,
)

ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]
Kind = Annotated[str, Path(pattern=ID_PATTERN)]


@router.post("/{comparison_id}/pipelines/{kind}/answers")
async def answer(
    comparison_id: ComparisonId,
    kind: Kind,
    body: AnswersRequest,
    request: Request,
    context: Context,
    served: Annotated[ServedPipelines, Depends(get_served)],
    askable: Askable,
    budget: Budget,
) -> AnswersReply:
    """Put questions to one arm. Those of several callers are answered in batches; the order is kept."""
    await run_in_threadpool(check_askable, context, askable, comparison_id, kind)
    answers = await while_connected(request, served.answer(comparison_id, kind, body.questions, budget=budget))
    request.app.state.metrics.count_answers(kind, len(answers))
    return AnswersReply(comparison_id=comparison_id, kind=kind, answers=[view_answer(one) for one in answers])


@router.post("/{comparison_id}/answers")
async def answer_side_by_side(
    comparison_id: ComparisonId,
    body: QuestionRequest,
    request: Request,
    context: Context,
    served: Annotated[ServedPipelines, Depends(get_served)],
    askable: Askable,
    budget: Budget,
) -> SideBySideReply:
    """Put one question to all arms. An arm that cannot answer says why; the others answer all the same."""
    kinds = await run_in_threadpool(check_servable, context.engine, comparison_id)
    check = partial(check_askable, context, askable, comparison_id)
    replies = await while_connected(request, _ask_all(served, comparison_id, kinds, body.question, budget, check))
    for reply in replies:
        if reply.answer is not None:
            request.app.state.metrics.count_answers(reply.kind)
    return SideBySideReply(comparison_id=comparison_id, question=body.question, arms=replies)


@router.post(
    "/{comparison_id}/pipelines/{kind}/answers/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_answer(
    comparison_id: ComparisonId,
    kind: Kind,
    body: QuestionRequest,
    request: Request,
    context: Context,
    served: Annotated[ServedPipelines, Depends(get_served)],
    askable: Askable,
    budget: Budget,
) -> StreamingResponse:
    """Put one question to one arm and read the answer as it is generated.

    Server-sent events: `piece` with more text, then one `answer` as the other addresses give it, or a `problem`.
    """
    await run_in_threadpool(check_askable, context, askable, comparison_id, kind)
    stream = served.stream(comparison_id, kind, body.question, budget=budget)
    # What fails before the first piece has a status of its own.
    first = await while_connected(request, anext(stream))

    async def events() -> AsyncIterator[str]:
        async with aclosing(stream):
            piece = first
            try:
                while isinstance(piece, str):
                    yield _event("piece", PieceEvent(text=writable(piece)))
                    piece = await anext(stream)
            except (Problem, TuningForkError) as error:
                told = as_problem(error)
                problem = ProblemDetails(
                    type=problem_type(told.title),
                    title=told.title,
                    status=told.status,
                    detail=writable(told.detail),
                    request_id="",
                )
                yield _event("problem", problem)
                return
            request.app.state.metrics.count_answers(kind)
            yield _event("answer", view_answer(piece))

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _ask_all(
    served: ServedPipelines,
    comparison_id: str,
    kinds: Sequence[str],
    question: str,
    budget: KeyBudget | None,
    check: Callable[[str], object],
) -> list[ArmReply]:
    """What each arm says.

    Raises:
        EndpointFailedError, ModelNotAllowedError: none can be asked, since the model of none answers or may be asked.
    """
    replies = await asyncio.gather(*(_reply_of(served, comparison_id, kind, question, budget, check) for kind in kinds))
    failures = [error for _, error in replies if isinstance(error, EndpointFailedError | ModelNotAllowedError)]
    if len(failures) == len(replies):
        raise failures[0]
    return [reply for reply, _ in replies]


async def _reply_of(
    served: ServedPipelines,
    comparison_id: str,
    kind: str,
    question: str,
    budget: KeyBudget | None,
    check: Callable[[str], object],
) -> tuple[ArmReply, TuningForkError | None]:
    try:
        await run_in_threadpool(check, kind)
        (one,) = await served.answer(comparison_id, kind, [question], budget=budget)
    except TuningForkError as error:
        return ArmReply(kind=kind, error=writable(str(error))), error
    return ArmReply(kind=kind, answer=view_answer(one)), None


def _event(name: str, data: BaseModel) -> str:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n"
