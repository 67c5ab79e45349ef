import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.contract.comparison_state import ComparisonState
from service.run.progress import silent
from service.run.side_run import work_on
from service.store.comparisons.comparison_store import find_comparison
from service.store.tables import QUESTION_RUN
from tests.rag.test_made_questions import DOCUMENTS
from tests.service.api.conftest import Api
from tests.service.run.test_question_run import scripted

PATH = "/v1/question-runs"
FILES = [("files", (f"shop/{one.id}.md", f"# {one.title}\n\n{one.text}".encode())) for one in DOCUMENTS]


def test_files_that_are_sent_become_questions_of_a_new_version(api: Api, client: TestClient) -> None:
    sent = client.post(PATH, files=[*FILES, ("files", ("shop/q.csv", b"question,answer\nWhy?,x\n"))], data={"facts": 9})
    assert sent.status_code == 202
    run = sent.json()
    assert [one["name"] for one in run["files"] if not one["document_id"]] == ["q.csv"]
    assert (run["name"], run["dataset"], run["settings"]["facts"]) == ("documents-questions", None, 9)
    assert api.submitted == [QUESTION_RUN + run["id"]]
    api.move(QUESTION_RUN + run["id"], ComparisonState.RUNNING)
    stored = find_comparison(api.engine, QUESTION_RUN + run["id"])
    work_on(api.engine, api.context.directory, stored, silent, scripted)
    ended = client.get(f"{PATH}/{run['id']}", params={"wait_s": 5}).json()
    assert ended["state"] == "succeeded"
    assert ended["made"]["dropped"]["the answer is not in the passage"] > 0
    assert client.get(f"/v1/datasets/{ended['made']['version']}").json()["n_documents"] == len(DOCUMENTS)
    assert client.delete(f"{PATH}/{run['id']}").status_code == 204
    assert client.get(f"{PATH}/{run['id']}").status_code == 404


def test_a_run_is_no_comparison(api: Api, client: TestClient) -> None:
    run = client.post(PATH, json={"dataset": "appliance-support", "facts": 5}).json()
    assert run["name"] == "appliance-support-questions"
    api.move(QUESTION_RUN + run["id"], ComparisonState.SUCCEEDED)
    assert client.get("/v1/comparisons").json()["total"] == 0
    assert client.get(f"/v1/comparisons/{QUESTION_RUN}{run['id']}").status_code == 422
    assert [one["id"] for one in client.get(PATH).json()["items"]] == [run["id"]]
    # What reads finished comparisons passes it over.
    assert client.post("/v1/comparisons/estimate", json={"dataset": "appliance-support"}).status_code == 200
    assert client.get("/v1/models").json()["data"] == []


def test_a_run_is_cancelled_resumed_and_made_once_a_key(api: Api, client: TestClient) -> None:
    body, key = {"dataset": "appliance-support"}, {"Idempotency-Key": "nightly"}
    run = client.post(PATH, json=body, headers=key).json()
    assert client.post(PATH, json=body, headers=key).json()["id"] == run["id"]
    assert client.post(PATH, json=body | {"facts": 3}, headers=key).status_code == 422
    path = f"{PATH}/{run['id']}"
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{path}/resume").json()["state"] == "queued"
    assert client.delete(path).status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 422, "name a dataset"),
        ({"dataset": "nowhere"}, 422, "there is no dataset"),
        ({"dataset": "appliance-support", "facts": 0}, 422, "greater than or equal to 1"),
        ({"dataset": "appliance-support", "colour": 1}, 422, "colour"),
        ({"dataset": "appliance-support", "model": "gguf:/etc/passwd"}, 422, "give smollm2"),
        ({"dataset": "appliance-support", "embedder": "hf:/etc"}, 422, "not a path of the server"),
        ({"dataset": "appliance-support", "name": "a/b"}, 422, "it holds a slash"),
    ],
)
def test_what_cannot_be_run_is_refused(client: TestClient, body: dict[str, Any], status: int, told: str) -> None:
    reply = client.post(PATH, json=body)
    assert reply.status_code == status
    assert told in json.dumps(reply.json())


def test_files_without_documents_are_refused_with_the_reason(client: TestClient) -> None:
    reply = client.post(PATH, files=[("files", ("q.csv", b"question,answer\nWhy?,x\n"))])
    assert reply.status_code == 422
    assert "no document" in json.dumps(reply.json())
    assert client.post(PATH, content=b"x", headers={"content-type": "text/plain"}).status_code == 415
