"""The page as a process, with a line of Python in place of Streamlit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.server.page import running_page

PAGE = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
SERVICE = """
import sys, time
from pathlib import Path
import service.server.page
from tests.service.server.test_page import page_of
service.server.page.page_command = lambda port: page_of(Path(sys.argv[1]))
with service.server.page.running_page("http://127.0.0.1:1", 1, log_file=Path(sys.argv[2])):
    time.sleep(600)
"""


def page_of(told: Path) -> list[str]:
    return [sys.executable, "-c", PAGE, str(told)]


def pid_in(told: Path) -> int:
    """The process id that a page writes once it runs."""
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(told.read_text())


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_page_ends_with_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.server.page.page_command", lambda port: page_of(tmp_path / "told"))
    with running_page("http://127.0.0.1:1", 1, log_file=tmp_path / "log") as process:
        # It is the very process that was started, so that ending one ends the other.
        assert pid_in(tmp_path / "told") == process.pid
    assert process.returncode == -signal.SIGTERM


def test_a_killed_service_leaves_no_page_behind(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", SERVICE, str(tmp_path / "told"), str(tmp_path / "log")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": root}, cwd=tmp_path) as service:
        page = pid_in(tmp_path / "told")
        assert is_running(page)
        service.kill()
    deadline = time.monotonic() + 60
    while is_running(page):
        assert time.monotonic() < deadline
        time.sleep(0.02)
