"""Gates, baselines and votes over HTTP, on rows of finished comparisons."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, update

from advisor.evidence.records import record_line
from advisor.results.json_report import json_report
from benchmarks.simulations.gates import stored as simulated
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import create_comparison
from service.store.data_directory import RECORDS_FILE, REPORT_FILE, DataDirectory
from service.store.database import writing
from service.store.tables import comparisons, report_files

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    context = ServiceContext(engine, DataDirectory(tmp_path), lambda _: None, ServiceSettings())
    with TestClient(create_app(context), base_url=LOCAL, client=("127.0.0.1", 50_000)) as client:
        yield client


def share(right: float, n: int = 300) -> list[float]:
    return [1.0 if i < round(right * n) else 0.0 for i in range(n)]


def add(engine: Engine, comparison_id: str, scores: Sequence[float] | None) -> str:
    """A comparison of one arm with these scores; without scores it waits."""
    settings = {"arms": ["base", "rag"]}
    create_comparison(engine, comparison_id=comparison_id, name="n", dataset="tiny", settings=settings)
    if scores is not None:
        made = simulated({"rag": scores})
        files = {
            REPORT_FILE: json_report(made.comparison),
            RECORDS_FILE: "".join(record_line(record) + "\n" for record in made.records),
        }
        with writing(engine) as connection:
            rows = [{"comparison_id": comparison_id, "name": n, "content": t.encode()} for n, t in files.items()]
            connection.execute(insert(report_files), rows)
            connection.execute(update(comparisons).values(state=ComparisonState.SUCCEEDED))
    return comparison_id


def gate(client: TestClient, comparison_id: str, **body: Any) -> Any:
    return client.post(f"/v1/comparisons/{comparison_id}/gate", json=body)


def test_thresholds_are_checked_and_explained(client: TestClient, engine: Engine) -> None:
    add(engine, "now", share(0.7))
    for limit, verdict in ((0.5, "pass"), (0.9, "fail")):
        reply = gate(client, "now", thresholds=[{"measure": "exact_match", "arm": "rag", "at_least": limit}])
        assert reply.status_code == 200, reply.text
        assert reply.json()["verdict"] == verdict
    check = reply.json()["checks"][0]
    assert check["measured"] == pytest.approx(0.7)
    assert "70.0 [64.6, 74.9] points on 300 questions" in check["reason"]


def test_a_baseline_is_set_by_request_and_moved_by_nothing_else(client: TestClient, engine: Engine) -> None:
    add(engine, "good", share(0.8))
    add(engine, "bad", share(0.6))
    add(engine, "better", share(0.9))
    address = "/v1/baselines/main"
    assert client.put(address, json={"comparison_id": "good"}).status_code == 201
    assert gate(client, "bad", baseline={"name": "main"}).json()["verdict"] == "fail"
    assert gate(client, "better", baseline={"name": "main"}).json()["verdict"] == "pass"
    assert client.get(address).json()["comparison_id"] == "good"
    assert client.put(address, json={"comparison_id": "better"}).status_code == 200
    assert gate(client, "good", baseline={"name": "main"}).json()["verdict"] == "fail"
    assert [item["name"] for item in client.get("/v1/baselines").json()["items"]] == ["main"]


def test_a_baselines_comparison_cannot_be_deleted_before_the_name(client: TestClient, engine: Engine) -> None:
    add(engine, "good", share(0.8))
    client.put("/v1/baselines/main", json={"comparison_id": "good"})
    assert client.delete("/v1/comparisons/good").status_code == 409
    assert client.delete("/v1/baselines/main").status_code == 204
    assert client.get("/v1/baselines/main").status_code == 404
    assert client.delete("/v1/baselines/main").status_code == 404
    assert client.delete("/v1/comparisons/good").status_code == 204


def test_what_is_not_there_or_not_finished_is_told_apart(client: TestClient, engine: Engine) -> None:
    add(engine, "done", share(0.8))
    add(engine, "waits", None)
    thresholds = [{"measure": "exact_match", "at_least": 0.5}]
    assert gate(client, "none", thresholds=thresholds).status_code == 404
    assert gate(client, "waits", thresholds=thresholds).status_code == 409
    assert gate(client, "done", baseline={"name": "none"}).status_code == 404
    assert client.put("/v1/baselines/main", json={"comparison_id": "none"}).status_code == 404
    assert client.put("/v1/baselines/main", json={"comparison_id": "waits"}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"thresholds": [{"measure": "exact_match"}]},
        {"thresholds": [{"measure": "speed", "at_least": 1}]},
        {"thresholds": [{"measure": "exact_match", "at_least": 70}]},
        {"thresholds": [{"measure": "exact_match", "at_least": 0.5, "arms": "rag"}]},
        {"baseline": {"name": "main", "arms": []}},
        {"baseline": {"name": "main", "metrics": ["exact_match"] * 20, "arms": ["rag"] * 10}},
        {"baseline": {"name": "../main"}},
        {"unclear": "maybe", "thresholds": [{"measure": "exact_match", "at_least": 0.5}]},
    ],
)
def test_wrong_rules_are_refused(client: TestClient, engine: Engine, body: dict[str, Any]) -> None:
    add(engine, "now", share(0.7))
    client.put("/v1/baselines/main", json={"comparison_id": "now"})
    reply = gate(client, "now", **body)
    assert reply.status_code == 422, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


def vote(client: TestClient, question: str, preferred: str | None, **more: Any) -> Any:
    body = {"question": question, "arms": ["rag", "base"], "preferred": preferred, **more}
    return client.post("/v1/comparisons/now/votes", json=body)


def test_votes_are_tallied_with_ties_apart(client: TestClient, engine: Engine) -> None:
    add(engine, "now", share(0.7))
    assert client.get("/v1/comparisons/now/votes").json() == {"items": []}
    for i in range(10):
        assert vote(client, f"q{i}", "rag" if i < 6 else "base" if i < 8 else None).status_code == 201
    (tally,) = client.get("/v1/comparisons/now/votes").json()["items"]
    assert (tally["first"], tally["second"]) == ("base", "rag")
    assert (tally["n_first"], tally["n_second"], tally["n_ties"], tally["n_voters"]) == (2, 6, 2, 1)
    assert tally["first_share"] == 0.25
    assert tally["first_share_low"] == pytest.approx(0.0715, abs=1e-3)
    assert tally["first_share_high"] == pytest.approx(0.5907, abs=1e-3)


def test_only_ties_have_no_share(client: TestClient, engine: Engine) -> None:
    add(engine, "now", share(0.7))
    (tally,) = vote(client, "q", None).json()["items"]
    assert tally["first_share"] is None


def test_a_voter_votes_once_on_a_question_whatever_the_order_shown(client: TestClient, engine: Engine) -> None:
    add(engine, "now", share(0.7))
    vote(client, "q", "rag")
    (tally,) = vote(client, "q", "base", arms=["base", "rag"]).json()["items"]
    assert (tally["n_first"], tally["n_second"]) == (1, 0)
    (tally,) = vote(client, "q", "rag", voter="other").json()["items"]
    assert (tally["n_first"], tally["n_second"], tally["n_voters"]) == (1, 1, 2)


@pytest.mark.parametrize(
    "more",
    [
        {"arms": ["rag", "rag"]},
        {"arms": ["rag", "hybrid"]},
        {"preferred": "hybrid"},
        {"question": ""},
        {"question": "\0"},
    ],
)
def test_votes_on_what_was_not_shown_are_refused(client: TestClient, engine: Engine, more: dict[str, Any]) -> None:
    add(engine, "now", share(0.7))
    assert vote(client, **{"question": "q", "preferred": "rag", **more}).status_code == 422


def test_votes_on_no_comparison_are_not_found(client: TestClient) -> None:
    assert vote(client, "q", "rag").status_code == 404
    assert client.get("/v1/comparisons/now/votes").status_code == 404
