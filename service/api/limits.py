"""What is refused before a request is read: too many at once, bodies too large or too deep, what takes too long."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import failure_response
from service.api.sending import Sending
from service.safety.json_depth import MAX_JSON_DEPTH, is_too_deep

BODY_S = 60.0
"""For a body that is no upload to arrive, whoever sends it: keys are looked at when it is there."""

MAX_REQUESTS = 512
MAX_REQUESTS_EACH = 128
"""Streams and waits count as long as they last."""

_HEALTH = frozenset({"/healthz", "/readyz"})


class BodyTooLargeError(Exception):
    """More came than is taken."""


class RequestsAtOnce:
    """Refuses what comes while too much is under way: of one key with 429, in all with 503. Health is always told.

    Args:
        most: In all. most_each: with the same key, and of all who send none.
    """

    def __init__(self, app: ASGIApp, *, most: int = MAX_REQUESTS, most_each: int = MAX_REQUESTS_EACH) -> None:
        self._app = app
        self._most = most
        self._most_each = most_each
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        key = request.headers.get("authorization", "")
        if self._under_way.total() >= self._most:
            await self._refuse(request, receive, send, 503, f"the service answers {self._most} requests at once")
            return
        if self._under_way[key] >= self._most_each:
            what = f"{self._most_each} requests of this key are under way, and so many may be"
            await self._refuse(request, receive, send, 429, what)
            return
        self._under_way[key] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    async def _refuse(self, request: Request, receive: Receive, send: Send, status: int, what: str) -> None:
        # Its body is not read, so that the connection cannot be used again.
        headers = {"Connection": "close", "Retry-After": "1"}
        detail = f"{what}; try again in a moment"
        response = failure_response(request, status, "Too many requests at once", detail, headers=headers)
        await response(request.scope, receive, send)


class BodyLimits:
    """Counts what comes in. Uploads pass on as a stream; other bodies are read whole, since JSON must be anyway."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: Callable[[Scope], int],
        is_upload: Callable[[Scope], bool],
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._body_s = body_s
        self._max_bytes = max_bytes
        self._is_upload = is_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        is_upload = self._is_upload(scope)
        limit = self._max_bytes(scope)
        announced = request.headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,15}", announced) or int(announced) > limit:
            await self._refuse(request, receive, send, limit)
            return
        sending = Sending(send)
        try:
            counted = _counted(receive, limit)
            if not is_upload:
                try:
                    async with asyncio.timeout(self._body_s):
                        body = await _read_whole(counted)
                except TimeoutError:
                    await self._give_up(request, receive, send)
                    return
                if is_too_deep(body):
                    detail = f"the body is nested more than {MAX_JSON_DEPTH} deep; flatten it"
                    response = failure_response(request, 400, "Nested too deeply", detail)
                    await response(scope, receive, send)
                    return
                counted = _replayed(body, receive)
            await self._app(scope, counted, sending)
        except BodyTooLargeError:
            if sending.has_begun:
                raise
            await self._refuse(request, receive, send, limit)

    async def _give_up(self, request: Request, receive: Receive, send: Send) -> None:
        detail = f"the body did not arrive within {self._body_s:g} s; send it at once"
        headers = {"Connection": "close", "Retry-After": "10"}
        response = failure_response(request, 503, "Took too long", detail, headers=headers)
        await response(request.scope, receive, send)

    async def _refuse(self, request: Request, receive: Receive, send: Send, limit: int) -> None:
        detail = f"the body may have {limit} bytes at most here; send less, such as answers without passages"
        # The rest of the body is not read, so that the connection cannot be used again.
        headers = {"Connection": "close"}
        response = failure_response(request, 413, "Body too large", detail, headers=headers)
        await response(request.scope, receive, send)


class Deadline:
    """Answers 503 where a handler takes too long. Handlers in threads run on to their end, which cannot be helped."""

    def __init__(self, app: ASGIApp, *, seconds: float, is_unlimited: Callable[[Scope], bool]) -> None:
        self._app = app
        self._seconds = seconds
        self._is_unlimited = is_unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in time, or give up on it."""
        if scope["type"] != "http" or self._is_unlimited(scope):
            await self._app(scope, receive, send)
            return
        sending = Sending(send)
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, sending)
        except TimeoutError:
            if sending.has_begun:
                raise
            request = Request(scope)
            detail = f"this took longer than {self._seconds:g} s and was given up; try again, or ask for less at a time"
            headers = {"Retry-After": "10"}
            response = failure_response(request, 503, "Took too long", detail, headers=headers)
            await response(scope, receive, send)


def _counted(receive: Receive, limit: int) -> Receive:
    n_bytes = 0

    async def receive_counted() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > limit:
            raise BodyTooLargeError
        return message

    return receive_counted


async def _read_whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    was_given = False

    async def receive_replayed() -> Message:
        nonlocal was_given
        if was_given:
            return await receive()
        was_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_replayed
