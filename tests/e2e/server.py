"""A service as an operator starts it: the installed command, its own process, its own data directory."""

import os
import re
import selectors
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.contract.client import ServiceClient

TUNINGFORK = Path(sys.executable).with_name("tuningfork")
DEADLINE_S = 300


@dataclass(frozen=True)
class RunningServer:
    """A service that answers."""

    process: subprocess.Popen[str]
    url: str
    home: Path

    def client(self, key: str | None = None) -> ServiceClient:
        return ServiceClient(self.url, key)

    def stop(self) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=DEADLINE_S)

    def kill(self) -> None:
        """kill -9 of it and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=DEADLINE_S)


def start_process(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`tuningfork ARGUMENTS` in a process group of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "TUNING_FORK_DATABASE_URL"}
    with (home.parent / f"{home.name}.stderr").open("ab") as errors:
        return subprocess.Popen(
            [TUNINGFORK, *arguments],
            env=inherited | {"TUNING_FORK_HOME": str(home)} | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def end_process(process: subprocess.Popen[str]) -> None:
    """Whatever `start_process` started is gone, with its group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def answer_blocks(home: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """The answers of each block in a home, and when it was committed, by stage and block."""
    path = home / "tuning_fork.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'answer_blocks'").fetchall():
            return {}
        rows = connection.execute("SELECT stage, block, answers, created_at FROM answer_blocks").fetchall()
    return {(stage, block): (answers, created_at) for stage, block, answers, created_at in rows}


@contextmanager
def running_server(home: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """A service at a free port, gone afterwards."""
    process = start_process(home, "serve", "--port", "0", "--no-ui", *options, environment=environment)
    try:
        yield RunningServer(process, _address(process, home), home)
    finally:
        end_process(process)


def served_models_of(service: int) -> list[int]:
    """Processes of the models that a process serves."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == service and b"service.serving.arms_process" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def _address(process: subprocess.Popen[str], home: Path) -> str:
    """What it says of itself once it answers."""
    assert process.stdout is not None
    deadline = time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline and selector.select(timeout=deadline - time.monotonic()):
            line = process.stdout.readline()
            if found := re.search(r"http://\S+", line):
                return found.group()
            if not line:
                break
    raise AssertionError((home.parent / f"{home.name}.stderr").read_text())
