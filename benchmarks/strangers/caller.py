"""The caller who has nothing to do with an attack: what they wait for, and what they are told."""

import http.client
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.strangers.target import UNANSWERED, Target

TIMEOUT_S = 60.0


@dataclass
class Waits:
    """What became of requests.

    Attributes:
        seconds: Each waited, in order, by what was asked for.
        failed: Replies that were none, or 5xx without what a 503 has to say.
    """

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        """The nearest-rank 99th percentile of all."""
        return p99([one for of in self.seconds.values() for one in of])


def p99(values: Sequence[float]) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


class Caller:
    """Lists, reads a comparison and a dataset, and asks a served arm, by turns, on a connection that stays open.

    Args:
        heard: Where every reply is kept.
    """

    def __init__(self, target: Target, heard: Path) -> None:
        self._target = target
        self._heard = heard
        comparison, dataset = target.ids["comparison"], target.ids["dataset"]
        question = {"model": f"{comparison}/base", "messages": [{"role": "user", "content": "Which colour?"}]}
        self._mix: Sequence[tuple[str, str, str, str | None]] = (
            ("list", "GET", "/v1/comparisons?limit=20", None),
            ("comparison", "GET", f"/v1/comparisons/{comparison}", None),
            ("dataset", "GET", f"/v1/datasets/{dataset}", None),
            ("question", "POST", "/v1/chat/completions", json.dumps(question)),
        )
        self._page: http.client.HTTPConnection | None = None
        self._api = self._connect(target.port)
        if target.page_port is not None:
            self._mix = (*self._mix, ("page", "PAGE", "/", None))
            self._page = self._connect(target.page_port)

    def close(self) -> None:
        """Leave."""
        for connection in (self._api, self._page):
            if connection is not None:
                connection.close()

    def call(
        self, n: int, *, until: Callable[[], bool] = lambda: False, longest_s: float = 60.0, least_s: float = 0.0
    ) -> Waits:
        """So many requests, one after the other; fewer where something happens or it takes too long before."""
        waits = Waits()
        started = time.monotonic()
        with self._heard.open("ab") as heard:
            i = 0
            while not until() and (i < n or time.monotonic() - started < least_s):
                if time.monotonic() - started > longest_s:
                    break
                name, method, path, body = self._mix[i % len(self._mix)]
                status, took_s, reply, told = self._once(method, path, body)
                waits.seconds[name].append(took_s)
                waits.counts[status] += 1
                heard.write(reply)
                if told:
                    waits.failed.append(told)
                i += 1
        return waits

    def _once(self, method: str, path: str, body: str | None) -> tuple[int, float, bytes, str]:
        headers = {"Authorization": f"Bearer {self._target.keys['caller']}", "Content-Type": "application/json"}
        connection = self._api
        if method == "PAGE":
            assert self._page is not None
            connection, method = self._page, "GET"
            headers = {"Cookie": f"tuning_fork_{self._target.page_port}={self._target.page_token}"}
        started = time.perf_counter()
        # A connection that was open for long may be closed by the server while a request is on its way.
        for attempt in (0, 1):
            try:
                connection.request(method, path, body, headers)
                reply = connection.getresponse()
                head, content = repr(reply.getheaders()).encode(), reply.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if attempt or time.perf_counter() - started > 1:
                    return UNANSWERED, time.perf_counter() - started, b"", f"no reply to {path}: {error!r}"
        took_s = time.perf_counter() - started
        told = ""
        if reply.status == 503 and b"retry-after" not in head.lower():
            told = f"503 without Retry-After to {path}"
        elif reply.status >= 500 and reply.status != 503:
            told = f"{reply.status} to {path}: {content[:200]!r}"
        return reply.status, took_s, head + content + b"\n", told

    def _connect(self, port: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)


def readiness(target: Target, over: threading.Event, heard: list[tuple[float, int, float]]) -> None:
    """Ask `/readyz` each second: when, its status, and how long it took."""
    began = time.monotonic()
    while not over.wait(1.0):
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=TIMEOUT_S)
        at = time.monotonic()
        try:
            connection.request("GET", "/readyz")
            reply = connection.getresponse()
            reply.read()
            status = reply.status
        except (OSError, http.client.HTTPException):
            status = UNANSWERED
        finally:
            connection.close()
        heard.append((at - began, status, time.monotonic() - at))
