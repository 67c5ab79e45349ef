from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from advisor.data.folder_import import FileOutcome
from service.contract.client import REPORT_NAMES, ServiceClient, ServiceError, StreamedEvent, read_folder


def answering(*responses: httpx.Response | Exception) -> tuple[ServiceClient, list[httpx.Request]]:
    """A client of a service that gives these answers in turn."""
    requests: list[httpx.Request] = []
    left = list(responses)

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        requests.append(request)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ServiceClient("http://service", "tf_key", transport=httpx.MockTransport(handle)), requests


def summary(state: str) -> dict[str, Any]:
    return {
        "id": "c",
        "name": "n",
        "dataset": "d",
        "model": "smollm2",
        "arms": ["base"],
        "state": state,
        "cancel_requested": False,
        "created_at": 0.0,
        "settings": {},
    }


def test_the_key_is_sent() -> None:
    client, requests = answering(httpx.Response(200, json={"items": []}))
    client.list_keys()
    assert requests[0].headers["Authorization"] == "Bearer tf_key"


@pytest.mark.parametrize("name", ["../keys", "a/b", "a?b=c", "..", ".", "%2e", "#", "é", "a b"])
def test_a_name_cannot_lead_to_another_address(name: str) -> None:
    client, requests = answering(httpx.Response(200, json=summary("queued")))
    client.get_comparison(name)
    path = requests[0].url.raw_path.decode()
    assert path.startswith("/v1/comparisons/")
    assert path.count("/") == 3
    assert "?" not in path
    assert path.rsplit("/", 1)[-1] not in (".", "..")


def test_a_problem_is_told_by_title_and_detail() -> None:
    problem = {"type": "t", "title": "Queue full", "status": 429, "detail": "wait", "request_id": "r"}
    client, _ = answering(httpx.Response(429, json=problem, headers={"Retry-After": "7"}))
    with pytest.raises(ServiceError, match="Queue full: wait") as caught:
        client.create_comparison({"dataset": "d"})
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7)
    assert caught.value.problem is not None
    assert caught.value.problem.request_id == "r"


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        httpx.Response(200, text="<html>Another site</html>"),
        httpx.Response(200, json={"unlike": "ours"}),
        httpx.Response(302, headers={"Location": "http://elsewhere"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
def test_whatever_else_comes_is_a_service_error(response: httpx.Response | Exception) -> None:
    client, _ = answering(response)
    for call in (lambda: client.get_comparison("c"), lambda: client.list_baselines()):
        if isinstance(response, httpx.Response) and response.status_code == 200 and "unlike" in response.text:
            call = lambda: client.get_comparison("c")  # noqa: E731
        with pytest.raises(ServiceError) as caught:
            call()
        assert "Traceback" not in str(caught.value)
    assert not client.is_alive()


def test_waiting_outlives_a_restart_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.contract.client._PAUSE_S", 0.0)
    running, done = httpx.Response(200, json=summary("running")), httpx.Response(200, json=summary("succeeded"))
    client, requests = answering(running, httpx.ConnectError("down"), httpx.Response(503), done)
    assert client.wait_for_comparison("c").state.is_final
    assert len(requests) == 4


def test_waiting_does_not_outlive_a_deleted_comparison() -> None:
    client, _ = answering(httpx.Response(404))
    with pytest.raises(ServiceError):
        client.wait_for_comparison("c")


def test_waiting_has_an_end() -> None:
    client, _ = answering(httpx.Response(200, json=summary("running")))
    with pytest.raises(ServiceError, match="not over"):
        client.wait_for_comparison("c", timeout_s=0.01)


class CutOff(httpx.SyncByteStream):
    """A stream of bytes that ends with an error."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        raise httpx.ReadError("cut off")


def event(number: int) -> bytes:
    return f'id: {number}\nevent: progress\ndata: {{"n": {number}, "text": "a\u2028b"}}\n\n'.encode()


def test_a_stream_that_is_cut_off_is_taken_up_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.contract.client._PAUSE_S", 0.0)
    first = httpx.Response(200, stream=CutOff(b"retry: 1\n\n", event(1), event(2)[:20], event(2)[20:], event(3)[:-1]))
    second = httpx.Response(200, content=b": still here\n\n" + event(3) + event(4))
    client, requests = answering(first, second, httpx.Response(200, json=summary("succeeded")))
    events = list(client.stream_events("c"))
    assert events == [StreamedEvent(n, "progress", {"n": n, "text": "a\u2028b"}) for n in (1, 2, 3, 4)]
    assert [request.headers.get("Last-Event-ID") for request in requests] == ["0", "2", None]


def test_a_stream_without_reconnecting_ends_with_the_connection_or_its_failure() -> None:
    client, requests = answering(httpx.Response(200, content=event(1)), httpx.Response(503))
    assert [one.id for one in client.stream_events("c", reconnects=False)] == [1]
    with pytest.raises(ServiceError):
        list(client.stream_events("c", after=1, reconnects=False))
    assert [request.headers.get("Last-Event-ID") for request in requests] == ["0", "1"]


def test_only_reports_that_there_are_can_be_asked_for() -> None:
    client, requests = answering(httpx.Response(200, content=b"x"))
    for name in REPORT_NAMES:
        assert client.get_report("c", name) == b"x"
    with pytest.raises(ServiceError):
        client.get_report("c", "../../keys")
    assert len(requests) == len(REPORT_NAMES)


def test_a_folder_is_read_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    for name in ("a.md", "sub/b.txt", ".hidden.md", ".git/config.txt", ".git/x/y", "c.pdf", "q.csv", "d.png", "e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    left_out: list[FileOutcome] = []
    assert list(read_folder(tmp_path, left_out)) == ["a.md", "c.pdf", "q.csv", "sub/b.txt"]
    assert {one.name: one.detail.partition(" .md")[0] for one in left_out} == {
        ".git": "a hidden folder",
        ".hidden.md": "a hidden file or folder",
        "d.png": "pictures are not read",
        "e.py": "only",
    }
    with pytest.raises(ServiceError, match="no data file"):
        read_folder(tmp_path / "nowhere")
