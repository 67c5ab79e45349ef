"""Commands over a finished comparison of the scripted model, run in this process."""

import io
import json
import shutil
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from advisor.report.formats import REPORT_FORMATS
from service.cli.app import ReportFormat, main
from service.contract.comparison_state import ComparisonState
from service.run.finished import asking
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.runs import finished_runs, home_database
from service.store.data_directory import DataDirectory, tell_address
from service.store.database import writing
from service.store.tables import comparisons

Run = Callable[..., int]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, workplace_class: Any) -> Any:
    """A workplace with one comparison, not to be changed."""
    workplace = workplace_class(tmp_path_factory.mktemp("cli"))
    workplace.run()
    return workplace


@pytest.fixture
def run(finished: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on that workplace, its arms scripted; gives the exit code."""
    monkeypatch.setenv("TUNING_FORK_HOME", str(finished.directory.root))
    monkeypatch.setitem(asking.open_arm.__wrapped__.__kwdefaults__, "compose", finished.compose)  # type: ignore[attr-defined]

    def run_command(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        return int(exit_.value.code or 0)

    return run_command


def test_the_report_formats_of_the_option_are_those_that_exist() -> None:
    assert {str(name) for name in ReportFormat} == set(REPORT_FORMATS)


@pytest.mark.parametrize(
    ("name", "file"), [*((n, f"report.{n}") for n in ("json", "md", "html")), ("xml", "junit.xml")]
)
def test_report_writes_the_file_byte_for_byte(
    run: Run, finished: Any, name: str, file: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("report", "latest", "--format", name) == 0
    assert capfdbinary.readouterr().out == next(finished.directory.root.glob(f"comparisons/*/{file}")).read_bytes()


def test_report_is_markdown_unless_told_otherwise(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("report", "tiny") == 0
    assert capfd.readouterr().out.startswith("#")


def test_a_question_is_answered_by_the_named_arm(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ask", "latest", "Which colour has number 4?", "--pipeline", "few-shot") == 0
    assert capsys.readouterr().out.splitlines()[0] == "c4"


def test_the_recommended_arm_answers_unless_one_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ask", "latest", "Which colour has number 4?") == 0
    assert capsys.readouterr().out.splitlines()[0] == "c4"


def typed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_questions_are_read_one_a_line_until_exit(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, b"Number 4?\n\n  Number 6?  \nexit\nNumber 8?\n")
    assert run("ask", "latest") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("c")] == ["c4", "c6"]


def test_unreadable_bytes_and_a_missing_line_end_do_not_stop_the_loop(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, b"\xff\xfe 2?\nNumber 4?")
    assert run("ask", "latest") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("c")] == ["c2", "c4"]


def test_a_question_that_fails_costs_only_itself_and_the_exit_code(
    run: Run, finished: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lm.errors import LanguageModelError

    def answer(prompt: Any) -> str:
        if "4" in prompt[-1].content:
            raise LanguageModelError("no room; shorten it")
        return "c0"

    monkeypatch.setattr(finished, "answer", answer)
    typed(monkeypatch, b"Number 4?\nNumber 6?\n")
    assert run("ask", "latest") == 2
    captured = capsys.readouterr()
    assert captured.err == "error: no room; shorten it\n"
    assert captured.out.splitlines()[0] == "c0"


class _Service(BaseHTTPRequestHandler):
    """Loads its model at the first question and answers the second."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        asked: list[str] = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        view = {"question": "", "text": "as measured", "sources": [], "latency_s": 1, "model_s": 1, "batch_size": 1}
        view |= {"tokens": dict.fromkeys(("input_tokens", "output_tokens", "embedding_tokens"), 3)}
        view |= {"cost_usd": None, "finish_reason": "stop"}
        is_loading = len(asked) == 1
        content = json.dumps({"detail": "loading"} if is_loading else {"answers": [view]}).encode()
        self.send_response(503 if is_loading else 200)
        self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_service_in_the_data_directory_is_asked_and_waited_for(
    run: Run, finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server, finished.directory.lock("service") as lock:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert run("ask", "latest", "Number 4?") == 2
        assert "works in" in capsys.readouterr().err
        tell_address(lock, f"http://127.0.0.1:{server.server_address[1]}")
        assert run("ask", "latest", "Number 4?", "--pipeline", "few-shot") == 0
        assert run("ask", "latest", "Number 4?", "--base-model", str(tmp_path)) == 2
        server.shutdown()
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "as measured"
    assert "loading the model" in captured.err
    assert [path.split("/")[-2] for path in server.asked] == ["few-shot"] * 2  # type: ignore[attr-defined]


def test_a_service_knows_a_comparison_by_the_id_it_gave_it(
    run: Run, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.directory.root, tmp_path / "home")
    monkeypatch.setenv("TUNING_FORK_HOME", str(tmp_path / "home"))
    directory = DataDirectory(tmp_path / "home")
    with home_database(directory) as engine:
        (made,) = finished_runs(engine, directory)
        create_comparison(engine, comparison_id="page-1", name="page", dataset="ticket-triage", settings={})
        state = {"state": ComparisonState.SUCCEEDED, "run_id": made.run_id, "finished_at": made.finished_at + 1}
        with writing(engine) as connection:
            connection.execute(update(comparisons).where(comparisons.c.id == "page-1").values(**state))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server, directory.lock("service") as lock:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell_address(lock, f"http://127.0.0.1:{server.server_address[1]}")
        assert run("ask", "latest", "Number 4?") == 0
        server.shutdown()
    assert {path.split("/")[3] for path in server.asked} == {"page-1"}  # type: ignore[attr-defined]


def test_an_estimate_names_stages_and_their_sum_and_takes_the_options_of_compare(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("estimate", "ticket-triage", "--effort", "quick", "--arms", "rag,raft", "--training-seeds", "2") == 0
    told = capsys.readouterr().out
    for words in ("index", "raft, seed 1", "latency", "all", "A rough guess"):
        assert words in told


def test_datasets_lists_what_ships(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("datasets") == 0
    assert "appliance-support" in capsys.readouterr().out


def test_comparisons_are_listed_renamed_and_deleted(
    run: Run, finished: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.directory.root, home)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TUNING_FORK_HOME", str(home))
    (folder,) = (home / "comparisons").iterdir()
    assert run("comparisons") == 0
    listed = capsys.readouterr().out
    assert folder.name in listed
    assert "winner: few-shot" in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert run("comparisons", "rename", folder.name[:9], "spring") == 0
    assert run("comparisons") == 0
    assert "spring" in capsys.readouterr().out
    assert run("comparisons", "delete", "latest") == 0
    assert not folder.exists()
    assert run("comparisons") == 0
    assert folder.name not in capsys.readouterr().out.split("is deleted.")[1]


def test_a_damaged_comparison_does_not_spoil_the_list(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "comparisons" / "x-1").mkdir(parents=True)
    (tmp_path / "comparisons" / "x-1" / "report.json").write_text("{")
    assert run("comparisons", "--home", str(tmp_path)) == 0
    assert "x-1" not in capsys.readouterr().out


def test_models_lists_every_kind_and_the_size_of_the_embedded_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    out = capsys.readouterr().out
    for name in ("smollm2", "134.5 M", "hf:ID_OR_PATH", "gguf:PATH", "openai:MODEL"):
        assert name in out


def test_validate_counts_a_good_data_set(run: Run, finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", str(finished.folder)) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny: 90 documents; questions: 50 train, 10 validation, 99 test\n")


def test_an_imported_folder_validates(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.md").write_text("# A\nText.")
    (tmp_path / "in" / "q.csv").write_text("question,answer\nWhat is the first?,one\nHow many are there?,two\n")
    assert run("import", str(tmp_path / "in"), str(tmp_path / "out")) == 0
    assert f"tuningfork validate {tmp_path / 'out'}" in capsys.readouterr().out
    assert run("validate", str(tmp_path / "out")) == 0


def test_without_a_command_help_is_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "Build arms" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["compare", "validate", "import", "ask", "report", "models", "datasets"])
def test_every_command_explains_itself(run: Run, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert capsys.readouterr().out.startswith("Usage:")
