"""Who may open the web UI: it acts with the rights of who started it, so not every page or user of the machine."""

import hmac
from collections.abc import Set
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.safety.web_origin import LOCAL_NAMES, host_name, is_foreign_origin

TOKEN = "token"
_ALIVE = "/_stcore/health"
_REFUSAL = """<!doctype html><meta charset="utf-8"><title>Tuning Fork</title>
<style>body{font:1.1rem/1.5 system-ui;margin:4rem auto;max-width:36rem;padding:0 1rem}</style>
<h1>%s</h1><p>%s</p>"""


class Door:
    """ASGI middleware: refuses foreign hosts and origins, asks for the token of this start, forbids framing.

    Args:
        published: Names by which a proxy serves the web UI, besides those of this machine.
        token: What the first address must hold; a cookie keeps it for the browser. None where visitors bring keys of
            their own.
        port: Part of the cookie's name, since browsers share cookies between the ports of a host.
    """

    def __init__(self, app: ASGIApp, *, published: Set[str], token: str | None, port: int) -> None:
        self._app = app
        self._published = published
        self._token = token
        self._cookie = f"tuning_fork_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request or WebSocket on, or refuse it with 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_name(host) not in LOCAL_NAMES | self._published:
            what = "This address is not served"
            await _refuse(scope, receive, send, what, "Open the address that Tuning Fork printed when it started.")
        elif is_foreign_origin(headers.get("origin"), host, self._published):
            await _refuse(scope, receive, send, "Another site asked", "Pages of other sites may not use this one.")
        elif self._token is None or scope["path"] == _ALIVE or self._knows(HTTPConnection(scope)):
            await self._app(scope, receive, _hardened(send))
        elif scope["type"] == "http" and (response := self._let_in(scope)) is not None:
            await response(scope, receive, _hardened(send))
        else:
            remedy = "Open the address with its token, as Tuning Fork printed it; each start has its own."
            await _refuse(scope, receive, send, "The token of this start is needed", remedy)

    def _knows(self, connection: HTTPConnection) -> bool:
        try:
            held = SimpleCookie(connection.headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return held is not None and self._is_token(held.value)

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def _let_in(self, scope: Scope) -> RedirectResponse | None:
        """A redirect to the same address without the token, which then is in a cookie and in no history."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == TOKEN and self._is_token(value) for name, value in query):
            return None
        rest = urlencode([(name, value) for name, value in query if name != TOKEN])
        # Relative, and never beginning with two slashes, which would lead to another host.
        path = "/" + scope["path"].lstrip("/")
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303, headers={"Cache-Control": "no-store"})
        response.set_cookie(self._cookie, str(self._token), httponly=True, samesite="lax")
        return response


async def _refuse(scope: Scope, receive: Receive, send: Send, what: str, remedy: str) -> None:
    if scope["type"] == "websocket":
        # Before it was accepted: the server answers 403.
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await HTMLResponse(_REFUSAL % (what, remedy), 403, headers={"Cache-Control": "no-store"})(
        scope, receive, _hardened(send)
    )


def _hardened(send: Send) -> Send:
    async def send_hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "SAMEORIGIN"
            headers["Content-Security-Policy"] = "frame-ancestors 'self'"
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
        await send(message)

    return send_hardened
