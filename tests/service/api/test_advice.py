from fastapi.testclient import TestClient

from advisor.questionnaire import load_questionnaire
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
