"""What is refused before a request is read: too many at once, bodies too large or too deep, what takes too long."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import Problem, failure_response
from service.api.sending import Sending
from service.safety.json_depth import MAX_JSON_DEPTH, MAX_JSON_VALUES, has_too_many_values, is_too_deep

BODY_S = 60.0
"""For a body that is no upload to arrive."""

UNKNOWN_BYTES = 64 * 1024
"""That is read from anyone; a larger body only from who has a key, or needs none."""

MAX_REQUESTS = 512
MAX_REQUESTS_EACH = 128
"""Streams and waits count as long as they last."""

AT_WORK_EACH = 2
"""Requests of one key; those of all share one interpreter."""

PIECE_BYTES = 256 * 1024

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
        key = _key(scope)
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


class Turns:
    """Lets so many requests of one key be worked on at once: the others wait, and nobody else waits for them.

    Args:
        is_exempt: Whether a request needs no turn.
    """

    def __init__(self, app: ASGIApp, *, is_exempt: Callable[[Scope], bool], most_each: int = AT_WORK_EACH) -> None:
        self._app = app
        self._is_exempt = is_exempt
        self._most_each = most_each
        # A semaphore belongs to the event loop that it is awaited in.
        self._turns: WeakValueDictionary[tuple[object, str], asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, when its turn comes."""
        if scope["type"] != "http" or scope["path"] in _HEALTH or self._is_exempt(scope):
            await self._app(scope, receive, send)
            return
        whose = (asyncio.get_running_loop(), _key(scope))
        if (turn := self._turns.get(whose)) is None:
            turn = self._turns[whose] = asyncio.Semaphore(self._most_each)
        async with turn:
            await self._app(scope, receive, send)


class InPieces:
    """Sends large replies piece by piece: a reader who takes none keeps a request waiting, not a copy in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_pieces(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or len(body) <= PIECE_BYTES:
                await send(message)
                return
            rest = memoryview(body)
            while len(rest) > PIECE_BYTES:
                # The server waits before a piece until what was sent before it has been taken.
                await send({"type": "http.response.body", "body": bytes(rest[:PIECE_BYTES]), "more_body": True})
                rest = rest[PIECE_BYTES:]
            await send({**message, "body": bytes(rest)})

        await self._app(scope, receive, send_pieces)


class BodyLimits:
    """Counts what comes in. Uploads pass on as a stream; other bodies are read whole, since JSON must be anyway.

    Args:
        refusal: Why nothing is read of who sends a request; None where it is. Asked only for larger bodies.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: Callable[[Scope], int],
        is_upload: Callable[[Scope], bool],
        refusal: Callable[[Request], Awaitable[Problem | None]],
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._body_s = body_s
        self._max_bytes = max_bytes
        self._is_upload = is_upload
        self._refusal = refusal

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
            await self._refuse(request, receive, send, f"have {limit} bytes")
            return
        if not is_small(scope) and (problem := await self._refusal(request)) is not None:
            headers = {**problem.headers, "Connection": "close"}
            response = failure_response(request, problem.status, problem.title, problem.detail, headers=headers)
            await response(scope, receive, send)
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
                if has_too_many_values(body):
                    await self._refuse(request, receive, send, f"hold {MAX_JSON_VALUES} values")
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
            await self._refuse(request, receive, send, f"have {limit} bytes")

    async def _give_up(self, request: Request, receive: Receive, send: Send) -> None:
        detail = f"the body did not arrive within {self._body_s:g} s; send it at once"
        headers = {"Connection": "close", "Retry-After": "10"}
        response = failure_response(request, 503, "Took too long", detail, headers=headers)
        await response(request.scope, receive, send)

    async def _refuse(self, request: Request, receive: Receive, send: Send, limit: str) -> None:
        detail = f"the body may {limit} at most here; send less, such as answers without passages"
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


def is_small(scope: Scope) -> bool:
    """Whether the body of a request is told to be small."""
    headers = Request(scope).headers
    return "transfer-encoding" not in headers and headers.get("content-length", "0").zfill(15) <= f"{UNKNOWN_BYTES:015}"


def _key(scope: Scope) -> str:
    return Request(scope).headers.get("authorization", "")


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
