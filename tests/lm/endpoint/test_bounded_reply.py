"""Endpoints that misbehave, behind the client that all endpoints are asked with."""

import gzip
from collections.abc import Iterator, Sequence

import httpx2
import pytest

from lm.endpoint import bounded_reply
from lm.endpoint.bounded_reply import MASKED_KEY, bound_replies

KEY = "sk-secret-aab"


class Parts(httpx2.SyncByteStream):
    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts


def ask(*parts: bytes, key: str | None = KEY, reply_s: float = 60.0, encoding: str | None = None) -> bytes:
    """What is read of a reply that comes in parts."""
    headers = {"Content-Encoding": encoding} if encoding else {}
    asked: list[str] = []

    def endpoint(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers["Accept-Encoding"])
        return httpx2.Response(200, headers=headers, stream=Parts(parts))

    with httpx2.Client(transport=httpx2.MockTransport(endpoint)) as client:
        bound_replies(client, key, reply_s=reply_s)
        content = client.get("https://host/v1").content
    assert asked == ["identity"]
    return content


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "text", [f"{KEY}", f"a {KEY}{KEY} z", f"sk-sk-{KEY}", "sk-secret-aa", f"aab{KEY[:5]}", f"{KEY[:-1]}{KEY}"]
)
def test_the_key_is_in_no_reply_however_it_is_cut(text: str, size: int) -> None:
    parts = [text.encode()[i : i + size] for i in range(0, len(text), size)]
    assert ask(*parts) == text.replace(KEY, MASKED_KEY).encode()


def test_a_reply_without_a_key_passes_as_it_is() -> None:
    assert ask(b"one ", b"two", key=None) == b"one two"
    assert ask() == b""


def test_a_reply_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_reply, "MAX_REPLY_BYTES", 10)
    assert ask(b"x" * 10) == b"x" * 10
    with pytest.raises(httpx2.ReadError, match="more than"):
        ask(*[b"x"] * 11)


@pytest.mark.parametrize(
    ("asked", "is_short"),
    [
        ({"max_tokens": 64}, True),
        ({"max_completion_tokens": 64}, True),
        ({"max_tokens": 10**9}, False),
        ({"max_tokens": 1, "logprobs": True}, False),
        ({"input": ["text"]}, False),
        ([1], False),
        (None, False),
    ],
)
def test_a_reply_that_was_asked_to_be_short_may_be_no_longer_than_that_could_be(asked: object, is_short: bool) -> None:
    part = b"x" * 2**20
    with httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Parts([part] * 2)))
    ) as client:
        bound_replies(client, KEY)
        if not is_short:
            assert client.post("https://host/v1", json=asked).content == part * 2
            return
        with pytest.raises(httpx2.ReadError, match=r"more than 1\.1 MB"):
            client.post("https://host/v1", json=asked)


def test_a_reply_that_trickles_ends_with_its_time() -> None:
    with pytest.raises(httpx2.ReadTimeout, match="not complete"):
        ask(b"x", b"y", reply_s=-1)


def test_a_compressed_reply_is_not_unpacked() -> None:
    with pytest.raises(httpx2.DecodingError, match="not asked for"):
        ask(gzip.compress(b"0" * 10_000_000), encoding="gzip")
