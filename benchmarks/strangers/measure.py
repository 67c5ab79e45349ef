"""One row: the caller without the attack and under it, then the end of the service while it goes on."""

import base64
import multiprocessing
import shutil
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks.strangers.caller import Caller, Waits, p99
from benchmarks.strangers.elsewhere import give_way
from benchmarks.strangers.rows import Row
from benchmarks.strangers.service import Home, RunningService, running_service
from benchmarks.strangers.target import UNANSWERED, Attack, Heard, Target
from tests.postgres import PostgresServer

MAX_RATIO = 3.0
MAX_RSS_BYTES = 1.5 * 10**9
MAX_STOP_S = 30.0
BEGINNING_S = 2.0
LONGEST_S = 60.0
LEFT_S = 5.0
ENDING_S = 1000.0


@dataclass
class Outcome:
    """What came of one row.

    Attributes:
        idle_s, attacked_s: The caller's p99 of each pair.
        kinds: The same of each kind of request, in words.
        broken: Every bound that did not hold.
    """

    idle_s: list[float] = field(default_factory=list)
    attacked_s: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    caller: Counter[int] = field(default_factory=Counter)
    strangers: Counter[int] = field(default_factory=Counter)
    rss_bytes: int = 0
    stop_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over the pairs."""
        return statistics.median(after / before for before, after in zip(self.idle_s, self.attacked_s, strict=True))


def measure(
    row: Row, seed: Home, folder: Path, *, n_pairs: int, n_requests: int, server: PostgresServer | None = None
) -> Outcome:
    """Replay a row on a copy of a home.

    Args:
        folder: Empty; what is stored, logged and heard stays there until it was searched for secrets.
    """
    outcome = Outcome()
    path = folder / "home"
    shutil.copytree(seed.path, path)
    home = Home(path, seed.environment, seed.keys, dict(seed.ids), seed.endpoints)
    heard = folder / "heard"
    heard.mkdir()
    home.endpoints.turn("hostile")
    pairs = n_pairs if row.has_ratio else 1
    with running_service(home, *([] if row.page else ["--no-ui"]), "--workers", "2") as service:
        home.ids |= row.prepare(service.target())
        target = service.target(_postmaster(server) if server else None)
        caller = Caller(target, heard / "caller")
        caller.call(100)
        for pair in range(pairs):
            before = caller.call(n_requests)
            with _attacking(row.attack, target, heard / f"strangers-{pair}", outcome) as (over, stopping):
                time.sleep(BEGINNING_S)
                longest_s = max(row.least_s, LONGEST_S)
                _take(outcome, row, before, caller.call(n_requests, longest_s=longest_s, least_s=row.least_s))
                if pair == pairs - 1 and not row.must_end:
                    stopping.set()
                    _stop(outcome, service)
                over.set()
        if row.must_end:
            _stop(outcome, service)
        caller.close()
    home.endpoints.turn("honest")
    outcome.broken += _exceeded(outcome, row)
    if server is not None:
        dump = [
            server.binaries / "pg_dump",
            "-h",
            server.folder,
            "-U",
            "tester",
            "strangers",
            "-f",
            folder / "stored.sql",
        ]
        subprocess.run(dump, check=True)
    outcome.broken += found_secrets(service, target, folder)
    return outcome


def _postmaster(server: PostgresServer) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def _take(outcome: Outcome, row: Row, before: Waits, during: Waits) -> None:
    outcome.idle_s.append(before.p99_s)
    outcome.attacked_s.append(during.p99_s)
    by_name = (
        f"{name} {1000 * p99(before.seconds[name]):.0f} {1000 * p99(during.seconds[name]):.0f}"
        for name in during.seconds
    )
    outcome.kinds.append(", ".join(by_name))
    outcome.caller += during.counts
    if UNANSWERED not in row.caller_may_hear:
        outcome.broken += during.failed[:5]
    if unexpected := {status: n for status, n in during.counts.items() if status not in row.caller_may_hear}:
        outcome.broken.append(f"the caller heard {unexpected}")


def _stop(outcome: Outcome, service: RunningService) -> None:
    if service.process.poll() is not None:
        outcome.broken.append(f"the service died with {service.process.returncode}")
        return
    outcome.rss_bytes = service.highest_rss_bytes()
    outcome.stop_s = service.stop()
    # A process that notices the end of the service by itself takes a moment to end.
    deadline = time.monotonic() + LEFT_S
    while (left := service.left_behind()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        outcome.broken.append(f"left behind: {left}")


def _exceeded(outcome: Outcome, row: Row) -> Iterator[str]:
    if row.has_ratio and outcome.ratio > MAX_RATIO:
        yield f"p99 is {outcome.ratio:.1f} times the idle one"
    if outcome.rss_bytes > MAX_RSS_BYTES:
        yield f"{outcome.rss_bytes / 1e9:.2f} GB of memory"
    if outcome.stop_s > MAX_STOP_S:
        yield f"stopped after {outcome.stop_s:.0f} s"
    if unexpected := {status: n for status, n in outcome.strangers.items() if status not in row.may_hear}:
        yield f"strangers heard {unexpected}"


@contextmanager
def _attacking(attack: Attack, target: Target, file: Path, outcome: Outcome) -> Iterator[tuple[Event, Event]]:
    """A process of strangers, which ends some time after the first event is set; what it heard is in the outcome then.

    Of what it hears once the second is set, only the bytes are kept.
    """
    context = multiprocessing.get_context("fork")
    over, stopping, results = context.Event(), context.Event(), context.SimpleQueue()
    process = context.Process(target=_assail, args=[attack, target, file, over, stopping, results])
    process.start()
    try:
        yield over, stopping
        process.join(ENDING_S)
        if results.empty():
            outcome.broken.append(f"the attack itself ended with {process.exitcode}")
            return
        counts, wrong, notes = results.get()
        outcome.strangers += counts
        outcome.broken += wrong
        outcome.notes[:] = notes
    finally:
        over.set()
        process.join(5)
        process.kill()


def _assail(
    attack: Attack, target: Target, file: Path, over: Event, stopping: Event, results: "SimpleQueue[Any]"
) -> None:
    give_way()
    with file.open("wb") as kept:
        heard = Heard(kept, stopping)
        threading.excepthook = lambda told: heard.blame(f"the attack itself failed: {told.exc_value!r}")
        attack(target, heard, over)
        results.put((heard.counts, heard.wrong, heard.notes))


def found_secrets(service: RunningService, target: Target, folder: Path) -> Iterator[str]:
    """Where a key or the token of the page stands, in what was stored, logged or sent.

    The service's first lines tell the token to who started it; they are not among these files.
    """
    named = {**service.home.secrets, **({"page token": target.page_token} if target.page_token else {})}
    forms = {name: {one.encode(), base64.b64encode(one.encode())[:-4]} for name, one in named.items()}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        for name, written in forms.items():
            if any(one in content for one in written):
                yield f"the {name} key is in {path.relative_to(folder)}"
