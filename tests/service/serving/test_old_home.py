"""A home that version 24f09f5 left is opened by this one: nothing acknowledged is lost, no figure is measured again."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from advisor.decision.record import RecheckOutcome
from advisor.gate.check import GateVerdict
from advisor.gate.gate import evaluate_gate
from advisor.gate.rules import read_gate_rules
from lm.errors import ConfigError
from lm.model_identity import model_identity
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.cli.app import main
from service.cli.ci.command import read_stored_folder
from service.run.finished.asking import open_arm, read_finished
from service.run.finished.recheck import recheck_file
from service.serving.arms import Arms
from service.serving.limits import ServingLimits
from service.serving.pipelines import ServedPipelines
from service.serving.servable import read_servable
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.database import open_database
from service.store.migrations.upgrade import is_current, migrate
from service.store.stages.stage_key import library_versions
from tests.old_home import OldHome, unpack_old_home

QUESTION = "How long is the warranty?"
NO_LONGER_SHIPPED = "the base model is no longer shipped; give `--base-model DIR`"
BOTH = pytest.mark.parametrize("which", ["tiny", "pocket"])
REPORTS = {
    "report.json": b"{",
    "report.md": b"# kettles",
    "report.html": b"<!DOCTYPE html>",
    "report.xml": b"<?xml",
    "decision.json": b"{",
    "results.jsonl": b'{"arm"',
    "results.csv": b"arm,",
}


@pytest.fixture(scope="module")
def old_home(tmp_path_factory: pytest.TempPathFactory) -> OldHome:
    return unpack_old_home(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def engine(old_home: OldHome) -> Iterator[Engine]:
    engine = open_database(old_home.database_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def client(old_home: OldHome, engine: Engine) -> Iterator[TestClient]:
    """Who has the key that was made then; arms are opened in this process."""
    context = ServiceContext(engine, old_home.directory, lambda _: None, ServiceSettings())
    headers = {"Authorization": f"Bearer {old_home.key}"}
    app = create_app(context)
    read, arms = partial(read_servable, engine, old_home.directory), Arms(old_home.directory, ServingLimits())
    app.state.served = ServedPipelines(old_home.directory, read, arms=arms)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000), headers=headers) as client:
        yield client


@pytest.fixture
def run(old_home: OldHome, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line in that home; gives the exit code."""
    monkeypatch.setenv("TUNING_FORK_HOME", str(old_home.directory.root))

    def run_command(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        return int(exit_.value.code or 0)

    return run_command


def test_its_tables_are_brought_up_to_date(engine: Engine) -> None:
    assert is_current(engine)


def test_its_key_opens_and_no_other_does(client: TestClient) -> None:
    assert client.get("/v1/keys").status_code == 200
    assert client.get("/v1/keys", headers={"Authorization": "Bearer tf_" + "x" * 43}).status_code == 401


def test_its_comparisons_are_listed_with_their_verdicts(client: TestClient, old_home: OldHome) -> None:
    names = {item["id"]: item["name"] for item in client.get("/v1/comparisons").json()["items"]}
    assert names == {old_home.tiny: "tiny", old_home.pocket: "pocket"}
    for comparison_id, arm in ((old_home.tiny, "base"), (old_home.pocket, "rag")):
        detail = client.get(f"/v1/comparisons/{comparison_id}").json()
        assert (detail["state"], detail["verdict"]) == ("succeeded", "no clear winner")
        assert f"{arm} has the highest score" in detail["headline"]


@BOTH
def test_its_reports_are_read_in_every_format(client: TestClient, old_home: OldHome, which: str) -> None:
    for name, start in REPORTS.items():
        reply = client.get(f"/v1/comparisons/{getattr(old_home, which)}/{name}")
        assert reply.status_code == 200, name
        assert reply.content.startswith(start), (name, reply.content[:40])


@BOTH
def test_its_answers_are_shown_and_its_decision_is_made_again(
    client: TestClient, old_home: OldHome, which: str
) -> None:
    address = f"/v1/comparisons/{getattr(old_home, which)}"
    assert len(client.get(f"{address}/results", params={"arm": "rag", "limit": 5}).json()["items"]) == 5
    assert len(client.get(f"{address}/questions", params={"limit": 5}).json()["items"]) == 5
    again = client.post(f"{address}/decision", json={"margin": 0.05})
    assert again.status_code == 200, again.text


def test_its_events_are_told_from_the_first_to_the_last(client: TestClient, old_home: OldHome) -> None:
    lines = client.get(f"/v1/comparisons/{old_home.tiny}/events").text.splitlines()
    ids = [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))
    assert sum("succeeded" in line for line in lines) == 1


def test_its_deployment_is_listed_with_what_it_served_before(client: TestClient, old_home: OldHome) -> None:
    (found,) = client.get("/v1/deployments").json()["items"]
    assert (found["alias"], found["comparison_id"], found["kind"]) == ("production", old_home.tiny, "hybrid")
    kinds = [one["kind"] for one in client.get("/v1/deployments/production").json()["history"]]
    assert kinds == ["hybrid", "base"]
    assert "production" in [model["id"] for model in client.get("/v1/models").json()["data"]]


def test_its_deployment_answers_as_it_did(client: TestClient, old_home: OldHome) -> None:
    """From the index and the adapter that version left, under the names it gave them."""
    body = {"model": "production", "messages": [{"role": "user", "content": QUESTION}]}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"] == old_home.hybrid_answer


@pytest.mark.parametrize("kind", ["base", "rag", "fine-tuned", "hybrid"])
def test_each_of_its_arms_is_asked_by_the_command_line(
    run: Callable[..., int], old_home: OldHome, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in (old_home.directory.root / "stages").glob("*/*"))
    assert run("ask", old_home.run_folder(old_home.tiny).name, QUESTION, "--pipeline", kind) == 0
    assert kind != "hybrid" or old_home.hybrid_answer in capsys.readouterr().out
    assert sorted(path.name for path in (old_home.directory.root / "stages").glob("*/*")) == before


@pytest.mark.parametrize("kind", ["rag", "fine-tuned", "hybrid"])
def test_stages_of_older_formats_are_opened_and_none_is_built(
    run: Callable[..., int], old_home: OldHome, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("lm", "rag", "finetune", "advisor.data", "advisor.results"):
        monkeypatch.setattr(f"{package}.FORMAT", 99)
    before = sorted((old_home.directory.root / "stages").glob("*/*"))
    assert run("ask", old_home.run_folder(old_home.tiny).name, QUESTION, "--pipeline", kind) == 0
    assert sorted((old_home.directory.root / "stages").glob("*/*")) == before


def test_other_versions_of_libraries_only_warn(
    client: TestClient, old_home: OldHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = library_versions() | {"torch": "3.0.0"}
    monkeypatch.setattr("service.store.stages.stage_key.library_versions", lambda: now)
    reply = client.post(f"/v1/comparisons/{old_home.tiny}/pipelines/fine-tuned/answers", json={"questions": [QUESTION]})
    assert reply.status_code == 200, reply.text
    assert any("torch 2.13.0+cpu, now 3.0.0" in record.getMessage() for record in caplog.records)


def test_another_base_model_in_its_place_is_refused(client: TestClient, engine: Engine, tmp_path: Path) -> None:
    home = unpack_old_home(tmp_path)
    config = home.model_folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"rope_theta": ', '"rope_theta": 1'), encoding="utf-8")
    with (
        pytest.raises(ConfigError, match="is not the model"),
        open_arm(home.directory, read_finished(home.directory, home.run_folder(home.tiny).name), "base"),
    ):
        pass


def test_its_votes_are_counted(client: TestClient, old_home: OldHome) -> None:
    (tally,) = client.get(f"/v1/comparisons/{old_home.tiny}/votes").json()["items"]
    assert (tally["first"], tally["second"], tally["n_second"]) == ("base", "rag", 1)


def test_gates_hold_comparisons_against_its_baseline(client: TestClient, old_home: OldHome) -> None:
    assert client.get("/v1/baselines/main").json()["comparison_id"] == old_home.tiny
    against = {"baseline": {"name": "main", "arms": ["rag"]}}
    threshold = {"thresholds": [{"arm": "rag", "measure": "exact_match", "at_least": 0.9}]}
    for comparison_id in (old_home.tiny, old_home.pocket):
        address = f"/v1/comparisons/{comparison_id}/gate"
        held, failed = client.post(address, json=against), client.post(address, json=threshold)
        # Its 60 questions are on so few documents that seeing no difference shows nothing.
        verdicts = held.json()["verdict"], failed.json()["verdict"]
        assert verdicts == ("cannot compare", "fail"), held.text + failed.text
        assert "questions are too few to see a breach" in held.json()["checks"][0]["reason"]


def test_a_folder_of_its_reports_is_a_baseline(old_home: OldHome) -> None:
    tiny, pocket = (read_stored_folder(old_home.run_folder(i)) for i in (old_home.tiny, old_home.pocket))
    rules = read_gate_rules({"baseline": {"arms": ["rag"]}})
    (check,) = evaluate_gate(rules, pocket, tiny).checks
    assert check.verdict is GateVerdict.CANNOT_COMPARE, check.reason


def test_its_decision_is_rechecked(old_home: OldHome) -> None:
    path = old_home.run_folder(old_home.tiny) / "decision.json"
    found = recheck_file(path, model_identity, today=date(2026, 12, 1))
    assert found.outcome is RecheckOutcome.HOLDS
    assert found.reruns == ()


@BOTH
def test_its_reports_are_written_by_the_command_line(
    run: Callable[..., int], old_home: OldHome, which: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = old_home.run_folder(getattr(old_home, which))
    assert run("report", folder.name, "--format", "html") == 0
    assert capfdbinary.readouterr().out == (folder / "report.html").read_bytes()


@pytest.mark.parametrize("command", ["ask", "freshness"])
def test_asking_its_retired_model_is_refused_with_the_remedy(
    run: Callable[..., int],
    old_home: OldHome,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [command, old_home.run_folder(old_home.pocket).name, *(["Why?"] if command == "ask" else [])]
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {NO_LONGER_SHIPPED}")


def test_asking_its_retired_model_over_rest_is_a_conflict(client: TestClient, old_home: OldHome) -> None:
    address = f"/v1/comparisons/{old_home.pocket}"
    reply = client.post(f"{address}/pipelines/rag/answers", json={"questions": ["Why?"]})
    assert reply.status_code == 409
    assert reply.json()["detail"].startswith(NO_LONGER_SHIPPED)
    arms = client.post(f"{address}/answers", json={"question": "Why?"}).json()["arms"]
    assert [arm["error"].startswith(NO_LONGER_SHIPPED) for arm in arms] == [True, True]


def test_a_service_may_be_given_its_retired_model(engine: Engine, old_home: OldHome, tmp_path: Path) -> None:
    """Other comparisons keep their own."""
    for comparison_id, folder in ((old_home.pocket, tmp_path), (old_home.tiny, old_home.model_folder)):
        servable = read_servable(engine, old_home.directory, comparison_id, retired_model=tmp_path)
        assert servable.settings.model == f"hf:{folder}"


def test_a_decision_on_its_retired_model_cannot_be_told(old_home: OldHome) -> None:
    path = old_home.run_folder(old_home.pocket) / "decision.json"
    found = recheck_file(path, model_identity, today=date(2026, 12, 1))
    assert found.outcome is RecheckOutcome.UNKNOWN
    assert "the model 'pocket' is no longer shipped" in found.explanation


def test_a_backup_of_it_restored_elsewhere_answers_as_it_did(
    run: Callable[..., int], old_home: OldHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere, archive = DataDirectory(tmp_path / "home"), str(tmp_path / "backup.tar")
    reports = {path.name: path.read_bytes() for path in old_home.run_folder(old_home.tiny).iterdir()}
    assert run("backup", archive) == 0
    assert "the database with 2 finished comparison(s)" in capsys.readouterr().out
    assert run("restore", archive, "--home", str(elsewhere.root)) == 0
    # What follows must not find anything where it was.
    old_home.directory.root.rename(tmp_path / "away")
    try:
        with home_database(elsewhere) as engine:
            context = ServiceContext(engine, elsewhere, lambda _: None, ServiceSettings())
            headers = {"Authorization": f"Bearer {old_home.key}"}
            with TestClient(create_app(context), base_url="http://127.0.0.1:8000", headers=headers) as client:
                for name in ("report.json", "report.md", "report.html", "results.jsonl"):
                    assert client.get(f"/v1/comparisons/{old_home.tiny}/{name}").content == reports[name]
                body = {"model": "production", "messages": [{"role": "user", "content": QUESTION}]}
                reply = client.post("/v1/chat/completions", json=body)
                assert reply.json()["choices"][0]["message"]["content"] == old_home.hybrid_answer
        assert read_finished(elsewhere, old_home.tiny).settings.dataset_folder.is_relative_to(elsewhere.root)
    finally:
        (tmp_path / "away").rename(old_home.directory.root)
