"""Asking over HTTP."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.store.api_keys import create_key

ANSWERS = "/v1/comparisons/one/pipelines/rag/answers"
QUESTION = "Which colour has number 7?"


def events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_answers_come_in_order_with_sources_tokens_seconds_and_cost(service: Any) -> None:
    reply = service.client.post(ANSWERS, json={"questions": [QUESTION, "  Why 8? "]})
    assert reply.status_code == 200
    body = reply.json()
    assert (body["comparison_id"], body["kind"]) == ("one", "rag")
    first, second = body["answers"]
    assert (first["question"], second["question"]) == (QUESTION, "Why 8?")
    assert [one["text"] for one in body["answers"]] == ["you asked 7? with 1 turns", "you asked 8? with 1 turns"]
    assert first["batch_size"] == 2
    assert len(first["sources"]) == 3
    assert set(first["sources"][0]) == {"chunk_id", "document_id", "title", "text", "score", "used"}
    assert first["tokens"]["embedding_tokens"] == 5
    assert first["tokens"]["output_tokens"] == 6
    assert first["cost_usd"] is None  # a scripted model has no price
    assert first["latency_s"] >= first["model_s"] > 0
    assert first["finish_reason"] == "stop"


def test_all_arms_answer_side_by_side(service: Any) -> None:
    body = service.client.post("/v1/comparisons/one/answers", json={"question": QUESTION}).json()
    assert [arm["kind"] for arm in body["arms"]] == ["base", "few-shot", "rag"]
    assert [bool(arm["answer"]["sources"]) for arm in body["arms"]] == [False, False, True]
    assert all(arm["error"] is None for arm in body["arms"])


def test_an_arm_that_cannot_answer_says_why_and_the_others_answer(service: Any) -> None:
    indexes = service.desk.directory.root / "stages" / "indexes"
    away = indexes.rename(indexes.with_name("away"))
    try:
        reply = service.client.post(ANSWERS, json={"questions": [QUESTION]})
        body = service.client.post("/v1/comparisons/one/answers", json={"question": QUESTION}).json()
    finally:
        indexes.rmdir()
        away.rename(indexes)
    assert reply.status_code == 409
    assert reply.headers["content-type"] == "application/problem+json"
    assert "the index of this comparison is not in the data directory" in reply.json()["detail"]
    assert [arm["error"] is None for arm in body["arms"]] == [True, True, False]


def test_a_stream_gives_pieces_then_the_answer(service: Any) -> None:
    reply = service.client.post(f"{ANSWERS}/stream", json={"question": QUESTION})
    assert reply.headers["content-type"].startswith("text/event-stream")
    *pieces, (last, answer) = events(reply.text)
    assert {name for name, _ in pieces} == {"piece"}
    assert last == "answer"
    assert "".join(data["text"] for _, data in pieces) == answer["text"] == "you asked 7? with 1 turns"
    assert len(answer["sources"]) == 3


@pytest.mark.parametrize("address", [ANSWERS, f"{ANSWERS}/stream", "/v1/comparisons/one/answers"])
def test_what_is_not_there_or_not_ready_is_told(service: Any, address: str) -> None:
    service.add("waiting", ComparisonState.QUEUED)
    body = {"questions": ["q"]} if address == ANSWERS else {"question": "q"}
    gone = service.client.post(address.replace("/one/", "/two/"), json=body)
    assert (gone.status_code, "no comparison 'two'" in gone.json()["detail"]) == (404, True)
    unready = service.client.post(address.replace("/one/", "/waiting/"), json=body)
    assert (unready.status_code, "is queued" in unready.json()["detail"]) == (409, True)
    if "rag" in address:
        other = service.client.post(address.replace("/rag/", "/hybrid/"), json=body)
        assert (other.status_code, "it has base, few-shot, rag" in other.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    "body",
    [
        {"questions": []},
        {"questions": ["q"] * 65},
        {"questions": [" "]},
        {"questions": ["\ud800"]},
        {"questions": "q"},
        {"questions": ["q"], "model": "x"},
        {},
    ],
)
def test_unfit_questions_are_refused_before_anything_is_loaded(service: Any, body: Any) -> None:
    reply = service.client.post(ANSWERS, content=json.dumps(body), headers={"content-type": "application/json"})
    assert reply.status_code == 422
    assert reply.json()["title"] == "Invalid request"
    assert service.desk.models == []


def test_a_full_queue_says_when_to_come_back(crowded_service: Any) -> None:
    reply = crowded_service.client.post(ANSWERS, json={"questions": ["a", "b"]})
    assert reply.status_code == 429
    assert reply.headers["content-type"] == "application/problem+json"
    assert int(reply.headers["retry-after"]) >= 1


def test_asking_takes_a_key_that_may_run(service: Any) -> None:
    secrets = {scope: create_key(service.engine, scope, [scope])[1] for scope in (Scope.READ, Scope.RUN)}
    replies = {
        scope: service.client.post(ANSWERS, json={"questions": ["q"]}, headers={"Authorization": f"Bearer {secret}"})
        for scope, secret in secrets.items()
    }
    assert replies[Scope.READ].status_code == 403
    assert replies[Scope.RUN].status_code == 200
    assert service.client.post(ANSWERS, json={"questions": ["q"]}).status_code == 401


def test_answers_are_counted(service: Any) -> None:
    service.client.post(ANSWERS, json={"questions": ["a", "b"]})
    assert 'tuning_fork_answers_total{arm="rag"} 2.0' in service.client.get("/metrics").text


def test_a_question_whose_caller_hung_up_is_not_asked(address: tuple[str, Any]) -> None:
    url, service = address
    secret = create_key(service.engine, "ci", [Scope.RUN])[1]
    leases = service.app.state.served._comparisons
    with (
        httpx.Client(headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client,
        ThreadPoolExecutor() as pool,
    ):
        client.post(f"{url}{ANSWERS}", json={"questions": ["warm up"]})
        (model,) = service.desk.models
        model.entered.acquire()
        model.hold()
        first = pool.submit(client.post, f"{url}{ANSWERS}", json={"questions": ["first"]})
        assert model.entered.acquire(timeout=60)
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{url}{ANSWERS}", json={"questions": ["left"]}, timeout=0.5)
        deadline = time.monotonic() + 60
        while leases._leases["one"].n_users > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        model.opened.set()
        assert first.result(60).status_code == 200
        assert client.post(f"{url}{ANSWERS}", json={"questions": ["after"]}).status_code == 200
    assert model.batches == [["warm up"], ["first"], ["after"]]
