"""A complete package of another's, installed beside us and used; and packages that are broken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.errors import EvaluationError
from advisor.metrics.registry import METRICS, metric
from finetune.losses import LOSSES
from lm.errors import ConfigError
from lm.plugins import Table, plugin_versions
from lm.registry import SCHEMES, parse_spec

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example-plugin"
BROKEN = {"tuning_fork.models": "gone = no_such_module:SCHEME", "tuning_fork.metrics": "wrong = json:dumps"}
CARD = """name = "films"\ntask = "question-answering"\nlanguage = "en"\nlicence = "CC0-1.0"\ndescription = "Subtitles."
metrics = ["shared_words", "exact_match"]\n"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the example; built from a copy, as building leaves files behind."""
    source, target = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", target, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


def tuningfork(*arguments: str, path: Path, home: Path) -> str:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}", "TUNING_FORK_HOME": str(home)}
    command = [sys.executable, "-m", "service.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_model_a_metric_and_a_loader_of_another_package_make_a_comparison(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(12):
        said = f"1\n00:00:01,000 --> 00:00:02,000\nFilm {i} is about the colour {i}.\n"
        (tmp_path / "in" / f"film-{i}.srt").write_text(said)
    rows = "".join(f"Say {i} and {j}?,Say {i} and {j}?,film-{i}.srt\n" for i in range(12) for j in range(3))
    (tmp_path / "in" / "questions.csv").write_text(f"question,answer,document\n{rows}")
    tuningfork("import", "in", "films", path=installed, home=tmp_path)
    documents = [json.loads(line) for line in (tmp_path / "films" / "documents.jsonl").read_text().splitlines()]
    assert documents[0]["text"] == "Film 0 is about the colour 0."
    (tmp_path / "films" / "dataset.toml").write_text(CARD)
    arguments = ["compare", "films", "--model", "example:one", "--pipelines", "base,few-shot", "--out", "reports"]
    tuningfork(*arguments, path=installed, home=tmp_path)
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert report["versions"]["tuning-fork-example"] == "0.1"
    records = [json.loads(line) for line in (tmp_path / "reports" / "results.jsonl").read_text().splitlines()]
    assert {row["scores"]["shared_words"]["value"] for row in records if row["arm"] == "base"} == {1.0}


def test_the_loss_of_another_package_is_that_of_its_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.syspath_prepend(installed)
    losses = Table("tuning_fork.losses", LOSSES.own)
    logits = torch.zeros(3, 4)
    assert losses["squared-error"](logits, torch.tensor([0, 1, 2])).tolist() == pytest.approx([0.5625] * 3)
    assert plugin_versions() == {"tuning-fork-example": "0.1"}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some_plugin-2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugin\nVersion: 2\n")
    (folder / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in BROKEN.items()))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_broken_row_is_told_with_its_package_and_remedy_and_the_others_are_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table("tuning_fork.models", SCHEMES.own)
    assert list(table) == list(SCHEMES.own)
    assert "some-plugin adds 'gone' to tuning_fork.models" in caplog.text
    assert "pip uninstall some-plugin" in caplog.text
    monkeypatch.setattr("lm.registry.SCHEMES", table)
    with pytest.raises(ConfigError, match="No module named 'no_such_module'"):
        parse_spec("gone:x")


@pytest.mark.usefixtures("broken")
def test_a_row_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("advisor.metrics.registry.METRICS", Table("tuning_fork.metrics", METRICS.own))
    assert metric("exact_match").name == "exact_match"
    with pytest.raises(EvaluationError, match="some-plugin adds 'wrong' .* json:dumps is no Metric"):
        metric("wrong")


def test_a_name_of_ours_stays_ours(
    installed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(installed)
    table = Table("tuning_fork.loaders", {"srt": len})
    assert list(table) == ["srt"]
    assert table["srt"] is len
    assert "'srt' is a name of ours" in caplog.text
