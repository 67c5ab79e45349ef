"""Every failure as problem details (RFC 9457): what failed and what to do, never a traceback."""

import errno
import http
import math
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.exceptions import HTTPException

from advisor.data.files import Problem as FileProblem
from lm.errors import ErrorKind, TuningForkError
from lm.files import is_disk_failure
from service.api.openai_shape import openai_failure, speaks_openai
from service.contract.schemas import DatasetProblem, FieldError, ProblemDetails
from service.safety.prepare import UnfitUploadError

PROBLEM_MEDIA_TYPE = "application/problem+json"
DOCUMENTED = (400, 401, 403, 404, 409, 411, 413, 415, 422, 429, 500, 503, 507)
MAX_ERRORS = 50


class Problem(Exception):  # noqa: N818 - what RFC 9457 calls it
    """A request that cannot be served.

    Args:
        title: The kind of problem, the same for all of a kind.
        detail: What failed and what to do.
        retry_after_s: When to try again, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        retry_after_s: float | None = None,
        problems: Sequence[FileProblem] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
        self.problems = tuple(problems)


def not_found(what: str, name: str) -> Problem:
    """404: there is no such thing."""
    return Problem(
        404, f"No such {what}", f"there is no {what} {name!r}; list the available names and check the spelling"
    )


def add_error_handlers(app: FastAPI) -> None:
    """Turn every exception of a handler into problem details."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(TuningForkError, _problem)
    app.add_exception_handler(OSError, _storage_error)
    app.add_exception_handler(SQLAlchemyError, _storage_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def failure_response(
    request: Request,
    status: int,
    title: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    problems: Sequence[FileProblem] = (),
) -> Response:
    """The response that carries a failure in the shape that callers of the address read: a problem, or OpenAI's."""
    if speaks_openai(request.scope["path"]):
        failure = openai_failure(status, writable(detail), code=_slug(title).replace("-", "_"))
        return Response(failure.model_dump_json(), status, headers=headers, media_type="application/json")
    problem = ProblemDetails(
        type=problem_type(title),
        title=title,
        status=status,
        detail=writable(detail),
        request_id=request_id_of(request),
        errors=list(errors),
        problems=[DatasetProblem(file=writable(p.file), line=p.line, message=writable(p.message)) for p in problems],
    )
    return Response(problem.model_dump_json(), status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def problem_type(title: str) -> str:
    """The name of a kind of problem for programs."""
    return f"urn:tuning-fork:problem:{_slug(title)}"


def _slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")


def writable(text: str) -> str:
    """Text that UTF-8 can hold: half characters a caller sent are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def request_id_of(request: Request) -> str:
    """The id under which a request is logged."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def as_problem(error: Problem | TuningForkError) -> Problem:
    """A failure as the API tells it."""
    if isinstance(error, Problem):
        return error
    problems = error.problems if isinstance(error, UnfitUploadError) else ()
    status = _STATUSES[error.kind]
    return Problem(status, error.title, str(error), retry_after_s=error.retry_after_s, problems=problems)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem | TuningForkError)
    told = as_problem(error)
    return failure_response(request, told.status, told.title, told.detail, headers=told.headers, problems=told.problems)


async def _storage_error(request: Request, error: Exception) -> Response:
    """Full disks and busy databases are nobody's defect; anything else is."""
    text = str(error)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in text:
        detail = "the disk of the service is full; free some space, then try again"
        return failure_response(request, 507, "No room left", detail)
    if is_disk_failure(error) or "disk I/O error" in text:
        detail = "the disk of the service cannot be read or written; the operator looks at the disk, then try again"
        return failure_response(request, 503, "Disk failure", detail, headers={"Retry-After": "60"})
    if isinstance(error, OperationalError):
        detail = "the database is busy or does not answer; try again"
        headers = {"Retry-After": "5"}
        return failure_response(request, 503, "Database not available", detail, headers=headers)
    raise error


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_field_error(one) for one in error.errors()[:MAX_ERRORS]]
    detail = "; ".join(f"{one.where}: {one.message}" for one in found[:3])
    more = len(error.errors()) - 3
    detail = f"{detail}; and {more} more, see errors" if more > 0 else detail
    return failure_response(request, 422, "Invalid request", detail, errors=found)


def _field_error(error: dict[str, Any]) -> FieldError:
    where = ".".join(str(part) for part in error["loc"])
    message = "is unknown; remove it" if error["type"] == "extra_forbidden" else error["msg"]
    if error["loc"][-1:] == ("trust_remote_code",):
        message = "code that comes with a model is never run for a caller of the API; remove it"
    return FieldError(where=writable(where)[:300], message=writable(message)[:500])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = http.HTTPStatus(error.status_code).phrase
    detail = error.detail if error.detail != title else _REMEDIES.get(error.status_code, title)
    headers = dict(error.headers) if error.headers else None
    return failure_response(request, error.status_code, title, detail, headers=headers)


_STATUSES = {
    ErrorKind.INVALID: 422,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_MANY: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.UPSTREAM_FAILED: 502,
    ErrorKind.UPSTREAM_TIMED_OUT: 504,
}

_REMEDIES = {
    404: "there is no such address; GET /openapi.json lists all of them",
    405: "this address does not support that method; the header Allow lists those it does",
}
