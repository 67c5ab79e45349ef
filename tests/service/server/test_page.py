"""The web UI as a process, with a line of Python in place of Streamlit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.server.page import page_settings, running_page, start_page

APP = """
import os, pathlib, time
told = pathlib.Path(os.environ["TOLD"])
(told / str(os.getpid())).write_text(os.environ.get("TUNING_FORK_API_KEY", ""))
time.sleep(600)
"""
SERVICE = """
import sys, time
from pathlib import Path
from service.server.page import page_settings, running_page
with running_page(page_settings(1), "http://127.0.0.1:1", log_file=Path(sys.argv[1])):
    time.sleep(600)
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each process of a web UI leaves a file named by its id; they end with the service, as the real one does."""
    folder = tmp_path / "told"
    folder.mkdir()
    root = str(Path(__file__).parents[3])
    shadow = tmp_path / "shadow" / "streamlit"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").touch()
    (shadow / "starlette.py").write_text(
        f"class App:\n    def __init__(self, *_, **__): pass\n    def run(self, **_): exec({APP!r}, {{}})\n"
    )
    monkeypatch.setenv("TOLD", str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(shadow.parent), root]))
    return folder


def new_pid(told: Path, *, known: int = 0) -> int:
    """The process id of a web UI that runs."""
    deadline = time.monotonic() + 60
    while not (pids := [int(one.name) for one in told.iterdir() if int(one.name) != known]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pids[0]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    status = Path(f"/proc/{pid}/stat")
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_web_ui_comes_back_is_logged_and_ends_with_the_service(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.server.page.RESTART_AFTER_S", 0.0)
    with running_page(page_settings(1), "http://127.0.0.1:1", log_file=tmp_path / "log"):
        first = new_pid(told)
        os.kill(first, signal.SIGKILL)
        second = new_pid(told, known=first)
        assert "started again" in caplog.text
    wait_for_end(second)


def test_a_killed_service_leaves_no_page_behind(told: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVICE, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=tmp_path) as service:
        page = new_pid(told)
        service.kill()
    wait_for_end(page)


@pytest.mark.parametrize(("published", "key"), [((), "tf_key"), (("forks.example.org",), "")])
def test_a_web_ui_for_others_has_no_key_to_lend(
    told: Path, monkeypatch: pytest.MonkeyPatch, published: tuple[str, ...], key: str
) -> None:
    monkeypatch.setenv("TUNING_FORK_API_KEY", "tf_key")
    process = start_page(page_settings(1, published), "http://127.0.0.1:1", lends_key=True)
    try:
        pid = new_pid(told)
        while not (given := (told / str(pid)).read_text()) and key:
            assert process.poll() is None
        assert given == key
    finally:
        process.kill()
        process.wait()


def test_each_start_has_a_token_of_its_own_but_for_others_there_is_none() -> None:
    first, second = page_settings(1), page_settings(1)
    assert first.token
    assert first.token != second.token
    assert first.token in first.url
    assert page_settings(1, ("forks.example.org",)).token is None
