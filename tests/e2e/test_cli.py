"""The installed command as a user has it: a tiny model, real embedder, real processes, real signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli.terminal import printable
from tests.e2e.server import answer_blocks, running_server

pytestmark = pytest.mark.slow

TUNINGFORK = Path(sys.executable).with_name("tuningfork")
ARMS = ("base", "few-shot", "rag", "fine-tuned", "hybrid")
N_ARMS = len(ARMS) + 2
N_TEST = 24
DEADLINE_S = 300


@dataclass(frozen=True)
class Workplace:
    """A dataset of a dozen real documents, a data directory and a model."""

    dataset: Path
    home: Path
    model: Path

    @property
    def compare(self) -> tuple[str, ...]:
        return ("compare", str(self.dataset), "--model", str(self.model), "--max-epochs", "2")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [TUNINGFORK, *arguments],
            env=os.environ | {"TUNING_FORK_HOME": str(self.home), "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Whoever starts the tests in the background hands down an ignored interrupt.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def run(self, *arguments: str, typed: str = "") -> str:
        """Standard output of a command that succeeds."""
        with self.start(*arguments) as process:
            out, err = process.communicate(typed, timeout=DEADLINE_S)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        return out

    def run_until(self, is_reached: Callable[[], bool]) -> tuple[int, str]:
        """Start comparing, press Ctrl-C as soon as something is reached; exit code and standard error."""
        with self.start(*self.compare) as process:
            deadline = time.monotonic() + DEADLINE_S
            while not is_reached():
                assert process.poll() is None, "the run ended before it could be stopped"
                assert time.monotonic() < deadline
                try:
                    process.wait(timeout=0.02)
                except subprocess.TimeoutExpired:
                    continue
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=DEADLINE_S)
        return process.returncode, err

    def answer_blocks(self) -> dict[tuple[str, str], tuple[str, float]]:
        return answer_blocks(self.home)

    def report(self) -> Any:
        (path,) = self.home.glob("comparisons/*/report.json")
        return json.loads(path.read_text(encoding="utf-8"))

    def scored_answers(self) -> list[Any]:
        """Every answer with its scores, without seconds."""
        (path,) = self.home.glob("comparisons/*/results.jsonl")
        rows = map(json.loads, path.read_text(encoding="utf-8").split("\n")[:-1])
        return [(row["arm"], row["example_id"], row["answer"]["text"], row["scores"]) for row in rows]


@pytest.fixture(scope="module")
def finished(
    kettles: Path, tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workplace, str]:
    """A whole comparison and what it printed."""
    workplace = Workplace(kettles, tmp_path_factory.mktemp("home"), tiny_reader_folder)
    return workplace, workplace.run(*workplace.compare)


def verdict(out: str) -> str:
    """What is printed after the progress lines."""
    return out[out.index("appliance-support: ") :]


def test_all_arms_are_measured_and_the_tables_fit(finished: tuple[Workplace, str]) -> None:
    workplace, out = finished
    report = workplace.report()
    assert [arm["kind"] for arm in report["arms"]] == [*ARMS, "majority", "oracle-context"]
    assert {arm["n_questions"] for arm in report["arms"]} == {N_TEST}
    tables = verdict(out).split("Report: ")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert all(f"  {arm} " in tables for arm in ARMS)


def test_the_same_command_again_shows_the_same_and_asks_nothing(finished: tuple[Workplace, str]) -> None:
    workplace, out = finished
    before = workplace.answer_blocks()
    assert len(before) == N_ARMS
    again = workplace.run(*workplace.compare)
    assert again.strip() == verdict(out).strip()
    assert workplace.answer_blocks() == before


def test_questions_typed_one_a_line_are_all_answered_by_the_tuned_model(finished: tuple[Workplace, str]) -> None:
    workplace, _ = finished
    out = workplace.run("ask", "latest", "--pipeline", "fine-tuned", typed="Why?\n\nHow long?\nexit\n")
    assert out.count("tokens in") == 2


def test_a_run_that_was_stopped_goes_on_and_ends_like_one_that_was_not(
    finished: tuple[Workplace, str], tmp_path: Path
) -> None:
    whole, _ = finished
    workplace = Workplace(whole.dataset, tmp_path, whole.model)
    code, err = workplace.run_until(lambda: len(workplace.answer_blocks()) >= 1)
    assert code == 130
    assert "run the same command to resume" in err
    assert "Traceback" not in err
    first = workplace.answer_blocks()
    assert not list(workplace.home.glob("comparisons/*/report.json"))
    workplace.run(*workplace.compare)
    blocks = workplace.answer_blocks()
    assert len(blocks) == N_ARMS
    assert {name: blocks[name] for name in first} == first
    assert workplace.scored_answers() == whole.scored_answers()
    mine, theirs = workplace.report(), whole.report()
    for key in ("hashes", "differences", "dataset_hash"):
        assert mine[key] == theirs[key], key
    assert [arm["metrics"] for arm in mine["arms"]] == [arm["metrics"] for arm in theirs["arms"]]


def test_the_command_line_and_a_running_service_are_one_world(finished: tuple[Workplace, str]) -> None:
    workplace, _ = finished
    first = workplace.report()["id"]
    question = ("How long is the warranty?", "--pipeline", "rag")
    answered = workplace.run("ask", first, *question)
    assert "[1] " in answered
    with running_server(workplace.home) as server, server.client() as client:
        assert [one.id for one in client.list_comparisons().items] == [first]
        out = workplace.run(*workplace.compare, "--arms", "base,rag", "--limit", "8")
        newest, _ = (one.id for one in client.list_comparisons().items)
        assert f"as {newest}" in out
        assert workplace.run("report", "latest", "--format", "json") == client.get_report(newest).decode()
        assert f"tuningfork ask {newest}" in out
        assert _without_seconds(workplace.run("ask", first, *question)) == _without_seconds(answered)
        counted = httpx.get(f"{client.url}/metrics").text
        assert 'tuning_fork_answers_total{arm="rag"} 1.0' in counted
        over_there = client.ask(first, "rag", question[:1])[0]["text"]
        assert printable(over_there) in answered
        listed = workplace.run("comparisons")
        assert all(one.id in listed for one in client.list_comparisons().items)


def _without_seconds(text: str) -> str:
    return re.sub(r"[\d.]+ m?s", "", text)
