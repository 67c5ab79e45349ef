import sys
import threading

import pytest
from fastapi.testclient import TestClient

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.events import append_event
from service.store.database import writing
from tests.service.api.conftest import Api


def ids(text: str) -> list[int]:
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


def add(api: Api, n: int) -> None:
    for i in range(n):
        with writing(api.engine) as connection:
            append_event(connection, "c", "progress", {"stage": "answer", "arm": "base", "done": i, "total": n})


@pytest.fixture
def comparison_id(api: Api) -> str:
    return api.add_comparison("c")


def test_a_stream_ends_after_the_final_state(api: Api, client: TestClient, comparison_id: str) -> None:
    add(api, 5)
    api.move("c", ComparisonState.SUCCEEDED)
    response = client.get("/v1/comparisons/c/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert ids(response.text) == [1, 2, 3, 4, 5, 6, 7]
    assert '"state": "succeeded"' in response.text.strip().splitlines()[-1]


@pytest.mark.parametrize("after", [0, 1, 6, 7, 100])
def test_a_stream_is_resumed_behind_the_last_event(
    api: Api, client: TestClient, comparison_id: str, after: int
) -> None:
    add(api, 5)
    api.move("c", ComparisonState.SUCCEEDED)
    by_header = client.get("/v1/comparisons/c/events", headers={"Last-Event-ID": str(after)})
    by_query = client.get("/v1/comparisons/c/events", params={"after": after})
    assert ids(by_header.text) == ids(by_query.text) == list(range(after + 1, 8))


def test_events_come_as_they_happen_without_a_gap(api: Api, client: TestClient, comparison_id: str) -> None:
    def write() -> None:
        add(api, 40)
        api.move("c", ComparisonState.CANCELLED)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    # Streams are cut off after half a second here, and taken up again.
    while "cancelled" not in (text := client.get("/v1/comparisons/c/events", params={"after": len(seen)}).text):
        seen += ids(text)
    writer.join()
    assert seen + ids(text) == list(range(1, 43))


def test_a_silent_stream_has_heartbeats(
    client: TestClient, comparison_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = sys.modules["service.api.routes.events"]
    monkeypatch.setattr(route, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(route, "PAUSE_S", 0.02)
    assert ": still here\n\n" in client.get("/v1/comparisons/c/events").text


def test_a_stream_of_a_comparison_that_is_deleted_ends(api: Api, client: TestClient, comparison_id: str) -> None:
    api.move("c", ComparisonState.CANCELLED)
    client.delete("/v1/comparisons/c")
    assert client.get("/v1/comparisons/c/events").status_code == 404


@pytest.mark.parametrize("value", ["-1", "x", "1e3", "9" * 30, ""])
def test_a_senseless_last_event_is_refused(client: TestClient, comparison_id: str, value: str) -> None:
    assert client.get("/v1/comparisons/c/events", headers={"Last-Event-ID": value}).status_code == 422


def test_text_of_any_script_comes_through(api: Api, client: TestClient, comparison_id: str) -> None:
    with writing(api.engine) as connection:
        append_event(connection, "c", "finding", {"text": "လူ العربية 😀\u2028\n"})
    api.move("c", ComparisonState.FAILED)
    assert ids(client.get("/v1/comparisons/c/events").text) == [1, 2, 3]
