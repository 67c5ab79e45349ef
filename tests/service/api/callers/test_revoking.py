"""Streams and the keys they were opened with, with an application that streams for ever."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.api.revoking import EndsWithKey
from service.contract.scope import Scope as KeyScope
from service.store.api_keys import create_key, is_revoked, revoke_key
from tests.service.api.conftest import Api


async def nothing() -> Message:
    return {"type": "http.disconnect"}


def stream(
    is_over: Callable[[str], bool],
    *,
    until: Callable[[], bool] = lambda: False,
    principal: str | None = "key",
    path: str = "/stream",
) -> bool:
    """Whether a caller gets the end of what streams until something has happened."""
    more: list[bool] = []

    async def send(message: Message) -> None:
        more.append(message["more_body"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"principal": principal}
        while not until():
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    served = EndsWithKey(app, is_stream=lambda scope: scope["path"] == "/stream", is_revoked=is_over, every_s=0)
    asyncio.run(served({"type": "http", "path": path}, nothing, send))
    return not more[-1]


def test_a_stream_is_broken_off_with_its_key() -> None:
    assert not stream(lambda _: True)


@pytest.mark.parametrize(("principal", "path"), [(None, "/stream"), ("key", "/other")])
def test_what_has_no_key_or_is_no_stream_is_left_alone(principal: str | None, path: str) -> None:
    turns = iter(range(50))
    assert stream(lambda _: True, until=lambda: next(turns, None) is None, principal=principal, path=path)


def test_a_stream_whose_key_counts_runs_to_its_end() -> None:
    asked: list[str] = []

    def is_revoked(key: str) -> bool:
        asked.append(key)
        return False

    assert stream(is_revoked, until=lambda: len(asked) > 2)
    assert set(asked) == {"key"}


def test_a_failure_of_the_application_is_passed_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("ours")

    async def send(_: Message) -> None:
        raise AssertionError

    served = EndsWithKey(app, is_stream=lambda _: True, is_revoked=lambda _: False)
    with pytest.raises(ValueError, match="ours"):
        asyncio.run(served({"type": "http", "path": "/"}, nothing, send))


def test_a_key_is_revoked_once_it_was_revoked(api: Api) -> None:
    key, _ = create_key(api.engine, "k", [KeyScope.READ])
    assert not is_revoked(api.engine, key.id)
    assert not is_revoked(api.engine, "local")
    revoke_key(api.engine, key.id)
    assert is_revoked(api.engine, key.id)
