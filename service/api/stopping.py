"""What becomes of requests when the service is told to stop: streams of events end, what cannot end is told so."""

import asyncio
import threading

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import failure_response
from service.api.sending import Sending

_RETRY_AFTER_S = 10


class EndsWithService:
    """Takes the end of a request for what it is when the server gives up waiting for it, and not for a defect.

    Args:
        stopping: Set once the service was told to stop.
    """

    def __init__(self, app: ASGIApp, stopping: threading.Event) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, for as long as there is a service."""
        sending = Sending(send)
        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if not self._stopping.is_set() or scope["type"] != "http":
                raise
            # What has begun stays unfinished, so that its caller does not take it for the whole.
            if not sending.has_begun:
                detail = "the service is being stopped; ask again when it is back"
                headers = {"Retry-After": str(_RETRY_AFTER_S)}
                response = failure_response(Request(scope), 503, "Not answered in time", detail, headers=headers)
                await response(scope, receive, send)
