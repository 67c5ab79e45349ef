"""What belongs to one workspace is not there for another, at every address that the API describes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.handover.targets import TARGETS
from service.serving.deployment_store import deploy
from service.store.api_keys import create_key
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.share_store import share_comparison
from service.store.tables import FRESHNESS_RUN, QUESTION_RUN
from service.store.workspaces import in_workspace
from tests.service.api.conftest import FILES, Api

OPEN_TO_ALL = "/v1/shared/{token}"
"""Whoever has the link sees the verdict, and nothing else."""

OF_OPERATORS = "/metrics"

PLAIN = {"kind": "base", "target": next(iter(TARGETS)), "arm": "base", "arms": ["base", "few-shot"], "preferred": None}
"""What names no row, where the least that its schema allows would be refused."""


@dataclass(frozen=True)
class Two:
    """Two workspaces.

    Attributes:
        owner: A client of the workspace that everything is in.
        strangers: Two of other workspaces, which may do everything in their own.
        names: Of what is the owner's, by the names of parameters and fields that take them.
        absent: Of nothing, likewise.
    """

    owner: TestClient
    strangers: tuple[TestClient, TestClient]
    names: Mapping[str, str]
    absent: Mapping[str, str]


@pytest.fixture
def two(api: Api, finished_files: dict[str, bytes]) -> Two:
    own = Api(in_workspace(api.engine, "ours"), api.home, api.settings)
    keys = {
        name: create_key(api.engine, f"key of {name}", [Scope.ADMIN], workspace=name) for name in ("ours", "b", "c")
    }
    owner, *strangers = (api.client(key=secret) for _, secret in keys.values())
    uploaded = owner.post("/v1/datasets", files=uploads(FILES), data={"name": "our-secret-dataset"})
    own.add_comparison("our-secret-comparison")
    own.finish("our-secret-comparison", finished_files)
    set_baseline(own.engine, "our-secret-baseline", "our-secret-comparison")
    deploy(own.engine, "our-secret-alias", "our-secret-comparison", "base")
    for kind in (QUESTION_RUN, FRESHNESS_RUN):
        create_comparison(
            own.engine,
            comparison_id=f"{kind}{'a' * 16}",
            name="our-secret-run",
            dataset="appliance-support",
            settings={"comparison_id": "our-secret-comparison"},
        )
        own.move(f"{kind}{'a' * 16}", ComparisonState.SUCCEEDED)
    share_comparison(own.engine, "our-secret-comparison")
    names = {
        "comparison_id": "our-secret-comparison",
        "version": uploaded.json()["version"],
        "name": "our-secret-baseline",
        "alias": "our-secret-alias",
        "key_id": keys["ours"][0].id,
        "run_id": "a" * 16,
    }
    absent = {
        "comparison_id": "non-secret-comparison",
        "version": "f" * 64,
        "name": "non-secret-baseline",
        "alias": "non-secret-alias",
        "key_id": "e" * 16,
        "run_id": "b" * 16,
    }
    return Two(owner, (strangers[0], strangers[1]), named(names), named(absent))


def named(names: dict[str, str]) -> dict[str, str]:
    return names | {
        "dataset": names["version"],
        "since": names["name"],
        "baseline": names["name"],
        "model": f"{names['comparison_id']}/base",
    }


def uploads(files: Mapping[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (name, content)) for name, content in files.items()]


def least(schema: dict[str, Any], names: Mapping[str, str], schemas: Mapping[str, Any], field: str = "") -> Any:
    """The least that a schema allows, with names where it takes them."""
    if "$ref" in schema:
        return least(schemas[schema["$ref"].rpartition("/")[2]], names, schemas, field)
    if field in names and schema.get("type") == "string":
        return names[field]
    if field in PLAIN:
        return PLAIN[field]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return least(schema["anyOf"][0], names, schemas, field)
    match schema.get("type"):
        case "object":
            wanted = [*schema.get("required", ()), *(names.keys() & schema.get("properties", {}).keys())]
            return {key: least(schema["properties"][key], names, schemas, key) for key in dict.fromkeys(wanted)}
        case "array":
            return [least(schema["items"], names, schemas)] * schema.get("minItems", 0)
        case "string":
            return "x" * schema.get("minLength", 1)
        case "boolean":
            return True
        case _:
            return schema.get("minimum", 1)


def requests_of(description: dict[str, Any], names: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """One request to each address, all of whose names are those; what it takes is read from its description."""
    schemas = description["components"]["schemas"]
    found = {}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            request: dict[str, Any] = {"params": {}}
            for part in operation.get("parameters", ()):
                if part["in"] == "query" and part["name"] in names:
                    request["params"][part["name"]] = names[part["name"]]
            contents = operation.get("requestBody", {}).get("content", {})
            if "application/json" in contents:
                request["json"] = least(contents["application/json"]["schema"], names, schemas)
            elif contents:
                request |= {"files": uploads(FILES), "data": {"name": "ours"}}
            request["url"] = path.format_map({"token": "x", **PLAIN, **names})
            found[method, path] = request
    return found


def told(client: TestClient, method: str, request: dict[str, Any], names: Mapping[str, str]) -> tuple[int, str]:
    """Status and body, without the names that were sent; of a failure without the request's own id."""
    response = client.request(method, **request)
    body = response.text
    for value in sorted(set(names.values()), key=len, reverse=True):
        body = body.replace(value, "NAME").replace(value[:12], "NAME")
    if response.headers["content-type"].startswith("application/problem+json"):
        body = json.dumps(json.loads(body) | {"request_id": ""})
    return response.status_code, body


def test_what_is_anothers_is_not_there_whatever_is_asked(two: Two) -> None:
    description = two.owner.get("/openapi.json").json()
    ours, absent = requests_of(description, two.names), requests_of(description, two.absent)
    seen, wrong = [], []
    for (method, path), request in ours.items():
        if path == OPEN_TO_ALL:
            continue
        # Without this, an address that is never there would pass for one that is kept from others.
        if method == "get" and path != OF_OPERATORS and two.owner.get(**request).status_code not in (200, 409):
            wrong.append((method, path, "not there for its owner"))
        status, body = told(two.strangers[0], method, request, two.names)
        seen.append(status)
        if any(f"{{{name}" in path for name in two.names) and status != 404:
            wrong.append((method, path, body))
        # Whoever asks cannot tell what is another's from what is not there at all.
        other_status, other_body = told(two.strangers[1], method, absent[method, path], two.absent)
        if status != other_status or (body != other_body and status >= 400) or "secret-" in body:
            wrong.append((method, path, f"{body}\n{other_body}"))
    assert not wrong
    assert seen.count(404) > 40
    for (method, path), request in ours.items():
        if method == "get" and path not in (OPEN_TO_ALL, OF_OPERATORS):
            assert two.owner.get(**request).status_code in (200, 409), path


def test_the_same_names_and_files_are_free_in_every_workspace(two: Two, api: Api) -> None:
    stranger = two.strangers[0]
    same = stranger.post("/v1/datasets", files=uploads(FILES), data={"name": "our-secret-dataset"})
    assert (same.status_code, same.json()["version"]) == (201, two.names["version"])
    assert stranger.post(f"/v1/datasets/{two.names['version']}/freeze").json()["frozen"]
    assert not two.owner.get(f"/v1/datasets/{two.names['version']}").json()["frozen"]
    erased = two.owner.post(f"/v1/datasets/{two.names['version']}/erase")
    assert (erased.status_code, erased.json()["versions"]) == (200, [two.names["version"]])
    assert stranger.get(f"/v1/datasets/{two.names['version']}/files.zip").status_code == 200
    sent = {"dataset": two.names["version"], "arms": ["base"]}
    assert two.owner.post("/v1/comparisons", json=sent).status_code == 422
    made = [stranger.post("/v1/comparisons", json=sent, headers={"Idempotency-Key": "x"}).json() for _ in range(2)]
    assert made[0]["id"] == made[1]["id"]
    assert [one["id"] for one in stranger.get("/v1/comparisons").json()["items"]] == [made[0]["id"]]


def test_who_sits_at_the_machine_works_in_the_workspace_of_operators(api: Api) -> None:
    Api(in_workspace(api.engine, "ours"), api.home, api.settings).add_comparison("theirs")
    api.add_comparison("own")
    assert [one["id"] for one in api.client().get("/v1/comparisons").json()["items"]] == ["own"]
    assert api.client().get("/v1/comparisons/theirs").status_code == 404


def test_keys_of_all_workspaces_are_the_operators_and_counts_too(api: Api) -> None:
    operator = api.client(key=create_key(api.engine, "operator", [Scope.ADMIN])[1])
    made = operator.post("/v1/keys", json={"name": "b", "scopes": ["admin"], "workspace": "b"}).json()
    assert made["workspace"] == "b"
    theirs = api.client(key=made["secret"])
    assert theirs.post("/v1/keys", json={"name": "c", "workspace": "c"}).status_code == 403
    assert theirs.post("/v1/keys", json={"name": "b2"}).json()["workspace"] == "b"
    assert [key["name"] for key in theirs.get("/v1/keys").json()["items"]] == ["b2", "b"]
    assert {key["name"] for key in operator.get("/v1/keys").json()["items"]} == {"operator", "b", "b2"}
    assert (theirs.get("/metrics").status_code, operator.get("/metrics").status_code) == (403, 200)
    assert operator.delete(f"/v1/keys/{made['id']}").status_code == 200
    assert theirs.get("/v1/comparisons").status_code == 401
