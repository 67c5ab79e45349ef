import json

import pytest
from fastapi.testclient import TestClient

from advisor.advice.questionnaire import load_questionnaire
from tests.service.api.conftest import Api


def test_every_question_is_given_with_what_may_be_answered(client: TestClient) -> None:
    questions = client.get("/v1/questionnaire").json()["questions"]
    assert [one["id"] for one in questions] == [one.id for one in load_questionnaire().questions]
    assert all(one["expects"] for one in questions)


def test_answers_are_weighed(client: TestClient) -> None:
    questions = {one["id"]: one for one in client.get("/v1/questionnaire").json()["questions"]}
    knowledge = questions["knowledge"]["options"][0]["id"]
    advice = client.post("/v1/advise", json={"answers": {"knowledge": knowledge, "labelled_examples": 0}}).json()
    assert advice["arm"] is not None
    assert advice["ranking"][0]["arm"] == advice["arm"]
    assert advice["answers"]["knowledge"] in (knowledge, [knowledge])


def test_answers_that_are_none_are_refused_by_question(client: TestClient) -> None:
    response = client.post("/v1/advise", json={"answers": {"knowledge": "magic", "nope": 1}})
    assert response.status_code == 422
    assert "knowledge" in response.json()["detail"]
    assert "nope" in response.json()["detail"]


def test_the_catalogue_joins_models_and_measurements(
    api: Api, client: TestClient, finished_files: dict[str, bytes]
) -> None:
    api.finish(api.add_comparison("c"), finished_files)
    api.finish(api.add_comparison("damaged"), {"report.json": b"{}"})
    found = client.get("/v1/catalogue").json()
    assert all(model["sources"] for model in found["models"])
    assert {one["comparison_id"] for one in found["measured"]} == {"c"}
    assert {one["arm"] for one in found["measured"]} == {"base", "few-shot"}


def test_measured_arms_bear_number_and_spread_of_the_price(
    api: Api, client: TestClient, finished_files: dict[str, bytes]
) -> None:
    report = json.loads(finished_files["report.json"])
    arm = next(one for one in report["arms"] if one["kind"] == "base")
    spread = {"estimate": 0.002, "low": 0.001, "high": 0.004, "level": 0.95, "method": ""}
    arm["cost"] |= {"serve_usd_per_query": 0.002, "serve_interval": spread}
    api.finish(api.add_comparison("c"), finished_files | {"report.json": json.dumps(report).encode()})
    found = {one["arm"]: one for one in client.get("/v1/catalogue").json()["measured"]}
    prices = [found["base"][f"usd_per_1000_queries{end}"] for end in ("_low", "", "_high")]
    assert prices == pytest.approx([1.0, 2.0, 4.0])
    assert found["few-shot"]["usd_per_1000_queries_low"] is None
    whole = next(one for one in arm["metrics"] if one["metric"] == found["base"]["metric"] and one["slice"] is None)
    assert (found["base"]["n"], found["base"]["n_unscored"]) == (whole["n"], whole["n_unscored"])
    assert found["base"]["is_share"]
