"""`tuningfork ci` as continuous integration runs it: a process, its files and its exit code."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from advisor.report.texts.gate_markdown import COMMENT_LIMIT

CARD = """name = "tiny"
task = "question-answering"
language = "en"
licence = "CC0-1.0"
metrics = ["token_f1"]
description = "Colours of things."
"""


@pytest.fixture(scope="module")
def workspace(tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and a data directory that all tests here share, so that answers are given once."""
    folder = tmp_path_factory.mktemp("ci")
    data = folder / "data"
    data.mkdir()
    things = [f"lamp {i}" for i in range(12)]
    documents = [{"id": f"d{i}", "title": t, "text": f"The {t} is green."} for i, t in enumerate(things)]
    questions = [
        {"id": f"q{i}", "question": f"What colour is the {t}?", "answers": ["green"], "document_ids": [f"d{i}"],
         "group": f"g{i}", "split": "test"}
        for i, t in enumerate(things)
    ]  # fmt: skip
    for name, rows in (("documents", documents), ("questions", questions)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (data / "dataset.toml").write_text(CARD)
    (folder / "model").symlink_to(tiny_reader_folder, target_is_directory=True)
    return folder


def run(workspace: Path, gate: str, *more: str, name: str = "out") -> tuple[subprocess.CompletedProcess[str], Path]:
    config = workspace / "tuning-fork.toml"
    config.write_text(f'dataset = "data"\n[comparison]\nmodel = "./model"\npipelines = ["base"]\n{gate}')
    out = workspace / name
    command = [sys.executable, "-c", "from service.cli.app import main; main()", "ci", str(config), "--out", str(out)]
    command += ["--home", str(workspace / "home"), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300), out


def threshold(limit: float, **more: Any) -> str:
    return f'[[gate.threshold]]\narm = "base"\nmeasure = "token_f1"\nat_least = {limit}\n'


@pytest.mark.slow
def test_the_exit_code_is_the_verdict_and_the_files_tell_it(workspace: Path) -> None:
    for gate, code, verdict in (
        (threshold(0.0), 0, "pass"),
        (threshold(1.0), 1, "fail"),
        (threshold(0.1) + 'slice = "unanswerable"\n', 2, "cannot compare"),
    ):
        done, out = run(workspace, gate)
        assert done.returncode == code, done.stdout + done.stderr
        assert json.loads((out / "gate.json").read_text())["verdict"] == verdict
    comment = (out / "report.md").read_text()
    assert comment.startswith("# ⚠️ Gate cannot compare: 1 of 1 check")
    assert len(comment) < COMMENT_LIMIT
    assert ET.parse(out / "junit.xml").getroot().get("errors") == "1"
    assert {path.name for path in out.iterdir()} >= {"report.json", "results.jsonl", "report.html"}


@pytest.mark.slow
def test_nothing_is_run_for_a_gate_that_could_not_be_held(workspace: Path) -> None:
    for gate, told in (
        (threshold(0.1).replace("base", "rag"), "the comparison has no arm 'rag'"),
        (threshold(0.1).replace("token_f1", "json_exact"), "json_exact is not measured on the dataset tiny"),
    ):
        done, out = run(workspace, gate, "--home", str(workspace / "untouched"), name="refused")
        assert done.returncode == 2
        assert told in done.stderr
        assert told in (out / "report.md").read_text()
    assert not (workspace / "untouched").exists()


@pytest.mark.slow
def test_a_baseline_is_a_folder_that_somebody_put_there(workspace: Path) -> None:
    gate = '[gate]\nresolution = 1.0\n[gate.baseline]\npath = "baseline"\narms = ["base"]\n'
    shutil.rmtree(workspace / "baseline", ignore_errors=True)
    done, out = run(workspace, gate)
    assert done.returncode == 2
    assert "There is no stored baseline yet" in (out / "report.md").read_text()
    assert not (workspace / "baseline").exists()
    shutil.copytree(out, workspace / "baseline")
    done, out = run(workspace, gate)
    assert done.returncode == 0, done.stdout + done.stderr
    (workspace / "baseline" / "results.jsonl").unlink()
    done, _ = run(workspace, gate)
    assert done.returncode == 2
    assert "results.jsonl is missing" in done.stderr


def test_what_must_be_mended_is_told_in_the_comment_too(workspace: Path) -> None:
    done, out = run(workspace, threshold(0.5).replace("token_f1", "speed"), name="failed")
    assert done.returncode == 2
    assert "'speed' is not measured" in done.stderr
    assert "Traceback" not in done.stderr
    assert "'speed' is not measured" in (out / "report.md").read_text()
    assert json.loads((out / "gate.json").read_text())["verdict"] == "cannot compare"
    assert ET.parse(out / "junit.xml").getroot().get("errors") == "1"


def test_a_server_that_is_not_there_is_told(workspace: Path) -> None:
    done, _ = run(workspace, threshold(0.5), "--api", "http://127.0.0.1:9", name="nobody")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    done, _ = run(workspace, threshold(0.5), "--api", "127.0.0.1:9", name="nobody")
    assert "is no web address" in done.stderr
