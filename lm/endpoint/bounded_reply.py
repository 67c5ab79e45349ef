"""Replies of endpoints within bounds: an endpoint may trickle, send without end, send a bomb, or echo the key."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import httpx2
import openai

MAX_REPLY_BYTES = 16 * 2**20
"""Of one reply. An answer of 100,000 tokens has about 0.5 MB, and more where log-probabilities are sent along."""

ROOM_BYTES = 2**20
TOKEN_BYTES = 2**10
"""Of a reply that was asked to be so long: a stream takes some 300 bytes a token, and reasoning may be longer."""

REPLY_S = 600.0
"""For one reply from its first byte to its last, however often a byte arrives."""

MASKED_KEY = "[key]"


class UsualClient(openai.DefaultHttpxClient):
    """As the client library makes one where it is given none: closed with the model that asks through it."""

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def bound_replies(client: httpx2.Client, key: str | None, *, reply_s: float = REPLY_S) -> None:
    """Let a client ask for uncompressed replies, and read each within time and size and without the key in it."""
    hooks = client.event_hooks
    hooks["request"] = [*hooks["request"], _ask_for_plain]
    hooks["response"] = [*hooks["response"], partial(_bound, key=key, reply_s=reply_s)]
    client.event_hooks = hooks


def _ask_for_plain(request: httpx2.Request) -> None:
    request.headers["Accept-Encoding"] = "identity"


def _bound(response: httpx2.Response, *, key: str | None, reply_s: float) -> None:
    # A few bytes may unpack to any number.
    if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
        raise httpx2.DecodingError(f"the reply is compressed ({encoding[:20]}), which was not asked for")
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _BoundedStream(response.stream, (key or "").encode(), reply_s, _most_bytes(response.request))


def _most_bytes(request: httpx2.Request) -> int:
    """What a reply may have; less where it was asked to be short."""
    with suppress(ValueError, httpx2.RequestNotRead):
        asked = json.loads(request.content)
        if isinstance(asked, dict) and not asked.get("logprobs"):
            n_tokens = asked.get("max_tokens") or asked.get("max_completion_tokens")
            if isinstance(n_tokens, int):
                return min(MAX_REPLY_BYTES, ROOM_BYTES + TOKEN_BYTES * n_tokens)
    return MAX_REPLY_BYTES


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, key: bytes, reply_s: float, most_bytes: int) -> None:
        self._inner, self._key, self._reply_s, self._most_bytes = inner, key, reply_s, most_bytes

    def __iter__(self) -> Iterator[bytes]:
        deadline = time.monotonic() + self._reply_s
        n_bytes, held = 0, b""
        for part in self._inner:
            n_bytes += len(part)
            if n_bytes > self._most_bytes:
                raise httpx2.ReadError(f"the reply has more than {self._most_bytes / 2**20:.1f} MB")
            if time.monotonic() > deadline:
                raise httpx2.ReadTimeout(f"the reply was not complete after {self._reply_s:g} s")
            held = self._masked(held + part)
            # What may be the beginning of the key waits for what follows.
            n_kept = self._n_begun(held)
            if ready := held[: len(held) - n_kept]:
                yield ready
            held = held[len(held) - n_kept :]
        if held:
            yield held

    def close(self) -> None:
        self._inner.close()

    def _masked(self, data: bytes) -> bytes:
        return data.replace(self._key, MASKED_KEY.encode()) if self._key else data

    def _n_begun(self, data: bytes) -> int:
        """Bytes at the end with which the key begins."""
        longest = min(len(self._key) - 1, len(data))
        return next((n for n in range(longest, 0, -1) if data.endswith(self._key[:n])), 0)
