import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from service.api.limits import PIECE_BYTES, BodyLimits, Deadline, InPieces, RequestsAtOnce, Turns
from service.contract.scope import Scope
from tests.service.api.conftest import FILES, Api


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/keys"),
        ("POST", "/v1/comparisons"),
        ("POST", "/v1/advise"),
        ("PUT", "/v1/deployments/x"),
        ("DELETE", "/v1/datasets/x"),
        ("GET", "/v1/datasets"),
        ("POST", "/nowhere"),
        ("GET", "/healthz"),
    ],
)
def test_a_large_body_is_refused_everywhere(api: Api, method: str, path: str) -> None:
    n_bytes = 200_001 if path == "/v1/comparisons" else 100_001
    response = api.client().request(method, path, content=b"x" * n_bytes)
    assert (response.status_code, response.json()["title"]) == (413, "Body too large")


def test_a_large_body_without_a_length_is_refused_as_it_comes(api: Api) -> None:
    given: list[int] = []

    def parts() -> Iterator[bytes]:
        for i in range(1000):
            given.append(i)
            yield b"x" * 10_000

    response = api.client().post("/v1/keys", content=parts(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


def test_an_upload_may_be_larger_than_other_bodies_but_not_endless(api: Api) -> None:
    files = [("files", (name, content)) for name, content in FILES.items()]
    padded = [*files, ("files", ("README.md", b"x" * 200_000))]
    assert api.client().post("/v1/datasets", files=padded).status_code == 201
    too_large = [*files, ("files", ("README.md", b"x" * 1_000_000))]
    response = api.client().post("/v1/datasets", files=too_large)
    assert (response.status_code, response.json()["title"]) == (413, "Body too large")


def test_an_endless_upload_is_not_spooled(api: Api) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n'
    read = [0]

    def parts() -> Iterator[bytes]:
        yield head
        while read[0] < 50_000_000:
            read[0] += 100_000
            yield b"x" * 100_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = api.client().post("/v1/datasets", content=parts(), headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", " 5 5", "x"])
def test_a_senseless_length_is_refused(api: Api, length: str) -> None:
    response = api.client().post("/v1/keys", content=b"{}", headers={"Content-Length": length})
    assert response.status_code == 413


@pytest.mark.parametrize("body", [b"[" * 1000, b'{"a":' * 1000, b"[" * 65 + b"]" * 65, b'{"x":' + b"[" * 15_000])
def test_deep_json_is_refused_before_it_is_parsed(api: Api, body: bytes) -> None:
    response = api.client().post("/v1/advise", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["title"]) == (400, "Nested too deeply")


def test_what_holds_too_many_values_is_refused_before_it_is_parsed(api: Api) -> None:
    body = b'{"answers": {"a": [' + b"[]," * 25_000 + b"1]}}"
    response = api.client().post("/v1/advise", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["title"]) == (413, "Body too large")


@pytest.mark.parametrize("path", ["/v1/advise", "/v1/datasets", "/v1/chat/completions"])
@pytest.mark.parametrize("how", [(b"content-length", b"70000"), (b"transfer-encoding", b"chunked")])
def test_nothing_large_is_read_of_who_has_no_key(api: Api, path: str, how: tuple[bytes, bytes]) -> None:
    async def receive() -> dict[str, object]:
        raise AssertionError("it was read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    sent: list[dict[str, Any]] = []
    api.key(Scope.READ)
    headers = [how, (b"authorization", b"Bearer tf_none"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    asyncio.run(api.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 401
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nul", b'{"name": NaN}', b"\xff\xfe", b'{"name": ' + b"9" * 5000 + b"}", b'"\\ud800"', b"[1]"]
)
def test_broken_json_is_the_callers_mistake(api: Api, body: bytes) -> None:
    response = api.client().post("/v1/keys", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_json_that_is_called_something_else_is_not_read(api: Api) -> None:
    response = api.client().post("/v1/keys", content=b'{"name": "x"}', headers={"Content-Type": "text/plain"})
    assert response.status_code == 422


@pytest.mark.parametrize("value", ["1e400", "-1e400", "1" + "0" * 400, '"\\u0000"', '"\\ud800"'])
def test_values_that_nothing_can_hold_are_refused(api: Api, value: str) -> None:
    body = f'{{"answers": {{"queries_per_month": {value}}}}}'.encode()
    response = api.client().post("/v1/advise", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_a_request_that_takes_too_long_is_given_up() -> None:
    sent = []

    async def never(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    deadline = Deadline(never, seconds=0.01, is_unlimited=lambda _: False)
    asyncio.run(deadline(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert b"Took too long" in sent[1]["body"]  # type: ignore[operator]


async def nobody_refused(request: object) -> None:
    """Everyone is known."""


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent = []

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("there is no request yet")

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        if not sent:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    limits = BodyLimits(app, max_bytes=lambda _: 10, is_upload=lambda _: False, refusal=nobody_refused, body_s=0.01)
    asyncio.run(limits(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert (b"connection", b"close") in sent[0]["headers"]  # type: ignore[operator]
    assert b"did not arrive" in sent[1]["body"]  # type: ignore[operator]


def test_whole_numbers_in_addresses_are_written_in_digits(client: TestClient) -> None:
    for number in ("0.0", "1_000", "+1", " 1", "1e3", "\u0663"):
        for address in ("/v1/comparisons?offset=", "/v1/datasets?limit="):
            refused = client.get(address + quote(number))
            assert (refused.status_code, "whole number, in digits" in refused.text) == (422, True), (address, number)


def test_one_key_cannot_take_all_room_and_health_is_told_where_there_is_none() -> None:
    async def app(scope: dict[str, Any], receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        if scope["path"] == "/wait":
            await over.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    over = asyncio.Event()
    at_once = RequestsAtOnce(app, most=3, most_each=2)  # type: ignore[arg-type]

    async def ask(key: bytes, path: str = "/wait") -> tuple[int, bytes]:
        sent: list[Any] = []

        async def send(message: object) -> None:
            sent.append(message)

        headers = [(b"authorization", key)]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
        await at_once(scope, None, send)  # type: ignore[arg-type]
        return sent[0]["status"], dict(sent[0]["headers"]).get(b"retry-after", b"")

    async def all_of() -> None:
        waiting = [asyncio.create_task(ask(b"a")) for _ in range(2)]
        await asyncio.sleep(0)
        assert await ask(b"a") == (429, b"1")
        waiting.append(asyncio.create_task(ask(b"b")))
        await asyncio.sleep(0)
        assert await ask(b"c") == (503, b"1")
        assert await ask(b"c", "/healthz") == (200, b"")
        over.set()
        assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 3
        assert await ask(b"c") == (200, b"")

    asyncio.run(all_of())


def test_who_has_many_requests_waits_for_themselves_alone() -> None:
    at_work: list[bytes] = []
    most: Counter[bytes] = Counter()

    async def app(scope: dict[str, Any], receive: object, send: object) -> None:
        key = scope["headers"][0][1]
        at_work.append(key)
        most[key] = max(most[key], at_work.count(key))
        await (over.wait() if key == b"many" else asyncio.sleep(0))
        at_work.remove(key)

    def asked(key: bytes, path: str = "/") -> dict[str, Any]:
        return {"type": "http", "path": path, "headers": [(b"authorization", key)]}

    over = asyncio.Event()
    turns = Turns(app, is_exempt=lambda scope: scope["path"] == "/stream", most_each=2)  # type: ignore[arg-type]

    async def all_of() -> None:
        many = [asyncio.create_task(turns(asked(b"many"), None, None)) for _ in range(5)]  # type: ignore[arg-type]
        await turns(asked(b"one"), None, None)  # type: ignore[arg-type]
        assert at_work == [b"many"] * 2
        many.append(asyncio.create_task(turns(asked(b"many", "/stream"), None, None)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert at_work == [b"many"] * 3
        over.set()
        await asyncio.gather(*many)

    asyncio.run(all_of())
    assert most == {b"many": 3, b"one": 1}


def test_a_large_reply_is_sent_in_pieces() -> None:
    whole = bytes(range(256)) * (PIECE_BYTES // 256 * 2) + b"end"

    async def app(scope: object, receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": whole})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    sent: list[dict[str, Any]] = []
    asyncio.run(InPieces(app)({}, None, send))  # type: ignore[arg-type]
    assert [one.get("more_body", False) for one in sent[1:]] == [True, True, False]
    assert b"".join(one["body"] for one in sent[1:]) == whole
