"""A database that stalls or is another's, and files that changed while nobody looked."""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.synchronize import Event

import psutil

from benchmarks.strangers.target import Heard, Target, ask
from service.store.database import DATABASE_FILE

READY_S = 5.0
JOB_S = 120.0


def postgres_stalled(target: Target, heard: Heard, over: Event) -> None:
    """Every process of the server stopped for 50 s, and again at the end."""
    _stalled(target, heard, over, lambda: _stopped(target.database_pid or 0), 50.0, is_deaf=True)


def sqlite_locked(target: Target, heard: Heard, over: Event) -> None:
    """Another process writes for 45 s, and again at the end."""
    _stalled(target, heard, over, lambda: _locked(target), 45.0, is_deaf=False)


def _stalled(
    target: Target, heard: Heard, over: Event, stall: Callable[[], object], for_s: float, *, is_deaf: bool
) -> None:
    body = json.dumps({"dataset": target.ids["dataset"], "model": f"openai:slow@{target.endpoint}", "arms": ["base"]})
    status, content = ask(target, heard, "POST", "/v1/comparisons", key="runner", body=body)
    job = json.loads(content).get("id")
    if status != 202:
        heard.blame(f"no job before the stall: {status} {content[:200]!r}")
    while (
        not over.is_set()
        and '"running"' not in ask(target, heard, "GET", f"/v1/comparisons/{job}", key="runner")[1].decode()
    ):
        time.sleep(0.2)
    slowest = {200: 0.0, 503: 0.0, 202: 0.0}
    with stall():  # type: ignore[attr-defined]
        began = time.monotonic()
        while time.monotonic() - began < for_s and not over.is_set():
            for method, path in (("GET", "/readyz"), ("POST", "/v1/comparisons")):
                started = time.monotonic()
                key = "runner" if method == "POST" else None
                status, content = ask(target, heard, method, path, key=key, body=body if key else None)
                took_s = time.monotonic() - started
                slowest[status] = max(slowest.get(status, 0.0), took_s)
                late = started - began > 2
                if path == "/readyz" and is_deaf and late and (status != 503 or took_s > READY_S):
                    heard.blame(f"/readyz said {status} after {took_s:.1f} s of a stall")
                if key and late and status != 503:
                    heard.blame(f"a create said {status} during a stall")
    freed = time.monotonic()
    while not over.is_set():
        state = json.loads(ask(target, heard, "GET", f"/v1/comparisons/{job}", key="runner")[1] or b"{}").get("state")
        if state == "succeeded":
            break
        if state in ("failed", "cancelled") or time.monotonic() - freed > JOB_S:
            heard.blame(f"the job is {state} {time.monotonic() - freed:.0f} s after the stall")
            break
        over.wait(1)
    told = ", ".join(f"{status} {took_s:.1f}" for status, took_s in sorted(slowest.items()) if took_s)
    heard.notes.append(f"slowest in the stall (s): {told}; the job ended {time.monotonic() - freed:.0f} s after it")
    with stall():  # type: ignore[attr-defined]
        over.wait()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    server = psutil.Process(pid)
    # The server first, so that no further process of it escapes.
    stopped = []
    for _ in range(2):
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.Error):
                os.kill(process.pid, signal.SIGSTOP)
                stopped.append(process.pid)
    try:
        yield
    finally:
        for one in reversed(stopped):
            with suppress(OSError):
                os.kill(one, signal.SIGCONT)


@contextmanager
def _locked(target: Target) -> Iterator[None]:
    with closing(sqlite3.connect(target.home / DATABASE_FILE, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def damaged(target: Target, heard: Heard, over: Event) -> None:
    """A byte of every file but the database's changed in its place, then everything read and asked."""
    said = {"model": f"{target.ids['comparison']}/rag", "messages": [{"role": "user", "content": "Which colour?"}]}
    at = f"/v1/comparisons/{target.ids['comparison']}"
    reads = (at, f"{at}/report.json", f"{at}/report.html", f"{at}/results?limit=20", f"{at}/results.csv")
    reads += (f"/v1/datasets/{target.ids['dataset']}/documents", f"/v1/datasets/{target.ids['dataset']}/examples")
    n_damaged = 0
    for path in target.home.rglob("*"):
        if (
            path.is_file()
            and not path.name.startswith(DATABASE_FILE)
            and path.stat().st_size
            and "logs" not in path.parts
        ):
            with path.open("r+b") as file:
                middle = path.stat().st_size // 2
                file.seek(middle)
                before = file.read(1)
                file.seek(middle)
                file.write(bytes([before[0] ^ 0x55]))
            n_damaged += 1
    heard.notes.append(f"{n_damaged} files damaged")
    n_asked = 0
    while not over.is_set():
        for path in reads:
            ask(target, heard, "GET", path, key="caller")
        status, content = ask(target, heard, "POST", "/v1/chat/completions", key="caller", body=json.dumps(said))
        n_asked += 1
        if n_asked == 1:
            heard.notes.append(f"the first question: {status}")
        elif status != 200:
            heard.blame(f"question {n_asked} to the damaged index: {status} {content[:200]!r}")
        time.sleep(0.1)


def escaped(target: Target, heard: Heard, over: Event) -> None:
    """The note of which index a comparison rests on leads out of the home, to a whole copy of that index.

    Files there have never been read: one that has an access time since then was opened.
    """
    stages = target.home / "stages"
    outside = target.home.parent / "outside"
    shutil.copytree(stages, outside, dirs_exist_ok=True)
    for note in (stages / "used").glob("*.json"):
        inside = {str(path.relative_to(stages)) for path in stages.glob("indexes/*/index.json")}
        note.write_text(json.dumps([f"../outside/{one}" for one in sorted(inside)]))
        heard.notes.append(f"{note.read_text()} written")
    files = [path for path in outside.rglob("*") if path.is_file()]
    probe = outside / "probe"
    probe.write_text("?")
    for path in (*files, probe):
        os.utime(path, (0, path.stat().st_mtime))
    probe.read_text()
    if not probe.stat().st_atime:
        heard.blame("nobody can tell here whether a file was read: access times are not kept")
    said = {"model": f"{target.ids['comparison']}/rag", "messages": [{"role": "user", "content": "Which colour?"}]}
    while not over.is_set():
        ask(target, heard, "POST", "/v1/chat/completions", key="caller", body=json.dumps(said))
        over.wait(0.1)
    heard.notes.append(f"{len(files)} files outside, {heard.counts[200]} answers")
    if read := [path.name for path in files if path.stat().st_atime]:
        heard.blame(f"opened outside the home: {read[:5]}")
