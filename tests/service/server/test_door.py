"""The door of the web UI, before an application that lets everybody in."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.server.door import Door

TOKEN = "right"
HERE = "http://127.0.0.1:8501"
STREAM = "ws://127.0.0.1:8501/_stcore/stream"


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.url.query))


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("open")
    await socket.close()


def visitor(token: str | None = TOKEN, *, published: tuple[str, ...] = (), base_url: str = HERE) -> TestClient:
    routes = [Route("/{path:path}", page), WebSocketRoute("/{path:path}", stream)]
    door = Door(Starlette(routes=routes), published=frozenset(published), token=token, port=8501)
    return TestClient(door, base_url=base_url)


def test_the_printed_address_lets_a_browser_in_and_leaves_no_token_in_it() -> None:
    browser = visitor()
    assert browser.get("/decision").status_code == 403
    let_in = browser.get("/decision", params={"token": TOKEN, "comparison": "a b"}, follow_redirects=False)
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/decision?comparison=a+b")
    assert "HttpOnly" in let_in.headers["set-cookie"]
    assert browser.get("/decision").status_code == 200
    with browser.websocket_connect(STREAM, headers={"Origin": HERE}) as socket:
        assert socket.receive_text() == "open"


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=%00", "token=\u00e9", "x=right"])
def test_a_wrong_token_opens_nothing(query: str) -> None:
    refused = visitor().get(f"/?{query}")
    assert refused.status_code == 403
    assert "address with its token" in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("cookie", ["tuning_fork_8501=wrong", "tuning_fork_8502=right", "=;,", "tuning_fork_8501"])
def test_a_wrong_cookie_opens_nothing(cookie: str) -> None:
    assert visitor().get("/", headers={"Cookie": cookie}).status_code == 403


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\\\evil.example"])
def test_the_redirect_of_the_token_stays_here(path: str) -> None:
    let_in = visitor().get(f"{HERE}{path}?token={TOKEN}", follow_redirects=False)
    assert let_in.headers["location"].startswith("/")
    assert not let_in.headers["location"].startswith(("//", "/\\"))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8501", "[::1]evil", "", "localhost:x"])
def test_foreign_hosts_are_refused_even_with_the_token(host: str) -> None:
    refused = visitor().get("/", params={"token": TOKEN}, headers={"Host": host})
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "http://evil.example:8501"])
def test_foreign_origins_reach_neither_page_nor_websocket(origin: str) -> None:
    browser = visitor()
    browser.get("/", params={"token": TOKEN})
    assert browser.get("/", headers={"Origin": origin}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect(STREAM, headers={"Origin": origin}),
    ):
        pass


def test_a_websocket_without_the_token_is_refused() -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        visitor().websocket_connect(STREAM, headers={"Origin": HERE}),
    ):
        pass


def test_a_published_name_is_served_without_a_token_and_others_are_not() -> None:
    browser = visitor(None, published=("forks.example.org",), base_url="https://forks.example.org")
    assert browser.get("/", headers={"Origin": "https://forks.example.org"}).status_code == 200
    # A proxy that puts its own name for us in place of the one that the browser knows.
    behind = {"Host": "127.0.0.1:8501", "Origin": "https://forks.example.org"}
    assert browser.get("/", headers=behind).status_code == 200
    assert browser.get("/", headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_no_page_of_another_site_may_frame_it() -> None:
    for reply in (visitor().get("/"), visitor(None).get("/")):
        assert reply.headers["x-frame-options"] == "SAMEORIGIN"
        assert reply.headers["content-security-policy"] == "frame-ancestors 'self'"


def test_whether_it_is_alive_can_be_asked_without_a_token() -> None:
    assert visitor().get("/_stcore/health").status_code == 200
