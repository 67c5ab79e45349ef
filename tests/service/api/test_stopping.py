"""The end of a service, as those see it who are being answered."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from service.api.stopping import EndsWithService
from tests.service.api.conftest import Api

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {"request_id": "r"}}


@pytest.fixture
def patient(api: Api) -> Api:
    """Streams and waits of a minute."""
    settings = replace(api.settings, event_stream_s=60.0, longest_wait_s=60.0)
    patient = Api(api.engine, api.home, settings)
    patient.add_comparison("c")
    return patient


@pytest.mark.parametrize("path", ["/v1/comparisons/c/events", "/v1/comparisons/c?wait_s=60"])
def test_who_watches_or_waits_is_let_go_at_once(patient: Api, path: str) -> None:
    started = time.monotonic()
    stopper = threading.Timer(0.2, patient.app.state.stopping.set)
    stopper.start()
    reply = patient.client().get(path)
    stopper.join()
    assert reply.status_code == 200
    assert time.monotonic() - started < 30


def cancelled(*, is_stopping: bool, begins: bool, path: str = "/") -> list[Any]:
    """What is sent of a request that the server gives up."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        stopping = threading.Event()
        if is_stopping:
            stopping.set()
        served = EndsWithService(application, stopping)
        task = asyncio.create_task(served(SCOPE | {"path": path}, None, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(run())
    return sent


def test_a_request_that_is_given_up_is_told_to_come_again() -> None:
    start, body = cancelled(is_stopping=True, begins=False)
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"10"
    assert "being stopped" in json.loads(body["body"])["detail"]


def test_a_request_of_openais_protocol_is_given_up_in_its_shape() -> None:
    start, body = cancelled(is_stopping=True, begins=False, path="/v1/chat/completions")
    assert start["status"] == 503
    assert "being stopped" in json.loads(body["body"])["error"]["message"]


def test_an_answer_that_has_begun_is_not_made_to_look_whole() -> None:
    assert [message["type"] for message in cancelled(is_stopping=True, begins=True)] == ["http.response.start"]


def test_a_cancellation_for_another_reason_goes_on() -> None:
    with pytest.raises(asyncio.CancelledError):
        cancelled(is_stopping=False, begins=False)
