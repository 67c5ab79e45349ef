"""At OpenAI's addresses every failure has OpenAI's shape, whoever answers: route, middleware, storage or nobody."""

import errno
import sqlite3
from collections.abc import Callable
from importlib import import_module

import httpx2
import pytest
from sqlalchemy.exc import OperationalError

from tests.service.api.conftest import Api

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def failing_with(error: Exception) -> Callable[[object], None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def check(response: httpx2.Response, status: int, kind: str, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["message"]


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/one/rag"])
def test_a_body_that_is_too_large_or_too_deep(api: Api, path: str) -> None:
    method = "POST" if path == CHAT else "GET"
    large = api.client().request(method, path, content=b"x" * 100_001, headers=JSON)
    check(large, 413, "invalid_request_error", "body_too_large")
    assert large.headers["X-Request-ID"]
    deep = api.client().request(method, path, content=b"[" * 1000, headers=JSON)
    check(deep, 400, "invalid_request_error", "nested_too_deeply")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, "no_room_left"),
        (OperationalError("SELECT", {}, sqlite3.OperationalError("busy")), 503, "database_not_available"),
        (ZeroDivisionError("ours"), 500, "internal_error"),
    ],
)
def test_storage_that_fails_and_defects(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    routes = import_module("service.api.routes.openai")
    for name in ("list_comparisons", "resolve_model"):
        monkeypatch.setattr(routes, name, failing_with(error))
    check(api.client().get("/v1/models"), status, "server_error", code)
    body = {"model": "one/rag", "messages": [{"role": "user", "content": "x"}]}
    check(api.client().post(CHAT, json=body), status, "server_error", code)


def test_a_method_that_is_not_taken(api: Api) -> None:
    check(api.client().get(CHAT), 405, "invalid_request_error", "method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/modelsx", "/v1/chat", "/models", "/v1/comparisons"])
def test_other_addresses_keep_problem_details(api: Api, path: str) -> None:
    response = api.client().post(path, content=b"x" * 100_001)
    assert response.headers["content-type"] == "application/problem+json"
