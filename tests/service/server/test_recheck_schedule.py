import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from advisor.decision.record import Recheck, RecheckOutcome
from lm.model_identity import model_identity
from service.contract.comparison_state import ComparisonState
from service.jobs.job import run_command
from service.server.recheck_schedule import recheck_due, relied_on, webhook
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import create_comparison, set_state
from service.store.comparisons.events import RECHECK, read_events
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.database import writing


class Told:
    """Notes what the operator is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Recheck]] = []
        self.happened = threading.Event()

    def __call__(self, comparison_id: str, found: Recheck) -> None:
        self.found.append((comparison_id, found))
        self.happened.set()


@pytest.fixture
def model(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture
def home(workplace: Any, model: Path) -> Iterator[tuple[Engine, DataDirectory, str]]:
    """A data directory with one finished comparison of a model that has files."""
    settings = replace(workplace.settings, model=f"hf:{model}")
    folder = run_command(settings, workplace.directory, workplace.compose, model_identity)
    with home_database(workplace.directory) as engine:
        yield engine, workplace.directory, folder.name


def outcomes(engine: Engine, comparison_id: str) -> list[str]:
    return [e.data["outcome"] for e in read_events(engine, comparison_id, limit=10_000) if e.type == RECHECK]


def change(model: Path) -> None:
    """Other weights than those measured."""
    (weights,) = model.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")


def test_a_decision_that_stands_is_noted_and_nobody_is_told(home: tuple[Engine, DataDirectory, str]) -> None:
    engine, directory, comparison_id = home
    told = Told()
    recheck_due(engine, directory, 0, told)
    assert outcomes(engine, comparison_id) == [RecheckOutcome.HOLDS]
    assert told.found == []


def test_the_operator_is_told_once_that_nobody_can_tell_any_more(
    home: tuple[Engine, DataDirectory, str], model: Path
) -> None:
    engine, directory, comparison_id = home
    change(model)
    told = Told()
    for _ in range(2):
        recheck_due(engine, directory, 0, told)
    assert outcomes(engine, comparison_id) == [RecheckOutcome.UNKNOWN] * 2
    assert [(name, found.outcome) for name, found in told.found] == [(comparison_id, RecheckOutcome.UNKNOWN)]
    assert any("tuned" in line or "model" in line for line in told.found[0][1].changes)


def test_what_was_looked_at_a_moment_ago_is_left_alone(home: tuple[Engine, DataDirectory, str]) -> None:
    engine, directory, comparison_id = home
    recheck_due(engine, directory, 3600, Told())
    assert outcomes(engine, comparison_id) == []


def test_baselines_are_relied_on_and_without_any_the_newest_is(home: tuple[Engine, DataDirectory, str]) -> None:
    engine, _, comparison_id = home
    create_comparison(engine, comparison_id="newest", name="n", dataset="ticket-triage", settings={})
    assert relied_on(engine) == [comparison_id]
    with writing(engine) as connection:
        set_state(connection, "newest", ComparisonState.SUCCEEDED, expected=[ComparisonState.QUEUED])
    assert relied_on(engine) == ["newest"]
    set_baseline(engine, "main", comparison_id)
    assert relied_on(engine) == [comparison_id]


def test_a_webhook_gets_the_recheck_as_json_and_one_that_is_away_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    received: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    found = Recheck(RecheckOutcome.CHANGED, "rag costs more now", "rag", "base", (), (), (), "2027-01-01", False)
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        webhook(f"http://127.0.0.1:{server.server_port}/hook")("one", found)
        serving.join()
    assert received[0]["comparison"] == "one"
    assert received[0]["recheck"]["outcome"] == "no longer holds"
    webhook(f"http://127.0.0.1:{server.server_port}/hook")("one", found)
    assert "the webhook call about the decision of one failed" in caplog.text
