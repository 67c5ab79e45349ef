"""How connections are read before any request is known: small heads, in time, and not too many at once."""

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD_BYTES = 64 * 1024
"""Of request line and headers; more is answered with 400."""

HEAD_S = 10.0
"""For the head of a request to arrive whole."""

MAX_CONNECTIONS = 448
"""At once; for each further one the oldest is closed on which no whole request has arrived. Fewer than the API answers
requests at once, so that whoever sends none leaves room for them; a process may have 1,024 files open by default."""


NEW_S = 1.0
"""For whoever has just connected to begin to send."""


class ImpatientProtocol(H11Protocol):
    """Closes a connection on which the head of a request does not arrive in time, or that is in the way of others."""

    head_s = HEAD_S
    max_connections = MAX_CONNECTIONS
    _giving_up: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection was opened, on which a request is due."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self.max_connections:
            self._make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """More of a request arrived."""
        super().handle_events()
        self._await_head()

    def on_response_complete(self) -> None:
        """A request was answered, and another one is due."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        now = self.loop.time()
        unsent = [one for one in self.connections if isinstance(one, ImpatientProtocol) and one._place(now) is not None]
        if unsent:
            min(unsent, key=lambda one: (one._place(now), one._since)).transport.abort()

    def _place(self, now: float) -> int | None:
        """Among those that may be closed: who has sent no head, then no whole body, then who came just now."""
        place = {h11.IDLE: 0, h11.SEND_BODY: 1}.get(self.conn.their_state)
        return 2 if place is not None and now - self._since < NEW_S else place

    def _await_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._giving_up is None:
            self._giving_up = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


def server_config(app: Any, *, grace_s: int, protocol: type[ImpatientProtocol] = ImpatientProtocol) -> uvicorn.Config:
    """How the API is served.

    Args:
        grace_s: For requests in progress when the service is told to stop.
    """
    return uvicorn.Config(
        app,
        http=protocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        # None of the routes is one; what asks for one is answered as if it did not.
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
    )
