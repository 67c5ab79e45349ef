"""What becomes of streams whose key is revoked while they run: they end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

LOOK_AGAIN_S = 2.0
_looking = ThreadPoolExecutor(2, thread_name_prefix="revoking")


class EndsWithKey:
    """Looks again and again whether the key of a stream still counts, and breaks the stream off where it does not.

    Args:
        is_revoked: Whether the key of an id was revoked.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_stream: Callable[[Scope], bool],
        is_revoked: Callable[[str], bool],
        every_s: float = LOOK_AGAIN_S,
    ) -> None:
        self._app = app
        self._is_stream = is_stream
        self._is_revoked = is_revoked
        self._every_s = every_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, for as long as its key counts."""
        if scope["type"] != "http" or not self._is_stream(scope):
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            while not (await asyncio.wait({serving}, timeout=self._every_s))[0]:
                key_id = scope.get("state", {}).get("principal")
                if key_id is not None and await loop.run_in_executor(_looking, self._is_revoked, key_id):
                    # Unfinished, so that its caller does not take it for the whole.
                    return
            await serving
        finally:
            serving.cancel()
