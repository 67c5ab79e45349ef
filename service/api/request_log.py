"""One structured line a request, its id, and the answer to what nobody expected."""

import logging
import re
import secrets
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import failure_response
from service.api.metrics import Metrics

LOGGER = logging.getLogger("tuning_fork.api")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Names each request, counts and logs it, and turns a defect of ours into a 500 that carries the name.

    Neither the query nor headers are logged: secrets may be in them.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Request(scope).headers.get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        started = time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        error: Exception | None = None
        try:
            await self._app(scope, receive, send_named)
        except Exception as defect:
            error = defect
            if status == 0:
                detail = f"internal error; see the logs of the service for the request id {request_id}"
                response = failure_response(Request(scope), 500, "Internal error", detail)
                await response(scope, receive, send_named)
        finally:
            self._tell(scope, request_id, status, time.perf_counter() - started, error)

    def _tell(self, scope: Scope, request_id: str, status: int, took_s: float, error: Exception | None) -> None:
        # The template, not the path: what a caller types must not make a new row of metrics each time.
        route = getattr(scope.get("route"), "path", None) or "unknown"
        self._metrics.count_request(scope["method"], route, status, took_s)
        fields = {
            "request_id": request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "took_s": round(took_s, 4),
            "client": scope["client"][0] if scope.get("client") else None,
            "principal": scope.get("state", {}).get("principal"),
        }
        # In the address, or told by the route that made it.
        told = scope.get("state", {}).get("comparison_id")
        if comparison_id := scope.get("path_params", {}).get("comparison_id") or told:
            fields["comparison_id"] = comparison_id
        if error is not None:
            LOGGER.error("request failed", exc_info=error, extra={"fields": fields})
        else:
            LOGGER.info("request", extra={"fields": fields})
