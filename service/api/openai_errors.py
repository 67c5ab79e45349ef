"""Failures in OpenAI's shape, for clients that read no other."""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from lm.errors import TuningForkError
from service.api.errors import Problem, as_problem, writable
from service.api.openai_shape import openai_failure
from service.contract.openai_schemas import OpenAIError

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIError} for status in (400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 507)
}
_PART = re.compile(r"[a-z_]+|\d+")
_INPUT = re.compile(r"^(Input|String|List|Value) should")
_CODES = {
    401: "invalid_api_key",
    404: "model_not_found",
    409: "model_not_ready",
    429: "rate_limit_exceeded",
    502: "endpoint_failed",
    504: "endpoint_timeout",
}


class UnsupportedError(TuningForkError):
    """A parameter asks for what is not done here.

    Attributes:
        param: Its name.
    """

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class OpenAIRoute(APIRoute):
    """A route whose failures have OpenAI's shape, those of its dependencies among them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, guarded."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, TuningForkError, RequestValidationError) as error:
                status, body = openai_error(error)
                headers = None if isinstance(error, RequestValidationError) else as_problem(error).headers
                return JSONResponse(body.model_dump(), status, headers)

        return guarded


def _likeliest(errors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is wrong, of all that a validator says of the first field: of several kinds a value may be of, that which it
    comes nearest to."""
    field = errors[0]["loc"][:2]
    of_field = [one for one in errors if one["loc"][:2] == field]
    return max(of_field, key=lambda one: (not one["type"].endswith("_type"), len(one["loc"])))


def openai_error(error: Exception) -> tuple[int, OpenAIError]:
    """Status and body of a failure."""
    code: str | None
    param: str | None
    if isinstance(error, UnsupportedError):
        status, code, message, param = 400, "unsupported_parameter", str(error), error.param
    elif isinstance(error, Problem | TuningForkError):
        problem = as_problem(error)
        # 409 would have OpenAI's client try again and again, and nothing would change by itself.
        status = 400 if problem.status in (409, 422) else problem.status
        code = _CODES.get(problem.status)
        message, param = problem.detail, None
    else:
        assert isinstance(error, RequestValidationError)
        first = _likeliest(error.errors())
        # Of a value that may be of several kinds the validator names the kind as well.
        where = [str(part) for part in first["loc"] if part != "body" and _PART.fullmatch(str(part))]
        status, code = 400, "invalid_value"
        param = ".".join(where) or None
        message = f"{param or 'the body'}: {_INPUT.sub('it must', first['msg'])}"
    return status, openai_failure(status, writable(message), code=code, param=writable(param) if param else None)
