"""The whole service with real processes, a tiny model and a small dataset.

Finished comparisons are in Postgres where there is one, the one that is killed in SQLite.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from service.contract.schemas import ComparisonDetail, DatasetDetail
from tests.conftest import TINY_MODEL
from tests.e2e.server import RunningServer, answer_blocks, running_server, served_models_of, start_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ARMS = ("base", "rag", "fine-tuned")
REQUEST = {"model": TINY_MODEL, "arms": list(ARMS), "max_epochs": 2}
N_TEST = 24


@dataclass(frozen=True)
class FinishedService:
    """A running service with a finished comparison in it."""

    server: RunningServer
    dataset: DatasetDetail
    comparison: ComparisonDetail


@pytest.fixture(scope="module")
def finished(
    request: pytest.FixtureRequest, kettles: Path, tiny_hub: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FinishedService]:
    environment = dict(tiny_hub)
    with suppress(pytest.skip.Exception):
        environment["TUNING_FORK_DATABASE_URL"] = request.getfixturevalue("postgres").create_database("e2e_service")
    home = tmp_path_factory.mktemp("service") / "home"
    with running_server(home, environment=environment) as server, server.client() as client:
        dataset = client.upload_folder(kettles)
        made = client.create_comparison({"dataset": dataset.version, **REQUEST})
        comparison = client.wait_for_comparison(made.id, timeout_s=800)
        assert comparison.state == "succeeded", comparison.error
        yield FinishedService(server, dataset, comparison)


def test_an_uploaded_data_set_is_compared_and_reported(finished: FinishedService) -> None:
    with finished.server.client() as client:
        report = json.loads(client.get_report(finished.comparison.id))
        assert [arm["kind"] for arm in report["arms"]] == [*ARMS, "majority", "oracle-context"]
        assert {arm["n_questions"] for arm in report["arms"]} == {N_TEST}
        starts = {"report.md": b"#", "report.html": b"<!doctype html>", "report.xml": b"<?xml"}
        for name, start in starts.items():
            assert client.get_report(finished.comparison.id, name).lower().startswith(start), name


def test_its_events_tell_the_whole_story_without_a_gap(finished: FinishedService) -> None:
    with finished.server.client() as client:
        events = list(client.stream_events(finished.comparison.id))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    states = [event.data["state"] for event in events if event.type == "state"]
    assert states == ["queued", "running", "succeeded"]
    blocks = {event.data["arm"]: event.data["done"] for event in events if event.type == "block"}
    assert blocks == dict.fromkeys((*ARMS, "majority", "oracle-context"), N_TEST)
    losses = [event.data for event in events if event.type == "training"]
    assert [row["epoch"] for row in losses if row.get("validation_loss") is not None] == [1, 2]


def test_its_arms_answer_side_by_side_and_openai_s_client_streams_the_deployed_one(finished: FinishedService) -> None:
    comparison_id, question = finished.comparison.id, "How long is the warranty?"
    with finished.server.client() as client:
        arms = client.ask_all(comparison_id, question, timeout_s=300)
        assert [arm["kind"] for arm in arms] == list(ARMS)
        assert [arm["error"] for arm in arms] == [None] * len(ARMS)
        assert [bool(arm["answer"]["sources"]) for arm in arms] == [arm == "rag" for arm in ARMS]
        assert all(arm["answer"]["cost_usd"] > 0 for arm in arms)
        for kind in ("base", "rag"):
            client.deploy("production", comparison_id, kind)
    answers = {arm["kind"]: arm["answer"]["text"] for arm in arms}
    with openai.OpenAI(base_url=f"{finished.server.url}/v1", api_key="unused", max_retries=0) as chat:
        assert "production" in [model.id for model in chat.models.list()]
        chunks = list(
            chat.chat.completions.create(
                model="production",
                messages=[{"role": "user", "content": question}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == answers["rag"]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens > 0
        with finished.server.client() as client:
            assert client.roll_back("production")["kind"] == "base"
        whole = chat.chat.completions.create(model="production", messages=[{"role": "user", "content": question}])
        assert whole.choices[0].message.content == answers["base"]


def test_a_second_service_on_the_same_directory_is_refused_by_name(finished: FinishedService) -> None:
    with start_process(finished.server.home, "serve", "--port", "0", "--no-ui") as second:
        assert second.wait(timeout=60) == 2
    told = (finished.server.home.parent / "home.stderr").read_text()
    assert f"another tuningfork process (service {finished.server.process.pid}) works in" in told


def test_a_comparison_killed_with_its_service_goes_on_and_ends_like_one_that_was_not(
    kettles: Path, tiny_hub: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with running_server(home, environment=tiny_hub) as server, server.client() as client:
        version = client.upload_folder(kettles).version
        made = client.create_comparison({"dataset": version, "model": TINY_MODEL, "arms": ["base", "few-shot"]})
        wait_for_blocks(home, 1)
        server.kill()
    before = answer_blocks(home)
    with running_server(home, environment=tiny_hub) as server, server.client() as client:
        done = client.wait_for_comparison(made.id, timeout_s=600)
        assert done.state == "succeeded", done.error
        assert {key: row for key, row in answer_blocks(home).items() if key in before} == before
        assert len(answer_blocks(home)) == 4
        assert server.stop() == 0


def test_what_the_user_must_mend_is_said_in_the_comparison(finished: FinishedService) -> None:
    with finished.server.client() as client:
        made = client.create_comparison({"dataset": "claims-to-json", "model": "hf:no/such-model", "limit": 2})
        done = client.wait_for_comparison(made.id, timeout_s=120)
    assert done.state == "failed"
    assert done.error is not None
    assert "no/such-model" in done.error
    assert "Traceback" not in done.error


def test_serving_others_without_a_key_is_refused(tmp_path: Path) -> None:
    with start_process(tmp_path / "home", "serve", "--host", "0.0.0.0", "--port", "0", "--no-ui") as process:
        assert process.wait(timeout=60) == 2
    assert "tuningfork keys create" in (tmp_path / "home.stderr").read_text()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with start_process(tmp_path / "home", "serve", "--port", port, "--no-ui") as process:
            assert process.wait(timeout=60) == 2
    assert f"port {port}" in (tmp_path / "home.stderr").read_text()


def test_a_killed_service_leaves_no_process_of_its_models(finished: FinishedService) -> None:
    """The last of those that ask it."""
    service = finished.server.process
    with finished.server.client() as client:
        assert client.ask(finished.comparison.id, "base", ["How long is the warranty?"])
    (models,) = served_models_of(service.pid)
    service.kill()
    service.wait(timeout=60)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{models}/cmdline").exists() and Path(f"/proc/{models}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_blocks(home: Path, n: int) -> None:
    deadline = time.monotonic() + 300
    while len(answer_blocks(home)) < n:
        assert time.monotonic() < deadline
        time.sleep(0.02)
