"""How replies of providers become ours: what failed for certain, what may have been done, and when to ask again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from finetune.hosted.provider import BusyError, HostedTuningError, UnsureError


@contextmanager
def told_by(provider: str, what: str) -> Iterator[None]:
    """Turn what `openai` or `httpx2` raises into our errors.

    A rate limit means that nothing was done. A lost connection, a timeout or a fault of the server leave it open.
    """
    try:
        yield
    except openai.RateLimitError as error:
        if error.code == "insufficient_quota":
            raise HostedTuningError(
                f"{provider}: {what} was refused: {error.message}; see to the account's credit"
            ) from error
        raise BusyError(f"{provider}: {what} must wait: {error.message}", _retry_after(error.response)) from error
    except openai.APIStatusError as error:
        raise _of_status(provider, what, error.status_code, error.message) from error
    except openai.APIConnectionError as error:
        raise UnsureError(f"{provider}: no reply to {what} ({error})") from error
    except httpx2.HTTPStatusError as error:
        reply = error.response
        if reply.status_code == 429:
            raise BusyError(f"{provider}: {what} must wait", _retry_after(reply)) from error
        raise _of_status(provider, what, reply.status_code, _message(reply)) from error
    except httpx2.RequestError as error:
        raise UnsureError(f"{provider}: no reply to {what} ({error})") from error


def is_gone(error: HostedTuningError) -> bool:
    """Whether what was asked for is not there."""
    cause = error.__cause__
    status = getattr(cause, "status_code", None) or getattr(getattr(cause, "response", None), "status_code", None)
    return status == 404


@contextmanager
def unless_gone() -> Iterator[None]:
    """Take it for done where what was to be deleted is not there any more."""
    try:
        yield
    except HostedTuningError as error:
        if not is_gone(error):
            raise


def _of_status(provider: str, what: str, status: int, message: str) -> HostedTuningError:
    if status >= 500 or status in (408, 409):
        return UnsureError(f"{provider}: {what} failed with status {status}: {message}")
    if status in (401, 403):
        return HostedTuningError(
            f"{provider}: {what} is not allowed ({status}): {message}; check the key, and whether the account may tune"
        )
    return HostedTuningError(f"{provider}: {what} was refused ({status}): {message}")


def _message(reply: httpx2.Response) -> str:
    try:
        body: Any = reply.json()
    except ValueError:
        return reply.text[:300]
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message", error) if isinstance(error, dict) else error)[:300]


def _retry_after(reply: httpx2.Response) -> float | None:
    try:
        return max(0.0, float(reply.headers.get("retry-after", "")))
    except ValueError:
        return None
