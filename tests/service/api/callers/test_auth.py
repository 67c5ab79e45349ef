import re
import threading

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from service.api.auth import RateLimits
from service.api.service_settings import ServiceSettings
from service.contract.scope import Scope
from service.store.api_keys import create_key, list_keys, revoke_key
from service.store.comparisons.comparison_store import find_comparison
from service.store.key_budget import KeyBudget
from service.store.tables import metadata
from tests.service.api.conftest import LOCAL, Api


def test_who_sits_at_the_machine_needs_no_key(api: Api) -> None:
    assert api.client().get("/v1/keys").status_code == 200


@pytest.mark.parametrize("host", ["10.0.0.7", "192.168.1.2", "8.8.8.8", "testclient", "::ffff:10.0.0.1"])
def test_others_need_one(api: Api, host: str) -> None:
    response = api.client(host=host).get("/v1/comparisons")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_service_that_others_reach_has_no_local_mode(api: Api) -> None:
    open_to_all = Api(api.engine, api.home, ServiceSettings(host="0.0.0.0"))
    assert open_to_all.client().get("/v1/comparisons").status_code == 401


@pytest.mark.parametrize(
    "header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
)
def test_who_comes_through_a_proxy_is_not_local(api: Api, header: str) -> None:
    assert api.client().get("/v1/comparisons", headers={header: "x"}).status_code == 401


@pytest.mark.parametrize(("version", "status"), [("1.0", 401), ("1.1", 200), ("2", 200)])
def test_a_proxy_that_adds_nothing_is_told_by_its_old_protocol(api: Api, version: str, status: int) -> None:
    async def proxied(scope: Connection, receive: Receive, send: Send) -> None:
        await api.app(scope | {"http_version": version}, receive, send)

    client = TestClient(proxied, base_url=LOCAL, client=("127.0.0.1", 50_000))
    assert client.get("/v1/comparisons").status_code == status


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.2:8000", "", "[::1"]
)
def test_a_rebound_name_is_refused(api: Api, host: str) -> None:
    response = api.client().get("/v1/comparisons", headers={"Host": host})
    assert (response.status_code, response.json()["title"]) == (403, "Host not allowed")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "LOCALHOST"])
def test_the_machines_own_names_are_served(api: Api, host: str) -> None:
    assert api.client().get("/v1/comparisons", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_elsewhere_cannot_use_the_local_mode(api: Api, headers: dict[str, str]) -> None:
    response = api.client().post("/v1/keys", json={"name": "x"}, headers=headers)
    assert (response.status_code, response.json()["title"]) == (403, "Origin not allowed")
    assert list_keys(api.engine) == []


def test_a_page_of_the_service_itself_is_served(api: Api) -> None:
    assert api.client().get("/v1/comparisons", headers={"Origin": LOCAL}).status_code == 200


def test_no_page_of_elsewhere_may_read_answers(api: Api) -> None:
    response = api.client().get("/healthz", headers={"Origin": "http://evil.example"})
    assert not any(name.startswith("access-control") for name in response.headers)


def test_from_the_first_key_on_everyone_needs_one(api: Api) -> None:
    secret = api.key(Scope.READ)
    assert api.client().get("/v1/comparisons").status_code == 401
    assert api.client(key=secret).get("/v1/comparisons").status_code == 200
    assert (
        api.client(key=secret, host="10.0.0.7", base_url="http://ours.example").get("/v1/datasets").status_code == 200
    )


def test_revoking_the_last_key_opens_nothing(api: Api) -> None:
    secret = api.key(Scope.ADMIN)
    assert api.client(key=secret).delete(f"/v1/keys/{list_keys(api.engine)[0].id}").status_code == 200
    assert api.client(key=secret).get("/v1/comparisons").status_code == 401
    assert api.client().get("/v1/comparisons").status_code == 401


@pytest.mark.parametrize(
    "given", ["tf_", "tf_" + "x" * 43, "x", "tf_é" + "x" * 42, "tf_" + "x" * 10_000, "' OR 1=1 --", "\0"]
)
def test_other_secrets_open_nothing(api: Api, given: str) -> None:
    api.key(Scope.ADMIN)
    response = api.client().get("/v1/comparisons", headers={"Authorization": f"Bearer {given}".encode()})
    assert response.status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "bearer ", "", "Token"])
def test_only_bearer_keys_are_read(api: Api, scheme: str) -> None:
    secret = api.key(Scope.READ)
    response = api.client().get("/v1/comparisons", headers={"Authorization": f"{scheme} {secret}"})
    assert response.status_code == (200 if scheme.strip() == "bearer" else 401)


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/v1/datasets", Scope.READ),
        ("GET", "/v1/comparisons", Scope.READ),
        ("GET", "/metrics", Scope.READ),
        ("POST", "/v1/comparisons", Scope.RUN),
        ("POST", "/v1/datasets", Scope.RUN),
        ("POST", "/v1/comparisons/x/cancel", Scope.RUN),
        ("DELETE", "/v1/comparisons/x", Scope.RUN),
        ("DELETE", "/v1/datasets/x", Scope.RUN),
        ("GET", "/v1/keys", Scope.ADMIN),
        ("POST", "/v1/keys", Scope.ADMIN),
        ("DELETE", "/v1/keys/x", Scope.ADMIN),
    ],
)
def test_a_scope_includes_the_narrower_ones_only(api: Api, method: str, path: str, least: Scope) -> None:
    for scope in Scope:
        status = api.client(key=api.key(scope)).request(method, path).status_code
        assert (status == 403) is not scope.includes(least), (scope, status)


def test_every_address_but_those_of_health_and_shared_verdicts_needs_a_key_once_there_is_one(api: Api) -> None:
    api.key(Scope.ADMIN)
    client = api.client()
    described = client.get("/openapi.json").json()["paths"]
    open_to_all = {
        (method, path)
        for path, operations in described.items()
        for method in operations
        if client.request(method, re.sub(r"\{\w+\}", "x", path)).status_code != 401
    }
    assert open_to_all == {("get", "/healthz"), ("get", "/readyz"), ("get", "/v1/shared/{token}")}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_one_request_counts_once(api: Api, method: str) -> None:
    client = api.client(key=api.key(Scope.RUN, requests_per_minute=3))
    statuses = [client.request(method, "/v1/baselines/x", json={"comparison_id": "x"}).status_code for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


def test_a_key_has_its_own_limit(api: Api) -> None:
    client = api.client(key=api.key(Scope.READ, requests_per_minute=3))
    assert [client.get("/v1/keys").status_code for _ in range(3)] == [403] * 3
    refused = client.get("/v1/comparisons")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert api.client(key=api.key(Scope.READ)).get("/v1/comparisons").status_code == 200


def test_an_allowance_comes_back_steadily() -> None:
    now = [0.0]
    limits = RateLimits(lambda: now[0])
    assert [limits.wait_s("k", 60) for _ in range(60)] == [0] * 60
    assert limits.wait_s("k", 60) == 1
    now[0] = 1.0
    assert limits.wait_s("k", 60) == 0
    assert limits.wait_s("k", 60) == 1
    now[0] = 10_000.0
    assert [limits.wait_s("k", 60) for _ in range(61)] == [0] * 60 + [1]


def test_an_allowance_is_not_exceeded_by_threads() -> None:
    limits = RateLimits(lambda: 0.0)
    passed: list[int] = []
    threads = [threading.Thread(target=lambda: passed.append(limits.wait_s("k", 50))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(0) == 50


def test_a_secret_is_shown_once_and_stored_nowhere(api: Api) -> None:
    created = api.client().post("/v1/keys", json={"name": "ci", "scopes": ["admin"]}).json()
    secret = created["secret"]
    assert secret.startswith("tf_")
    assert created["scopes"] == ["read", "run", "admin"]
    listed = api.client(key=secret).get("/v1/keys").text
    assert "ci" in listed
    assert secret not in listed
    with api.engine.connect() as connection:
        rows = repr([tuple(row) for table in metadata.sorted_tables for row in connection.execute(select(table))])
    assert created["id"] in rows
    assert secret[3:] not in rows


def test_a_key_that_is_not_there_cannot_be_revoked(api: Api) -> None:
    assert api.client().delete("/v1/keys/nope").status_code == 404
    assert revoke_key(api.engine, "nope") is None


def test_revoking_twice_keeps_the_first_time(api: Api) -> None:
    key, _ = create_key(api.engine, "x", [Scope.READ])
    first = revoke_key(api.engine, key.id)
    assert first is not None
    assert revoke_key(api.engine, key.id) == first


@pytest.mark.parametrize(
    "sent",
    [
        {"model": "hf:org/huge"},
        {"judge": "hf:org/huge"},
        {"embedder": "hf:org/huge"},
        {"reranker": "hf:org/huge"},
        {"arms": ["base", "rag@hf:org/huge"]},
        {"model": "openai:m@https://elsewhere.example/v1", "arms": ["base"]},
    ],
)
def test_a_key_names_no_model_that_is_not_allowed(api: Api, sent: dict[str, object]) -> None:
    asked = {"dataset": "appliance-support", **sent}
    assert api.client().post("/v1/comparisons/estimate", json=asked).status_code == 200
    client = api.client(key=api.key(Scope.RUN))
    addresses = {"/v1/comparisons": asked, "/v1/comparisons/estimate": asked}
    if "model" in sent:
        addresses["/v1/models/try"] = {"model": sent["model"], "ask": True}
    for address, body in addresses.items():
        refused = client.post(address, json=body)
        assert (refused.status_code, refused.json()["title"]) == (403, "Model not allowed"), address
    settings = ServiceSettings(allow_models=("hf:org/*", "openai:*@https://elsewhere.example/*"))
    listed = Api(api.engine, api.home, settings).client(key=api.key(Scope.RUN))
    assert listed.post("/v1/comparisons/estimate", json=asked).status_code == 200


def test_a_key_that_spent_its_limit_starts_nothing_at_an_endpoint(api: Api) -> None:
    key, secret = create_key(api.engine, "limited", [Scope.RUN], max_spend_usd=5.0)
    client = api.client(key=secret)
    asked = {"dataset": "appliance-support", "arms": ["base"], "model": "openai:gpt-5.4-mini"}
    once = {"Idempotency-Key": "x"}
    made = client.post("/v1/comparisons", json=asked, headers=once)
    assert made.status_code == 202
    assert find_comparison(api.engine, made.json()["id"]).made_by == key.id
    unpriced = client.post("/v1/comparisons", json=asked | {"judge": "openai:nobody-knows"})
    assert (unpriced.status_code, "the judge openai:nobody-knows has no price" in unpriced.text) == (422, True)
    KeyBudget(api.engine, key.id).spend(5.0)
    refused = client.post("/v1/comparisons", json=asked)
    assert (refused.status_code, refused.json()["title"]) == (409, "Limit of the key reached")
    assert client.post("/v1/comparisons", json=asked, headers=once).json()["id"] == made.json()["id"]
    assert client.post("/v1/comparisons", json=asked | {"model": "smollm2"}).status_code == 202
