import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert

from advisor.decision.record import Recheck, RecheckOutcome
from advisor.report.facts import answered, side_by_side, tallied
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from advisor.results.plain_data import to_plain
from lm.model_identity import model_identity
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.jobs.job import run_command
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.events import RECHECK, append_event
from service.store.comparisons.runs import home_database
from service.store.data_directory import DECISION_FILE, RECORDS_FILE, REPORT_FILE, DataDirectory
from service.store.database import writing
from service.store.reports.stored_reports import read_report_files, read_stored_comparison
from service.store.tables import baselines, report_files

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    context = ServiceContext(engine, DataDirectory(tmp_path), lambda _: None, ServiceSettings())
    with TestClient(create_app(context), base_url=LOCAL, client=("127.0.0.1", 50_000)) as client:
        yield client


def stored(engine: Engine, comparison_id: str) -> str:
    create_comparison(engine, comparison_id=comparison_id, name="n", dataset="tiny", settings={})
    return comparison_id


@pytest.fixture
def finished(engine: Engine, finished_files: Mapping[str, bytes]) -> tuple[str, Comparison]:
    """A comparison whose reports are on file."""
    stored(engine, "tiny-1")
    with writing(engine) as connection:
        for name in (REPORT_FILE, DECISION_FILE, RECORDS_FILE):
            row = {"comparison_id": "tiny-1", "name": name, "content": finished_files[name]}
            connection.execute(insert(report_files).values(row))
    return "tiny-1", read_comparison(finished_files[REPORT_FILE].decode())


def test_unchanged_inputs_give_the_decision_on_record(client: TestClient, finished: tuple[str, Comparison]) -> None:
    comparison_id, comparison = finished
    reply = client.post(f"/v1/comparisons/{comparison_id}/decision", json={"parts": ["flips", "flip_map"]})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["recommendation"]["headline"] == comparison.recommendation.headline
    assert len(body["flips"]) == len(comparison.flips)
    assert body["flip_map"]["x_current"] == 10_000
    assert {axis["axis"]: axis["current"] for axis in body["axes"]}["margin"] == 0.02


def test_declared_inputs_change_costs_and_verdict(client: TestClient, finished: tuple[str, Comparison]) -> None:
    comparison_id, comparison = finished
    address = f"/v1/comparisons/{comparison_id}/decision"
    as_recorded = client.post(address, json={}).json()
    dear = client.post(address, json={"machine_usd_per_hour": 100.0, "queries_per_month": 1e6}).json()
    assert dear["costs"]["base"]["monthly_usd"] > as_recorded["costs"]["base"]["monthly_usd"]
    cited = client.post(address, json={"constraints": {"must_cite_sources": True}}).json()
    assert cited["recommendation"]["arm"] is None
    assert not any(outcome["met"] for outcome in cited["constraints"])
    assert comparison.recommendation.arm is not None


def test_a_margin_wider_than_the_lead_leaves_no_winner(client: TestClient, finished: tuple[str, Comparison]) -> None:
    comparison_id, comparison = finished
    assert comparison.recommendation.verdict == "winner"
    reply = client.post(f"/v1/comparisons/{comparison_id}/decision", json={"margin": 0.9})
    # Which of two arms with hardly a lead costs more time is measured, and differs from run to run.
    assert reply.json()["recommendation"]["verdict"] in ("best choice", "no clear winner")


def test_impossible_values_are_refused_by_name(client: TestClient, finished: tuple[str, Comparison]) -> None:
    reply = client.post(f"/v1/comparisons/{finished[0]}/decision", json={"coverage": 1.5})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["where"] == "body.coverage"


def test_a_comparison_that_still_waits_has_no_decision(client: TestClient, engine: Engine) -> None:
    reply = client.post(f"/v1/comparisons/{stored(engine, 'tiny-2')}/decision", json={})
    assert reply.status_code == 409
    assert "queued" in reply.json()["detail"]


def test_an_unknown_comparison_is_not_found(client: TestClient) -> None:
    assert client.post("/v1/comparisons/none/decision", json={}).status_code == 404


def test_questions_show_what_each_arm_said(client: TestClient, finished: tuple[str, Comparison]) -> None:
    page = client.get(f"/v1/comparisons/{finished[0]}/questions", params={"limit": 5}).json()
    assert page["arms"] == ["base", "few-shot", "majority"]
    assert page["total"] == finished[1].arms[0].n_questions
    assert len(page["items"]) == 5
    assert page["items"][0]["answers"]["base"] == "c0"


def test_the_first_look_sums_up_the_answers(
    client: TestClient, finished: tuple[str, Comparison], engine: Engine
) -> None:
    looked = client.get(f"/v1/comparisons/{finished[0]}/first-look").json()
    records = read_stored_comparison(engine, finished[0]).records
    answers = answered(records, finished[1].recommendation.metric)
    assert looked["tally"]["made_up"] == tallied(answers).made_up
    assert looked["tally"]["failures"] == tallied(answers).failures
    assert [one["kind"] for one in looked["examples"]] == [one.kind for one in side_by_side(finished[1], answers)]
    assert client.get(f"/v1/comparisons/{stored(engine, 'tiny-9')}/first-look").status_code == 409


def test_questions_can_be_narrowed_down(client: TestClient, finished: tuple[str, Comparison]) -> None:
    address = f"/v1/comparisons/{finished[0]}/questions"
    differing = client.get(address, params={"differing": True, "limit": 1000}).json()
    assert differing["total"] == len(differing["items"]) > 0
    assert all(len(set(row["scores"].values())) > 1 for row in differing["items"])
    kind = next(iter(differing["failures"]))
    failed = client.get(address, params={"failure": kind, "arm": "base", "limit": 1000}).json()
    assert failed["items"]
    assert all(row["failures"]["base"] == kind for row in failed["items"])
    found = client.get(address, params={"contains": "NUMBER 7?"}).json()
    assert [row["example_id"] for row in found["items"]] == ["t7"]
    unseen = client.get(address, params={"slice": "unseen-fact", "limit": 1000}).json()
    assert {row["slice"] for row in unseen["items"]} == {"unseen-fact"}


def test_questions_can_be_held_against_a_baseline(
    client: TestClient, engine: Engine, finished: tuple[str, Comparison]
) -> None:
    files = read_report_files(engine, finished[0], DECISION_FILE, RECORDS_FILE)
    first, rest = files[RECORDS_FILE].split(b"\n", 1)
    line = json.loads(first)
    now = line["scores"]["exact_match"]["value"]
    line["scores"]["exact_match"]["value"] = 0.5
    files[RECORDS_FILE] = json.dumps(line).encode() + b"\n" + rest
    stored(engine, "tiny-2")
    rows = [{"comparison_id": "tiny-2", "name": name, "content": one} for name, one in files.items()]
    with writing(engine) as connection:
        connection.execute(insert(report_files), rows)
        connection.execute(insert(baselines).values(name="main", comparison_id="tiny-2", created_at=0.0))
    address = f"/v1/comparisons/{finished[0]}/questions"
    page = client.get(address, params={"since": "main"}).json()
    assert [row["example_id"] for row in page["items"]] == [line["example_id"]]
    assert page["items"][0]["earlier"] == {line["arm"]: 0.5}
    assert page["items"][0]["scores"][line["arm"]] == now
    assert client.get(address, params={"since": "nothing"}).status_code == 404


def test_questions_of_a_comparison_that_still_waits_are_not_there(client: TestClient, engine: Engine) -> None:
    assert client.get(f"/v1/comparisons/{stored(engine, 'tiny-3')}/questions").status_code == 409


def test_a_recheck_reads_prices_data_and_model_anew(workplace: Any, tiny_model_folder: Path) -> None:
    settings = replace(workplace.settings, model=f"hf:{tiny_model_folder}")
    comparison_id = run_command(settings, workplace.directory, workplace.compose, model_identity).name
    with home_database(workplace.directory) as engine:
        context = ServiceContext(engine, workplace.directory, lambda _: None, ServiceSettings())
        with TestClient(create_app(context), base_url=LOCAL, client=("127.0.0.1", 50_000)) as client:
            reply = client.post(f"/v1/comparisons/{comparison_id}/recheck", json={})
            assert reply.status_code == 200, reply.text
            assert (reply.json()["outcome"], reply.json()["reruns"]) == ("holds", [])
            busy = client.post(f"/v1/comparisons/{comparison_id}/recheck", json={"queries_per_month": 1e9}).json()
            for then, now in zip(reply.json()["monthly"], busy["monthly"], strict=True):
                assert now["now_usd"] > then["now_usd"] == then["before_usd"]


def test_what_the_service_found_by_itself_can_be_read(client: TestClient, engine: Engine) -> None:
    path = f"/v1/comparisons/{stored(engine, 'waiting-1')}/recheck"
    assert client.get(path).json() == {"checked_at": None, "found": None}
    for outcome in (RecheckOutcome.UNKNOWN, RecheckOutcome.HOLDS):
        found = Recheck(outcome, "as it was", "rag", "rag", (), (), (), "2027-01-01", False)
        with writing(engine) as connection:
            append_event(connection, "waiting-1", RECHECK, to_plain(found))
    assert client.get(path).json()["found"]["outcome"] == "holds"


def test_an_unfinished_comparison_has_no_decision_to_recheck(client: TestClient, engine: Engine) -> None:
    reply = client.post(f"/v1/comparisons/{stored(engine, 'waiting-1')}/recheck", json={})
    assert reply.status_code == 409
    assert "its decision is made last" in reply.text
