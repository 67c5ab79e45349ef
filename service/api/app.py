"""The API: every route under one roof, with the same limits, errors and logs."""

import threading
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import State
from starlette.types import Scope

from service.api.auth import RateLimits, refusal
from service.api.context import ServiceContext
from service.api.errors import DOCUMENTED, PROBLEM_MEDIA_TYPE, add_error_handlers
from service.api.limits import BodyLimits, Deadline, InPieces, RequestsAtOnce, Turns, is_small
from service.api.metrics import Metrics
from service.api.request_log import RequestLog
from service.api.revoking import EndsWithKey
from service.api.routes import ROUTERS
from service.api.routes.decisions import StoredDecisions
from service.api.service_settings import ServiceSettings
from service.api.stopping import EndsWithService
from service.contract.schemas import ProblemDetails
from service.store.api_keys import is_revoked
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.reports.loaded_results import LoadedComparisons
from service.store.reports.outcomes import Outcomes

_UPLOADS = frozenset({"/v1/datasets", "/v1/datasets/validate", "/v1/question-runs"})
_WITH_FILES = frozenset({"/v1/comparisons", "/v1/comparisons/estimate", "/v1/freshness-runs"})
_SILENT: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def create_app(context: ServiceContext) -> FastAPI:
    """The application of one process."""
    metrics = Metrics(context.engine)
    settings = context.settings
    app = FastAPI(
        title="Tuning Fork",
        version=version("tuning-fork"),
        description="Measures prompting, RAG and fine-tuning on your own data, and says what to ship and why.",
        # The pages of both load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_SILENT,
    )
    app.state.context = context
    app.state.metrics = metrics
    app.state.rate_limits = RateLimits()
    app.state.forget = partial(_begin_anew, app.state)
    app.state.forget()
    app.state.stopping = threading.Event()
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    # The last one added is the first one asked.
    app.add_middleware(EndsWithKey, is_stream=_is_stream, is_revoked=partial(is_revoked, context.engine))
    app.add_middleware(Deadline, seconds=settings.request_timeout_s, is_unlimited=_is_stream)
    app.add_middleware(InPieces)
    app.add_middleware(Turns, is_exempt=_is_long)
    app.add_middleware(
        BodyLimits,
        max_bytes=partial(_max_bytes, settings),
        is_upload=_is_upload,
        refusal=refusal,
    )
    # Large bodies of one key are read one after the other.
    app.add_middleware(Turns, is_exempt=lambda scope: _is_upload(scope) or is_small(scope), most_each=1)
    app.add_middleware(EndsWithService, stopping=app.state.stopping)
    app.add_middleware(RequestsAtOnce)
    app.add_middleware(RequestLog, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _max_bytes(settings: ServiceSettings, scope: Scope) -> int:
    if _is_upload(scope):
        return settings.max_upload_bytes
    return settings.max_comparison_bytes if scope["path"] in _WITH_FILES else settings.max_body_bytes


def _begin_anew(state: State) -> None:
    """Keep nothing in memory of what was asked for; models that answer are let go of, and loaded when asked again."""
    state.decisions = StoredDecisions()
    state.results = LoadedComparisons()
    state.followed = FollowedComparisons()
    state.outcomes = Outcomes()
    if (served := getattr(state, "served", None)) is not None:
        del state.served
        served.close()


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"] in _UPLOADS


def _is_stream(scope: Scope) -> bool:
    """Event streams end by themselves, uploads are as slow as their line; answers may stream for long, too.

    Handing over loads and converts weights.
    """
    path = scope["path"]
    return (
        _is_upload(scope)
        or "/handover/" in path
        or path.endswith(("/events", "/answers", "/answers/stream", "/chat/completions"))
    )


def _is_long(scope: Scope) -> bool:
    """What waits for others: for a comparison, or for a model to be loaded."""
    return _is_stream(scope) or scope["path"] == "/v1/models/try" or b"wait_s=" in scope["query_string"]


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of the API, with every failure in it."""
    if app.openapi_schema:
        return app.openapi_schema
    description = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        separate_input_output_schemas=True,
    )
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas |= problem.pop("$defs", {}) | {"ProblemDetails": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    as_problem = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    for path in description["paths"].values():
        for operation in path.values():
            for status in DOCUMENTED:
                own = operation["responses"].get(str(status), {}).get("content", {})
                kept = {kind: content for kind, content in own.items() if "HTTPValidationError" not in str(content)}
                operation["responses"][str(status)] = {
                    "description": _MEANINGS[status],
                    "content": {**kept, **as_problem},
                }
    app.openapi_schema = description
    return description


_MEANINGS = {
    400: "The request cannot be read.",
    401: "A key is needed, or the one given is unknown or revoked.",
    403: "The key's scope is too narrow, the model is not allowed, or the caller is a page of another site.",
    404: "There is no such thing.",
    409: "Its state does not allow this.",
    411: "The length of the body is needed.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "A value is wrong; the body says which, and what to do.",
    429: "Too many requests, or too many comparisons wait; Retry-After says when to try again.",
    500: "A defect of the service; the request id leads to it in the logs.",
    503: "It took too long, or the service is not ready.",
    507: "No room is left on the disk of the service.",
}
