import csv
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.events import append_event
from service.store.database import writing
from service.store.reports.results import results_csv
from service.store.tables import answer_blocks
from tests.service.api.conftest import Api


@pytest.fixture
def finished(api: Api, finished_files: dict[str, bytes]) -> str:
    api.finish(api.add_comparison("c"), finished_files)
    return "/v1/comparisons/c"


@pytest.mark.parametrize(
    ("name", "stored", "media_type"),
    [
        ("report.json", "report.json", "application/json"),
        ("report.md", "report.md", "text/markdown; charset=utf-8"),
        ("report.html", "report.html", "text/html; charset=utf-8"),
        ("report.xml", "junit.xml", "application/xml"),
        ("decision.json", "decision.json", "application/json"),
        ("results.jsonl", "results.jsonl", "application/x-ndjson"),
    ],
)
def test_reports_are_given_as_they_were_made(
    client: TestClient, finished: str, finished_files: dict[str, bytes], name: str, stored: str, media_type: str
) -> None:
    response = client.get(f"{finished}/{name}")
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.content == finished_files[stored]


def test_the_page_is_shown_without_scripts_or_network(client: TestClient, finished: str) -> None:
    response = client.get(f"{finished}/report.html")
    assert response.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("state", list(ComparisonState))
def test_a_report_that_is_not_there_is_said_to_be_so(api: Api, client: TestClient, state: ComparisonState) -> None:
    api.move(api.add_comparison("c"), state)
    status = 404 if state is ComparisonState.SUCCEEDED else 409
    for name in ("report.json", "results.csv", "decision.json"):
        assert client.get(f"/v1/comparisons/c/{name}").status_code == status
    assert client.get("/v1/comparisons/nope/report.md").status_code == 404


def test_results_are_paged_and_filtered(client: TestClient, finished: str, finished_files: dict[str, bytes]) -> None:
    rows = [json.loads(line) for line in finished_files["results.jsonl"].splitlines()]
    page = client.get(f"{finished}/results", params={"limit": 3, "offset": 2}).json()
    assert (page["total"], page["complete"]) == (len(rows), True)
    assert [one["example_id"] for one in page["items"]] == [row["example_id"] for row in rows[2:5]]
    assert page["arms"] == ["base", "few-shot", "majority"]
    failure, n_failed = next(iter(page["failures"].items()))
    assert n_failed == sum(row["failure"] == failure for row in rows)

    def total(**wanted: str) -> int:
        return int(client.get(f"{finished}/results", params=wanted).json()["total"])

    assert total(arm="base") == sum(row["arm"] == "base" for row in rows)
    assert total(failure=failure) == n_failed
    assert total(example_id=rows[0]["example_id"]) == 3
    assert total(contains="COLOUR HAS NUMBER 17?") == 3
    assert total(arm="nope") == 0


def test_a_result_has_everything_that_was_recorded(
    client: TestClient, finished: str, finished_files: dict[str, bytes]
) -> None:
    row = json.loads(finished_files["results.jsonl"].splitlines()[0])
    item = client.get(f"{finished}/results", params={"limit": 1}).json()["items"][0]
    assert item == row


def test_the_table_has_a_row_an_answer(client: TestClient, finished: str, finished_files: dict[str, bytes]) -> None:
    rows = [json.loads(line) for line in finished_files["results.jsonl"].splitlines()]
    table = list(csv.DictReader(io.StringIO(client.get(f"{finished}/results.csv").text, newline="")))
    assert [row["example_id"] for row in table] == [row["example_id"] for row in rows]
    assert [row["exact_match"] for row in table] == [
        str(row["scores"]["exact_match"]["value"]) if "exact_match" in row["scores"] else "" for row in rows
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＠A1"])
def test_a_spreadsheet_finds_no_formula(text: str) -> None:
    answer = {"text": text, "finish_reason": "stop", "usage": {}, "retrieved": []}
    row = dict.fromkeys(("arm", "example_id", "question", "slice", "group", "cluster", "failure"), text)
    line = json.dumps({**row, "references": [text], "answer": answer, "scores": {"m": {"value": -1.0}}})
    _, made = csv.reader(io.StringIO("".join(results_csv(line.encode())), newline=""))
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r", "\n", "＝", "＠")) for cell in made)
    assert [cell for cell in made if cell.startswith("-")] == ["-1.0"]


def answered(text: str) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1, "embedding_tokens": 0, "latency_s": 0.1}
    return {"text": text, "usage": usage, "finish_reason": "stop", "retrieved": [], "prompt_hash": "h"}


@pytest.mark.parametrize("state", [ComparisonState.RUNNING, ComparisonState.CANCELLED, ComparisonState.FAILED])
def test_answers_appear_while_it_runs_and_stay_when_it_stops(
    api: Api, client: TestClient, state: ComparisonState
) -> None:
    examples = client.get("/v1/datasets/appliance-support/examples", params={"split": "test", "limit": 3}).json()[
        "items"
    ]
    api.add_comparison("c")
    block = {"stage": "answer", "arm": "base", "done": 2, "total": 3, "key": "stage-1", "score": None}
    answers = {one["id"]: answered(f"answer {one['id']}") for one in examples[:2]}
    with writing(api.engine) as connection:
        connection.execute(
            insert(answer_blocks).values(
                stage="stage-1", block="b", answers=json.dumps(answers), wall_s=1.0, created_at=0.0
            )
        )
        append_event(connection, "c", "block", block)
    api.move("c", state)
    page = client.get("/v1/comparisons/c/results").json()
    assert (page["total"], page["complete"], page["arms"]) == (2, False, ["base"])
    assert page["items"][0]["question"] == examples[0]["question"]
    assert page["items"][0]["answer"]["text"] == f"answer {examples[0]['id']}"
    assert client.get("/v1/comparisons/c/results", params={"contains": examples[1]["id"]}).json()["total"] == 1
    assert client.get("/v1/comparisons/c/results", params={"arm": "rag"}).json()["total"] == 0
