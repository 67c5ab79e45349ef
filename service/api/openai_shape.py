"""OpenAI's shape of a failure, and the addresses whose callers read no other."""

import re

from service.contract.openai_schemas import OpenAIError, OpenAIErrorBody

_ADDRESSES = re.compile(r"/v1/(chat/completions|models(/(?!try$).*)?)", re.DOTALL)
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def speaks_openai(path: str) -> bool:
    """Whether an address is one of OpenAI's."""
    return _ADDRESSES.fullmatch(path) is not None


def openai_failure(status: int, message: str, *, code: str | None = None, param: str | None = None) -> OpenAIError:
    """The body of a failure."""
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return OpenAIError(error=OpenAIErrorBody(message=message, type=kind, param=param, code=code))
