"""Naming what an alias serves, changing it and going back."""

from typing import Any

import pytest

from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.store.api_keys import create_key

PRODUCTION = "/v1/deployments/production"


def put(service: Any, comparison_id: str, kind: str, alias: str = "production") -> Any:
    return service.client.put(f"/v1/deployments/{alias}", json={"comparison_id": comparison_id, "kind": kind})


def serves(service: Any) -> tuple[str, str, int]:
    body = service.client.get(PRODUCTION).json()
    return body["comparison_id"], body["kind"], body["revision"]


def test_an_alias_serves_what_it_was_last_given_and_remembers_the_rest(service: Any) -> None:
    service.add("two")
    assert put(service, "one", "base").json()["revision"] == 1
    assert put(service, "two", "rag").json()["revision"] == 2
    assert put(service, "two", "rag").json()["revision"] == 2
    assert serves(service) == ("two", "rag", 2)
    history = service.client.get(PRODUCTION).json()["history"]
    assert [(one["comparison_id"], one["kind"]) for one in history] == [("two", "rag"), ("one", "base")]
    put(service, "one", "few-shot", alias="canary")
    listed = service.client.get("/v1/deployments").json()["items"]
    assert [(one["alias"], one["kind"]) for one in listed] == [("canary", "few-shot"), ("production", "rag")]


def test_rolling_back_is_a_revision_that_can_be_undone(service: Any) -> None:
    for kind in ("base", "few-shot", "rag"):
        put(service, "one", kind)
    assert service.client.post(f"{PRODUCTION}/rollback").json()["kind"] == "few-shot"
    assert serves(service) == ("one", "few-shot", 4)
    assert service.client.post(f"{PRODUCTION}/rollback").json()["kind"] == "rag"
    assert service.client.post(f"{PRODUCTION}/rollback", json={"revision": 1}).json()["kind"] == "base"
    assert serves(service) == ("one", "base", 6)


def test_what_cannot_be_served_is_refused(service: Any) -> None:
    service.add("waiting", ComparisonState.RUNNING)
    assert put(service, "two", "rag").status_code == 404
    assert put(service, "one", "hybrid").status_code == 404
    assert put(service, "waiting", "rag").status_code == 409
    assert put(service, "one", "rag", alias="Not%20so").status_code == 422
    assert service.client.get(PRODUCTION).status_code == 404
    assert service.client.post(f"{PRODUCTION}/rollback").status_code == 404
    put(service, "one", "rag")
    assert service.client.post(f"{PRODUCTION}/rollback").status_code == 409
    assert service.client.post(f"{PRODUCTION}/rollback", json={"revision": 9}).status_code == 404


def test_what_an_alias_serves_or_served_cannot_be_deleted_before_the_alias(service: Any) -> None:
    service.add("two")
    put(service, "one", "rag")
    put(service, "two", "rag")
    for comparison in ("one", "two"):
        assert service.client.delete(f"/v1/comparisons/{comparison}").status_code == 409
    assert service.client.delete(PRODUCTION).status_code == 204
    assert service.client.delete(PRODUCTION).status_code == 404
    assert service.client.delete("/v1/comparisons/one").status_code == 204


@pytest.mark.parametrize(("scope", "status"), [(Scope.READ, 403), (Scope.RUN, 403), (Scope.ADMIN, 200)])
def test_changing_takes_an_administrator_s_key_and_looking_any(service: Any, scope: Scope, status: int) -> None:
    put(service, "one", "rag")
    service.client.headers["Authorization"] = f"Bearer {create_key(service.engine, 'k', [scope])[1]}"
    assert service.client.get(PRODUCTION).status_code == 200
    assert put(service, "one", "base").status_code == status
