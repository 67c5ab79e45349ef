import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ComparisonRequest
from service.run.remote_settings import sent_settings
from service.run.settings import ComparisonSettings
from service.run.stored_comparison import job_settings
from service.store.comparisons.comparison_store import find_comparison, list_comparisons
from service.store.comparisons.events import append_event
from service.store.database import writing
from service.store.tables import comparisons
from tests.service.api.conftest import FILES, Api

OLD_HOME = Path(__file__).parents[3] / "fixtures" / "home-24f09f5"
BODY = {"dataset": "appliance-support", "arms": ["base", "rag"], "limit": 10}


def create(client: TestClient, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key} if key is not None else {}
    return client.post("/v1/comparisons", json=body or BODY, headers=headers)


def test_a_comparison_is_queued_and_can_be_found(api: Api, client: TestClient) -> None:
    response = create(client, {**BODY, "name": "First try"})
    made = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/comparisons/{made['id']}"
    assert made["id"].startswith("appliance-support-")
    assert (made["state"], made["name"], made["queue_position"]) == ("queued", "First try", 0)
    assert made["estimate"]["n_questions"] == 10
    assert api.submitted == [made["id"]]
    assert client.get(response.headers["Location"]).json()["id"] == made["id"]
    assert [item["id"] for item in client.get("/v1/comparisons").json()["items"]] == [made["id"]]


def test_the_defaults_are_those_of_the_command_line() -> None:
    request = ComparisonRequest(dataset="x").model_dump(mode="json", exclude={"name", "effort", "pipelines", "files"})
    defaults = ComparisonSettings("x").to_json()
    assert request == {name: defaults[name] for name in request}


def test_every_setting_but_those_of_the_machine_can_be_set_remotely() -> None:
    missing = set(ComparisonSettings.__dataclass_fields__) - set(ComparisonRequest.model_fields)
    assert missing == {"task", "trust_remote_code", "launch_config", "tensorboard", "chroma"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset": "nope"}, "no dataset 'nope'"),
        ({"dataset": "../datasets/appliance-support"}, "body.dataset"),
        ({"dataset": "/etc"}, "body.dataset"),
        ({"model": "hf:/etc/passwd"}, "not a path of the server"),
        ({"model": "hf:../secrets"}, "not a path of the server"),
        ({"model": "hf:datasets/appliance-support"}, "not a path of the server"),
        ({"model": "hf:~root"}, "not a path of the server"),
        ({"model": "./model"}, "hf:NAME"),
        ({"model": "org/name"}, "hf:NAME"),
        ({"model": "gguf:/srv/model.gguf"}, "hf:NAME"),
        ({"model": "model.gguf"}, "hf:NAME"),
        ({"model": "file:///etc/passwd"}, "hf:NAME"),
        ({"model": "openai:"}, "hf:NAME"),
        ({"model": "openai:@http://example.org"}, "names no model"),
        ({"model": "openai:m@http://169.254.169.254/v1"}, "169.254.169.254"),
        ({"model": "openai:m@http://127.0.0.1:8000/v1"}, "127.0.0.1"),
        ({"model": "openai:m@http://localhost/v1"}, "localhost"),
        ({"model": "openai:m@file:///etc/passwd"}, "http"),
        ({"judge": "openai:m@http://10.0.0.1/v1"}, "10.0.0.1"),
        ({"judge": "minilm"}, "judge"),
        ({"embedder": "smollm2"}, "embedder"),
        ({"embedder": "hf:/srv/model"}, "not a path of the server"),
        ({"embedder": "openai:m@http://[::1]/v1"}, "::1"),
        ({"arms": ["base", "base"]}, "named twice"),
        ({"arms": []}, "body.arms"),
        ({"arms": ["magic"]}, "body.arms"),
        ({"overlap_tokens": 500}, "overlap_tokens"),
        ({"margin": 1}, "body.margin"),
        ({"trust_remote_code": True}, "never run for a caller"),
        ({"task": "extraction"}, "body.task"),
        ({"mdoel": "smollm2"}, "body.mdoel: is unknown"),
        ({"prices": "/etc/passwd"}, "body.prices"),
        ({"prices": {"as_of": "2026-01-01"}}, "source"),
        ({"prior": {"nope": "x"}}, "no question 'nope'"),
        ({"values": {"right_usd": -1}}, "body.values.right_usd"),
        ({"traffic": {"queries_per_month": "many"}}, "body.traffic.queries_per_month"),
    ],
)
def test_an_unfit_request_is_refused_by_what_is_wrong(
    api: Api, client: TestClient, change: dict[str, Any], told: str
) -> None:
    response = create(client, {**BODY, **change})
    assert response.status_code == 422
    assert told in response.json()["detail"]
    assert list_comparisons(api.engine)[1] == 0


def test_the_same_key_and_body_give_the_same_comparison(api: Api, client: TestClient) -> None:
    first, second = create(client, key="k"), create(client, dict(reversed(BODY.items())), key="k")
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    assert len(api.submitted) == 1


def test_the_same_key_with_another_body_is_refused(client: TestClient) -> None:
    create(client, key="k")
    response = create(client, {**BODY, "seed": 1}, key="k")
    assert (response.status_code, response.json()["title"]) == (422, "Idempotency key reused")


def test_without_a_key_each_request_is_a_comparison_of_its_own(client: TestClient) -> None:
    assert create(client).json()["id"] != create(client).json()["id"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é"])
def test_a_senseless_key_is_refused(client: TestClient, key: str) -> None:
    response = client.post("/v1/comparisons", json=BODY, headers={"Idempotency-Key": key.encode()})
    assert response.status_code == 422


def test_many_callers_at_once_with_one_key_make_one_job(api: Api) -> None:
    ids: list[str] = []
    statuses: list[int] = []

    def call() -> None:
        client = api.client()
        for _ in range(10):
            response = create(client, key="k")
            statuses.append(response.status_code)
            ids.append(response.json()["id"])

    api.client().get("/v1/datasets/appliance-support")
    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [202] * 100
    assert len(set(ids)) == len(api.submitted) == list_comparisons(api.engine)[1] == 1


def test_a_full_queue_refuses_and_says_when_to_come_back(api: Api, client: TestClient) -> None:
    made = [create(client, key=str(i)).json()["id"] for i in range(3)]
    refused = create(client)
    assert (refused.status_code, refused.json()["title"]) == (429, "Queue full")
    assert int(refused.headers["Retry-After"]) > 0
    assert create(client, key="0").status_code == 202
    api.move(made[0], ComparisonState.SUCCEEDED)
    assert create(client).status_code == 202


def test_a_broken_queue_costs_no_accepted_comparison(api: Api) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("no queue")

    api.app.state.context = type(api.context)(api.engine, api.context.directory, fail, api.settings)
    made = create(api.client())
    assert made.status_code == 202
    assert find_comparison(api.engine, made.json()["id"]).state is ComparisonState.QUEUED


def test_keyed_creates_of_the_first_version_give_what_they_gave(api: Api, client: TestClient) -> None:
    """That version hashed its defaults, too, which are others today; people may have renamed what was made."""
    recorded = [json.loads(line) for line in (OLD_HOME / "keyed_creates.jsonl").read_text("utf-8").splitlines()]
    for i, row in enumerate(recorded):
        stored = {name: row[name] for name in ("name", "settings", "request_sha256")}
        rest = {"dataset": "appliance-support", "state": "succeeded", "cancel_requested": False, "created_at": 0}
        with writing(api.engine) as connection:
            connection.execute(
                insert(comparisons).values(id=f"old-{i}", idempotency_key=f"local:{i}", **stored, **rest)
            )
    client.patch("/v1/comparisons/old-1", json={"name": "Renamed"})
    for i, row in enumerate(recorded):
        reply = create(client, row["body"], key=str(i))
        assert (reply.status_code, reply.json()["id"]) == (202, f"old-{i}"), reply.text
        assert reply.json()["arms"] == reply.json()["pipelines"]
        assert create(client, {**row["body"], "seed": 7}, key=str(i)).status_code == 422
    assert api.submitted == []


def test_what_a_caller_leaves_out_is_no_part_of_the_request() -> None:
    """So a retry is known again after an upgrade that changes a default or adds a setting."""
    sent = {"dataset": "d", "constraints": {"no_gpu_in_serving": True}, "tuning": {}, "name": None}
    assert sent_settings(ComparisonRequest(**sent, pipelines=["base"])) == {**sent, "arms": ["base"]}


def test_both_names_of_arms_must_agree(client: TestClient) -> None:
    assert create(client, {**BODY, "pipelines": BODY["arms"]}).status_code == 202
    refused = create(client, {**BODY, "pipelines": ["base"]})
    assert refused.status_code == 422
    assert "pipelines is its older name" in refused.json()["detail"]


def test_an_effort_is_stored_as_what_it_came_to(api: Api, client: TestClient) -> None:
    body = {"dataset": "appliance-support", "arms": ["base", "fine-tuned"], "effort": "quick", "max_epochs": 1}
    made = create(client, body, key="k").json()
    assert (made["settings"]["limit"], made["settings"]["max_epochs"]) == (100, 1)
    assert create(client, body, key="k").json()["id"] == made["id"]
    assert create(client, {**body, "effort": "thorough"}, key="k").status_code == 422


def test_estimating_stores_nothing(api: Api, client: TestClient) -> None:
    estimate = client.post("/v1/comparisons/estimate", json={**BODY, "arms": ["base", "rag", "fine-tuned"]}).json()
    assert list_comparisons(api.engine)[1] == 0
    assert estimate["n_questions"] == 10
    assert estimate["is_rough"]
    assert any("guess" in line for line in estimate["basis"])
    assert {stage["stage"] for stage in estimate["stages"]} == {"load", "index", "tune", "answer", "latency", "report"}
    assert estimate["time_s"] == pytest.approx(sum(stage["time_s"] for stage in estimate["stages"]))
    assert estimate["usd"] > 0


def test_an_estimate_has_no_tokens_for_arms_without_a_language_model(client: TestClient) -> None:
    pipelines = ["base", "nearest-question", "classifier", "nearest-few-shot"]
    body = {"dataset": "ticket-triage", "arms": pipelines, "limit": 60}
    stages = client.post("/v1/comparisons/estimate", json=body).json()["stages"]
    answering = {stage["arm"]: stage for stage in stages if stage["stage"] == "answer"}
    for kind in ("nearest-question", "classifier"):
        assert (answering[kind]["input_tokens"], answering[kind]["output_tokens"]) == (0, 0)
        assert answering[kind]["time_s"] > 0
    assert answering["nearest-few-shot"]["input_tokens"] > answering["base"]["input_tokens"]
    # Training questions are embedded once.
    assert answering["nearest-question"]["embedding_tokens"] > answering["classifier"]["embedding_tokens"] > 0
    assert {stage["arm"] for stage in stages if stage["stage"] == "form"} == {"base", "nearest-few-shot"}


@pytest.mark.parametrize(("constrain", "n_answers"), [("auto", 120), ("off", 0)])
def test_an_estimate_counts_the_validation_questions_that_are_answered_both_ways(
    client: TestClient, constrain: str, n_answers: int
) -> None:
    body = {"dataset": "ticket-triage", "arms": ["base"], "limit": 60, "constrain": constrain}
    stages = client.post("/v1/comparisons/estimate", json=body).json()["stages"]
    read = {stage["stage"]: stage["input_tokens"] for stage in stages}
    assert read.get("form", 0) == pytest.approx(read["answer"] * n_answers / 60, abs=2)
    written = {stage["stage"]: stage["output_tokens"] for stage in stages}
    # A model that is not held to the labels writes on.
    assert not n_answers or written["form"] > written["answer"] * n_answers / 60 + 60


def test_an_estimate_says_what_the_test_set_can_show(client: TestClient) -> None:
    power = client.post("/v1/comparisons/estimate", json={**BODY, "limit": 40, "margin": 0.05}).json()["power"]
    assert power["n_questions"] == 40 >= power["n_clusters"]
    assert 0.1 < power["detectable"] < 1
    assert power["questions_for_margin"] > power["questions_for_ten_points"] > 40
    assert "the margin of 5 points" in power["message"]


@pytest.mark.parametrize("path", ["/v1/comparisons/estimate", "/v1/comparisons"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"arms": ["base", "hybrid"], "model": "openai:m"}, "cannot be tuned here; leave hybrid out"),
        ({"arms": ["base", "classifier"]}, "classifier is for classification alone"),
    ],
)
def test_arms_that_cannot_run_are_refused_before_the_run(
    client: TestClient, path: str, change: dict[str, Any], told: str
) -> None:
    response = client.post(path, json=BODY | change)
    assert response.status_code == 422
    assert told in response.json()["detail"]


def test_an_estimate_uses_speeds_that_were_measured(
    api: Api, client: TestClient, finished_files: dict[str, bytes]
) -> None:
    api.finish(api.add_comparison("earlier"), finished_files)
    estimate = client.post("/v1/comparisons/estimate", json={**BODY, "arms": ["base", "few-shot"]}).json()
    stages = {stage["arm"]: stage["basis"] for stage in estimate["stages"] if stage["stage"] == "answer"}
    assert stages["base"] == stages["few-shot"] == "measured in earlier"


def test_a_model_without_a_price_has_no_sum_of_money(client: TestClient) -> None:
    body = {**BODY, "model": "openai:unheard-of", "arms": ["base"]}
    assert client.post("/v1/comparisons/estimate", json=body).json()["usd"] is None
    prices = {
        "as_of": "2026-01-01",
        "source": "a letter",
        "models": {
            "unheard-of": {
                "usd_per_million_input_tokens": 1e6,
                "usd_per_million_output_tokens": 0,
                "as_of": "2026-01-01",
                "source": "a letter",
            }
        },
    }
    estimate = client.post("/v1/comparisons/estimate", json={**body, "prices": prices}).json()
    assert estimate["usd"] == pytest.approx(estimate["input_tokens"], rel=0.01)


def test_settings_reach_the_job_as_they_were_sent(api: Api, client: TestClient) -> None:
    uploaded = client.post("/v1/datasets", files=[("files", item) for item in FILES.items()]).json()
    prices = {"as_of": "2026-01-01", "source": "a letter", "machines": {}}
    body = {
        "dataset": uploaded["version"],
        "arms": ["base"],
        "prices": prices,
        "prior": {"task": None},
        "top_k": 7,
    }
    made = create(client, body)
    assert made.status_code == 202
    stored = find_comparison(api.engine, made.json()["id"], sent_files=True)
    settings = job_settings(api.engine, api.context.directory, stored.dataset, stored.settings)
    assert settings.top_k == 7
    assert sorted(path.name for path in settings.dataset_folder.iterdir()) == [
        "dataset.toml",
        "documents.jsonl",
        "questions.jsonl",
    ]
    assert settings.prices is not None
    assert json.loads(settings.prices.read_text()) == prices
    assert settings.prior is not None
    assert json.loads(settings.prior.read_text()) == {"task": None}


def test_waiting_ends_with_the_comparison(api: Api, client: TestClient) -> None:
    comparison_id = create(client).json()["id"]
    timer = threading.Timer(0.05, api.move, [comparison_id, ComparisonState.FAILED], {"error": "no"})
    timer.start()
    found = client.get(f"/v1/comparisons/{comparison_id}", params={"wait_s": 60}).json()
    timer.join()
    assert (found["state"], found["error"]) == ("failed", "no")


def test_waiting_has_an_end(client: TestClient) -> None:
    comparison_id = create(client).json()["id"]
    assert client.get(f"/v1/comparisons/{comparison_id}", params={"wait_s": 60}).json()["state"] == "queued"
    assert client.get(f"/v1/comparisons/{comparison_id}", params={"wait_s": 61}).status_code == 422


def test_what_waits_is_cancelled_at_once(client: TestClient) -> None:
    path = f"/v1/comparisons/{create(client).json()['id']}"
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{path}/cancel").status_code == 202


def test_what_runs_is_asked_to_stop(api: Api, client: TestClient) -> None:
    comparison_id = create(client).json()["id"]
    api.move(comparison_id, ComparisonState.RUNNING)
    found = client.post(f"/v1/comparisons/{comparison_id}/cancel").json()
    assert (found["state"], found["cancel_requested"]) == ("running", True)


@pytest.mark.parametrize("state", [ComparisonState.SUCCEEDED, ComparisonState.FAILED])
def test_what_is_over_cannot_be_cancelled(api: Api, client: TestClient, state: ComparisonState) -> None:
    api.move(api.add_comparison("c"), state)
    assert client.post("/v1/comparisons/c/cancel").status_code == 409


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ComparisonState.QUEUED, 409),
        (ComparisonState.RUNNING, 409),
        (ComparisonState.SUCCEEDED, 409),
        (ComparisonState.FAILED, 202),
        (ComparisonState.CANCELLED, 202),
    ],
)
def test_only_what_stopped_early_can_be_resumed(
    api: Api, client: TestClient, state: ComparisonState, status: int
) -> None:
    api.move(api.add_comparison("c"), state, error="no")
    response = client.post("/v1/comparisons/c/resume")
    assert response.status_code == status
    if status == 202:
        assert response.json()["state"] == "queued"
        assert response.json()["error"] is None
        assert api.submitted == ["c"]


def test_only_what_is_over_can_be_deleted(api: Api, client: TestClient) -> None:
    comparison_id = create(client).json()["id"]
    path = f"/v1/comparisons/{comparison_id}"
    assert client.delete(path).status_code == 409
    client.post(f"{path}/cancel")
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_the_list_is_paged_and_filtered(api: Api, client: TestClient) -> None:
    for i in range(5):
        api.add_comparison(f"c{i}")
        time.sleep(0.001)
    api.move("c1", ComparisonState.FAILED)
    page = client.get("/v1/comparisons", params={"limit": 2, "offset": 1}).json()
    assert ([item["id"] for item in page["items"]], page["total"]) == (["c3", "c2"], 5)
    failed = client.get("/v1/comparisons", params={"state": "failed"}).json()
    assert [item["id"] for item in failed["items"]] == ["c1"]
    assert client.get("/v1/comparisons", params={"dataset": "other"}).json()["total"] == 0
    assert client.get("/v1/comparisons", params={"sate": "failed"}).json()["title"] == "Unknown parameter"


def test_progress_scores_and_remaining_time_are_told(api: Api, client: TestClient) -> None:
    comparison_id = create(client).json()["id"]
    api.move(comparison_id, ComparisonState.RUNNING)
    block = {"stage": "answer", "arm": "base", "done": 5, "total": 10, "key": "s", "score": 0.4}
    with writing(api.engine) as connection:
        append_event(connection, comparison_id, "progress", {"stage": "index", "arm": "", "done": 0, "total": 9})
        append_event(connection, comparison_id, "progress", {"stage": "index", "arm": "", "done": 9, "total": 9})
        append_event(connection, comparison_id, "block", block)
    found = client.get(f"/v1/comparisons/{comparison_id}").json()
    assert [(one["stage"], one["done"], one["total"]) for one in found["progress"]] == [
        ("index", 9, 9),
        ("answer", 5, 10),
    ]
    assert found["running_scores"] == [
        {"arm": "base", "metric": "contains_answer", "mean": 0.4, "n": 5, "n_questions": 10}
    ]
    assert found["eta_s"] >= 0
    assert found["last_event"] == 5


def test_a_finished_comparison_says_its_verdict(api: Api, client: TestClient, finished_files: dict[str, bytes]) -> None:
    api.finish(api.add_comparison("c"), finished_files)
    report = json.loads(finished_files["report.json"])
    told = report["recommendation"]
    winner = next(arm for arm in report["arms"] if arm["kind"] == told["arm"])
    score = next(one for one in winner["metrics"] if one["metric"] == told["metric"])["interval"]["estimate"]
    for found in (client.get("/v1/comparisons/c").json(), client.get("/v1/comparisons").json()["items"][0]):
        assert (found["verdict"], found["headline"]) == (told["verdict"], told["headline"])
        assert (found["recommended_arm"], found["metric"], found["score"]) == (told["arm"], told["metric"], score)
        assert (found["dataset_name"], found["dataset_number"]) == ("appliance-support", None)


def test_a_damaged_report_leaves_the_list_standing(
    api: Api, client: TestClient, finished_files: dict[str, bytes]
) -> None:
    api.finish(api.add_comparison("c"), finished_files | {"report.json": b"\xff{"})
    assert client.get("/v1/comparisons").json()["items"][0]["verdict"] is None


@pytest.mark.parametrize("comparison_id", ["nope", "%00", "..%2f..", "a%20b", "x" * 65, "'", "%ff"])
def test_unknown_and_senseless_ids_are_no_defects(client: TestClient, comparison_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/resume"), ("GET", "/events")):
        response = client.request(method, f"/v1/comparisons/{comparison_id}{path}")
        assert response.status_code in (404, 405, 422)
        assert response.headers["content-type"] == "application/problem+json"
