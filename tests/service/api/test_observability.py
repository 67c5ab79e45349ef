import io
import json
import logging
import threading
from collections.abc import Iterator

import anyio
import anyio.to_thread
import httpx
import pytest
from sqlalchemy import text

from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.json_log import JsonFormatter
from service.store.database import open_database, writing
from tests.service.api.conftest import LOCAL, Api


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service logs, a line of JSON each."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("tuning_fork")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_request_has_one_line_with_its_id(api: Api, log: io.StringIO) -> None:
    response = api.client().get("/v1/comparisons/nope", headers={"X-Request-ID": "abc-1"})
    assert response.headers["X-Request-ID"] == "abc-1"
    assert response.json()["request_id"] == "abc-1"
    row = json.loads(log.getvalue())
    assert (row["request_id"], row["status"], row["comparison_id"]) == ("abc-1", 404, "nope")
    assert row["route"] == "/v1/comparisons/{comparison_id}"


def test_the_line_of_a_request_that_makes_a_comparison_names_it(api: Api, log: io.StringIO) -> None:
    body = {"dataset": "appliance-support", "arms": ["base"], "limit": 10}
    made = api.client().post("/v1/comparisons", json=body).json()
    assert json.loads(log.getvalue())["comparison_id"] == made["id"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\x7fb", "é", "a\u2028"])
def test_a_senseless_request_id_is_replaced(api: Api, given: str) -> None:
    response = api.client().get("/healthz", headers={"X-Request-ID": given.encode()})
    assert response.headers["X-Request-ID"] != given
    assert len(response.headers["X-Request-ID"]) == 16


def test_no_secret_is_logged(api: Api, log: io.StringIO) -> None:
    secret = api.client().post("/v1/keys", json={"name": "x", "scopes": ["admin"]}).json()["secret"]
    api.client(key=secret).get("/v1/datasets", params={"token": secret})
    api.client().get(f"/v1/comparisons/{secret}")
    api.client(key=secret).get("/v1/keys")
    logged = log.getvalue()
    assert len(logged.splitlines()) == 4
    assert logged.count(secret) == 0


def test_a_defect_is_told_by_its_id_and_logged_in_full(api: Api, log: io.StringIO) -> None:
    def fail() -> None:
        raise RuntimeError("a password is hunter2")

    api.app.get("/broken")(fail)
    response = api.client().get("/broken")
    assert (response.status_code, response.json()["title"]) == (500, "Internal error")
    assert "hunter2" not in response.text
    row = json.loads(log.getvalue())
    assert row["request_id"] == response.json()["request_id"]
    assert "RuntimeError: a password is hunter2" in row["traceback"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/healthz", 405)])
def test_routes_that_are_not_there_are_problems(api: Api, method: str, path: str, status: int) -> None:
    response = api.client().request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers.get("Allow") == "GET") is (status == 405)


def test_requests_and_comparisons_are_counted(api: Api) -> None:
    client = api.client()
    api.add_comparison("a")
    api.move(api.add_comparison("b"), ComparisonState.FAILED)
    for name in ("x", "y", "z"):
        client.get(f"/v1/comparisons/{name}")
    client.get("/nowhere/secret")
    found = client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    lines = found.text.splitlines()
    assert 'tuning_fork_requests_total{method="GET",route="/v1/comparisons/{comparison_id}",status="404"} 3.0' in lines
    assert 'tuning_fork_requests_total{method="GET",route="unknown",status="404"} 1.0' in lines
    assert 'tuning_fork_comparisons{state="queued"} 1.0' in lines
    assert 'tuning_fork_comparisons{state="failed"} 1.0' in lines
    assert "tuning_fork_queue_length 1.0" in lines
    assert "secret" not in found.text


def test_metrics_need_a_key_where_there_are_keys(api: Api) -> None:
    secret = api.key(Scope.READ)
    assert api.client().get("/metrics").status_code == 401
    assert api.client(key=secret).get("/metrics").status_code == 200


def test_a_live_service_with_its_tables_is_ready(api: Api) -> None:
    api.key(Scope.READ)
    assert api.client(host="10.0.0.1").get("/healthz").json()["status"] == "alive"
    assert api.client(host="10.0.0.1").get("/readyz").json()["status"] == "ready"


def test_a_busy_service_is_alive(api: Api) -> None:
    free = threading.Event()

    async def ask() -> int:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        transport = httpx.ASGITransport(api.app, client=("127.0.0.1", 50_000))
        async with anyio.create_task_group() as tasks, httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            tasks.start_soon(anyio.to_thread.run_sync, free.wait)
            await anyio.wait_all_tasks_blocked()
            try:
                with anyio.fail_after(30):
                    return (await client.get("/healthz")).status_code
            finally:
                free.set()

    assert anyio.run(ask) == 200


def test_a_service_with_other_tables_is_not_ready(api: Api) -> None:
    with writing(api.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    response = api.client().get("/readyz")
    assert (response.status_code, response.json()["title"]) == (503, "Not ready")
    assert response.headers["Retry-After"]


def test_a_service_without_its_database_is_alive_and_not_ready(api: Api) -> None:
    api.app.state.context = type(api.context)(
        open_database("sqlite:////nowhere/at/all.db"), api.context.directory, api.submitted.append, api.settings
    )
    client = api.client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    response = client.get("/v1/comparisons")
    assert (response.status_code, response.json()["title"]) == (503, "Database not available")
