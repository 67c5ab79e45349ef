"""`tuningfork ci --api`: continuous integration against a real service that wants a key."""

import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.cli.app import main
from tests.conftest import TINY_MODEL
from tests.e2e.server import TUNINGFORK, RunningServer, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THRESHOLD = '[[gate.threshold]]\narm = "{arm}"\nmeasure = "exact_match"\nat_least = {limit}\n'
BASELINE = '[gate]\nresolution = 1.0\n[gate.baseline]\nname = "main"\narms = ["base"]\n'


@dataclass(frozen=True)
class Pipeline:
    """A checkout in continuous integration, and the service it may use."""

    folder: Path
    server: RunningServer
    key: str


@dataclass(frozen=True)
class Done:
    """What became of `tuningfork ci`: its exit code, what it printed, and the folder of its files."""

    code: int
    stdout: str
    stderr: str
    out: Path

    @property
    def gate(self) -> Any:
        return json.loads((self.out / "gate.json").read_text())


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def pipeline(kettles: Path, tiny_hub: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("ci")
    (folder / "kettles").symlink_to(kettles, target_is_directory=True)
    home = folder / "home"
    made = subprocess.run(
        [TUNINGFORK, "keys", "create", "ci", "--scope", "run", "--home", home],
        capture_output=True,
        text=True,
        check=True,
    )
    with running_server(home, "--allow-models", TINY_MODEL, environment=tiny_hub) as server:
        yield Pipeline(folder, server, made.stdout.strip())


@pytest.fixture
def run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `tuningfork ci` with a gate and a key."""

    def run(gate: str, *, key: str | None) -> Done:
        (pipeline.folder / "tuning-fork.toml").write_text(
            f'dataset = "kettles"\n[comparison]\nmodel = "{TINY_MODEL}"\npipelines = ["base"]\n{gate}'
        )
        monkeypatch.chdir(pipeline.folder)
        monkeypatch.delenv("TUNING_FORK_API_KEY", raising=False)
        if key is not None:
            monkeypatch.setenv("TUNING_FORK_API_KEY", key)
        out = pipeline.folder / "out"
        with pytest.raises(SystemExit) as ended:
            main(["ci", "--api", pipeline.server.url, "--out", str(out)])
        assert isinstance(ended.value.code, int)
        told = capfd.readouterr()
        return Done(ended.value.code, told.out, told.err, out)

    return run


@pytest.mark.parametrize(
    ("gate", "code", "verdict"),
    [
        pytest.param(THRESHOLD.format(arm="base", limit=0.0), 0, "pass", id="pass"),
        pytest.param(THRESHOLD.format(arm="base", limit=1.0), 1, "fail", id="fail"),
    ],
)
def test_the_exit_code_is_the_verdict_of_the_service(
    pipeline: Pipeline, run: Run, gate: str, code: int, verdict: str
) -> None:
    done = run(gate, key=pipeline.key)
    out = done.out
    assert done.code == code, done.stdout + done.stderr
    assert "The server compares: " in done.stdout
    assert done.gate["verdict"] == verdict
    assert (out / "report.md").read_text().startswith("# ")
    assert ET.parse(out / "junit.xml").getroot().get("failures") == str(int(verdict == "fail"))
    assert {path.name for path in out.iterdir()} >= {"report.json", "results.jsonl", "report.html"}


def test_a_gate_on_an_arm_that_is_not_compared_is_refused_before_anything_runs(pipeline: Pipeline, run: Run) -> None:
    done = run(THRESHOLD.format(arm="hybrid", limit=0.1), key=pipeline.key)
    assert done.code == 2
    assert "the comparison has no arm 'hybrid'; it has base" in done.stderr
    assert "The server compares: " not in done.stdout
    assert done.gate["verdict"] == "cannot compare"


def test_a_baseline_of_the_service_is_compared_with(pipeline: Pipeline, run: Run) -> None:
    missing = run(BASELINE, key=pipeline.key)
    assert missing.code == 2
    assert "no baseline 'main'" in missing.stderr
    with pipeline.server.client(pipeline.key) as client:
        newest, *earlier = client.list_comparisons().items
        # The same comparison again is not measured again.
        assert earlier
        assert {client.get_report(one.id) for one in earlier} == {client.get_report(newest.id)}
        client.set_baseline("main", newest.id)
    done = run(BASELINE, key=pipeline.key)
    # A comparison against itself loses nothing, and 24 questions cannot show that.
    assert done.code == 2, done.stdout + done.stderr
    assert "changed by 0.0" in done.stdout
    assert done.gate["baseline"]


@pytest.mark.parametrize(("key", "told"), [(None, "key"), ("tf_wrong", "key")])
def test_without_a_good_key_nothing_is_compared_and_the_pull_request_is_told(
    pipeline: Pipeline, run: Run, key: str | None, told: str
) -> None:
    done = run(THRESHOLD.format(arm="base", limit=0.0), key=key)
    assert done.code == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert told in (done.out / "report.md").read_text()
    assert done.gate["verdict"] == "cannot compare"
    assert pipeline.key not in (done.out / "report.md").read_text() + done.stdout + done.stderr
