"""An OpenAI-compatible endpoint over every pipeline: OpenAI's own clients work against it unchanged."""

import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from advisor.data.dataset import with_history
from lm.completion import Message, Role
from lm.errors import TuningForkError
from service.api.auth import Askable, Budget, Context, require
from service.api.context import ServiceContext
from service.api.errors import Problem, writable
from service.api.openai_errors import DOCUMENTED, OpenAIRoute, UnsupportedError, openai_error
from service.api.served import check_askable, get_served, view_sources, while_connected
from service.contract.comparison_state import ComparisonState
from service.contract.openai_schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChatRequest,
    Choice,
    ChunkChoice,
    CompletionMessage,
    CompletionUsage,
    Delta,
    Extension,
    ModelCard,
    ModelList,
)
from service.contract.query_schemas import ALIAS_PATTERN
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.serving.asked import Decoding, ServedAnswer
from service.serving.deployment_store import DeploymentNotFoundError, find_deployment, list_deployments
from service.serving.errors import NoSuchPipelineError
from service.serving.pipelines import ServedPipelines
from service.serving.servable import check_servable, servable_kinds
from service.store.comparisons.comparison_store import ComparisonNotFoundError, find_comparison, list_comparisons
from service.store.dataset_store import DatasetNotFoundError, holds_history

router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute, responses=DOCUMENTED)

LISTED_COMPARISONS = 200
MAX_STOP_TEXTS = 4
MAX_QUESTION_CHARACTERS = 100_000
_GREEDY_BELOW = 0.01

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "store": (False,),
}
"""Values of parameters not taken here that ask for nothing."""

_WITHOUT_EFFECT = frozenset(
    {"user", "metadata", "parallel_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key"}
)
"""Taken and passed over: they change no answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a model's name stands for."""

    comparison_id: str
    kind: str


@router.get("/models", dependencies=[Depends(require(Scope.READ))])
def list_models(context: Context) -> ModelList:
    """Everything that can be asked."""
    finished, _ = list_comparisons(context.engine, state=ComparisonState.SUCCEEDED, limit=LISTED_COMPARISONS)
    return ModelList(
        data=[
            *(ModelCard(id=one.alias, created=int(one.created_at)) for one in list_deployments(context.engine)),
            *(
                ModelCard(id=f"{one.id}/{kind}", created=int(one.finished_at or one.created_at))
                for one in finished
                for kind in servable_kinds(one)
            ),
        ]
    )


@router.get("/models/{model:path}", dependencies=[Depends(require(Scope.READ))])
def read_model(model: str, context: Context) -> ModelCard:
    """One of them."""
    target = resolve_model(context.engine, model)
    stored = find_comparison(context.engine, target.comparison_id)
    return ModelCard(id=model, created=int(stored.finished_at or stored.created_at))


@router.post(
    "/chat/completions",
    dependencies=[Depends(require(Scope.RUN))],
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def complete(
    body: ChatRequest,
    request: Request,
    context: Context,
    served: Annotated[ServedPipelines, Depends(get_served)],
    askable: Askable,
    budget: Budget,
) -> Any:
    """Answer the last message by a pipeline; sources and cost are in `tuning_fork`.

    An arm is asked as it was measured: what user and assistant said before is read if questions of its dataset come
    after other turns. Messages that are not read are counted in the reply. Sampling, stop texts and `max_tokens` are
    honoured; tools, images, several choices and logprobs are refused.
    """
    question = read_question(body.messages)
    decoding = read_decoding(body)
    target = await run_in_threadpool(resolve_model, context.engine, body.model)
    await run_in_threadpool(check_askable, context, askable, target.comparison_id, target.kind)
    history = await run_in_threadpool(read_history, context, target, body.messages)
    question = with_history(question, history)
    n_ignored = len(body.messages) - 1 - len(history)
    reply = _Reply(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), body.model, target, n_ignored)
    if not body.stream:
        work = served.answer(target.comparison_id, target.kind, [question], decoding, budget)
        (one,) = await while_connected(request, work)
        request.app.state.metrics.count_answers(target.kind)
        return reply.whole(one)
    stream = served.stream(target.comparison_id, target.kind, question, decoding, budget)
    # What fails before the first piece has a status of its own.
    first = await while_connected(request, anext(stream))
    include_usage = bool(body.stream_options and body.stream_options.include_usage)

    async def events() -> AsyncIterator[str]:
        async with aclosing(stream):
            piece = first
            try:
                yield _event(reply.chunk(Delta(role="assistant", content="")), include_usage=include_usage)
                while isinstance(piece, str):
                    yield _event(reply.chunk(Delta(content=writable(piece))), include_usage=include_usage)
                    piece = await anext(stream)
            except (Problem, TuningForkError) as error:
                yield f"data: {openai_error(error)[1].model_dump_json()}\n\n"
                return
            request.app.state.metrics.count_answers(target.kind)
            yield _event(reply.end(piece), include_usage=include_usage)
            if include_usage:
                yield _event(reply.usage(piece), include_usage=True)
            yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def resolve_model(engine: Engine, model: str) -> Target:
    """The arm that a model's name stands for.

    Raises:
        Problem: there is none, or it has no result yet.
    """
    comparison_id, slash, kind = model.rpartition("/")
    parts = ((comparison_id, ID_PATTERN), (kind, ID_PATTERN)) if slash else ((model, ALIAS_PATTERN),)
    try:
        # What no name can be is not looked up: Postgres fails on a NUL.
        if not all(re.fullmatch(pattern, part) for part, pattern in parts):
            raise NoSuchPipelineError("it is no name that anything here can have")
        if not slash:
            deployment = find_deployment(engine, model)
            comparison_id, kind = deployment.comparison_id, deployment.kind
        check_servable(engine, comparison_id, kind)
    except (ComparisonNotFoundError, DeploymentNotFoundError, NoSuchPipelineError) as error:
        raise Problem(
            404,
            "No such model",
            f"there is no model {model!r}: {error}. A model is <comparison>/<kind> or the alias of a deployment; "
            "GET /v1/models lists them",
        ) from error
    return Target(comparison_id, kind)


def read_question(messages: list[ChatMessage]) -> str:
    """The text of the last message.

    Raises:
        UnsupportedError: it is not the user's, or holds no text.
    """
    last = messages[-1]
    if last.role != "user":
        raise UnsupportedError("messages", f"the last message is of the {last.role}; end with the user's question")
    content = last.content or ""
    if not isinstance(content, str):
        other = next((part.type for part in content if part.type != "text"), None)
        if other is not None:
            raise UnsupportedError(
                "messages", f"the last message holds a part of type {other!r}; images, audio and files are not taken"
            )
        content = "".join(part.text or "" for part in content)
    text = content.strip()
    if not text:
        raise UnsupportedError("messages", "the last message holds no text; write a question")
    if len(text) > MAX_QUESTION_CHARACTERS:
        raise UnsupportedError("messages", f"the question is longer than {MAX_QUESTION_CHARACTERS} characters; cut it")
    return text


def read_history(context: ServiceContext, target: Target, messages: list[ChatMessage]) -> tuple[Message, ...]:
    """What user and assistant said before the last message; nothing where the arm was measured on single questions.

    Raises:
        UnsupportedError: it is too long.
    """
    said = [(message.role, _text(message)) for message in messages[:-1] if message.role in ("user", "assistant")]
    turns = tuple(Message(Role(role), text) for role, text in said if text)
    if not turns:
        return ()
    stored = find_comparison(context.engine, target.comparison_id)
    with suppress(DatasetNotFoundError):
        if holds_history(context.engine, context.directory, stored.dataset):
            if sum(len(turn.content) for turn in turns) > MAX_QUESTION_CHARACTERS:
                what = f"the earlier messages are longer than {MAX_QUESTION_CHARACTERS} characters; leave the first out"
                raise UnsupportedError("messages", what)
            return turns
    return ()


def _text(message: ChatMessage) -> str:
    content = message.content or ""
    return (content if isinstance(content, str) else "".join(part.text or "" for part in content)).strip()


def read_decoding(body: ChatRequest) -> Decoding:
    """How to decode.

    Raises:
        UnsupportedError: a parameter asks for what is not done here.
    """
    for name, value in (body.model_extra or {}).items():
        if value is None or name in _WITHOUT_EFFECT or _is_neutral(name, value):
            continue
        if name in _NEUTRAL:
            raise UnsupportedError(name, f"{name} = {json.dumps(value)[:80]} is not supported; leave it out")
        raise UnsupportedError(name, f"{name} is not a parameter that is taken here; leave it out")
    if body.max_tokens and body.max_completion_tokens and body.max_tokens != body.max_completion_tokens:
        raise UnsupportedError("max_tokens", "max_tokens and max_completion_tokens differ; give one of them")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stop) > MAX_STOP_TEXTS:
        raise UnsupportedError("stop", f"stop holds {len(stop)} texts; {MAX_STOP_TEXTS} are allowed")
    temperature = body.temperature or 0.0
    return Decoding(
        max_output_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stop,
        # Nothing but the likeliest token is left that far down, and dividing by less overflows.
        temperature=temperature if temperature >= _GREEDY_BELOW else 0.0,
        seed=body.seed,
    )


def _is_neutral(name: str, value: object) -> bool:
    # 1 == True in Python, but `logprobs: 0` and `n: true` are mistakes.
    return any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _NEUTRAL.get(name, ())
    )


def _event(chunk: ChatCompletionChunk, *, include_usage: bool) -> str:
    row = chunk.model_dump(exclude_unset=False)
    for name in ("usage", "tuning_fork"):
        if row[name] is None and not (name == "usage" and include_usage):
            del row[name]
    for choice in row["choices"]:
        choice["delta"] = {key: value for key, value in choice["delta"].items() if value is not None}
    return f"data: {json.dumps(row, ensure_ascii=False)}\n\n"


@dataclass(frozen=True, slots=True)
class _Reply:
    id: str
    created: int
    model: str
    target: Target
    ignored_messages: int

    def whole(self, one: ServedAnswer) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[
                Choice(
                    message=CompletionMessage(content=writable(one.answer.text)),
                    finish_reason=one.answer.finish_reason,
                )
            ],
            usage=_usage(one),
            tuning_fork=self._extension(one),
        )

    def chunk(self, delta: Delta) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.id, created=self.created, model=self.model, choices=[ChunkChoice(delta=delta)]
        )

    def end(self, one: ServedAnswer) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[ChunkChoice(delta=Delta(), finish_reason=one.answer.finish_reason)],
            tuning_fork=self._extension(one),
        )

    def usage(self, one: ServedAnswer) -> ChatCompletionChunk:
        return ChatCompletionChunk(id=self.id, created=self.created, model=self.model, choices=[], usage=_usage(one))

    def _extension(self, one: ServedAnswer) -> Extension:
        return Extension(
            comparison_id=self.target.comparison_id,
            kind=self.target.kind,
            sources=view_sources(one),
            embedding_tokens=one.answer.usage.embedding_tokens,
            latency_s=one.latency_s,
            cost_usd=one.cost_usd,
            ignored_messages=self.ignored_messages,
        )


def _usage(one: ServedAnswer) -> CompletionUsage:
    n_in, n_out = one.answer.usage.input_tokens, one.answer.usage.output_tokens
    return CompletionUsage(prompt_tokens=n_in, completion_tokens=n_out, total_tokens=n_in + n_out)
