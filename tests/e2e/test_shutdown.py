"""`tuningfork serve` told to stop while somebody watches a comparison, and started again."""

import threading
from pathlib import Path

import pytest

from service.contract.client import StreamedEvent
from tests.conftest import TINY_MODEL
from tests.e2e.server import DEADLINE_S, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_watcher_is_let_go_without_a_trace_and_what_is_cancelled_after_the_restart_can_be_resumed(
    kettles: Path, tiny_hub: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    before: list[StreamedEvent] = []
    with running_server(home, environment=tiny_hub) as server, server.client() as client:
        version = client.upload_folder(kettles).version
        made = client.create_comparison({"dataset": version, "model": TINY_MODEL, "arms": ["base", "few-shot"]})
        path = f"/v1/comparisons/{made.id}/events"

        def watch() -> None:
            # One connection, as a browser has it: an end that is no clean one raises.
            for event in client._stream("GET", path, headers={"Last-Event-ID": "0"}):
                before.append(event)
                if event.data.get("state") == "running":
                    is_running.set()

        is_running = threading.Event()
        watching = threading.Thread(target=watch)
        watching.start()
        assert is_running.wait(DEADLINE_S)
        assert server.stop() == 0
        watching.join(timeout=60)
        assert not watching.is_alive()
    told = (tmp_path / "home.stderr").read_text()
    for trace in ("Traceback", "CancelledError", "Exception in ASGI", "Cancel 1 running task"):
        assert trace not in told
    with running_server(home, environment=tiny_hub) as server, server.client() as client:
        last = before[-1].id
        assert last is not None
        client.cancel_comparison(made.id)
        after = list(client.stream_events(made.id, after=last))
        client.resume_comparison(made.id)
        assert client.wait_for_comparison(made.id, timeout_s=300).state == "succeeded"
    assert [event.id for event in (*before, *after)] == list(range(1, len(before) + len(after) + 1))
    assert after[-1].data["state"] == "cancelled"
