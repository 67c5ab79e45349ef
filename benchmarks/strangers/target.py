"""What strangers know of a service, and what they heard of it."""

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import IO, Any

UNANSWERED = 0
"""In place of a status: the connection was closed or reset, or nothing came in time."""

_KEPT_BYTES = 2**20
_MAX_WRONG = 8


@dataclass(frozen=True)
class Target:
    """Where a service is, and who may do what there.

    Attributes:
        keys: Secrets by name: `admin`; `caller`, of the workspace of the caller; `reader` and `runner`, of another one.
        ids: Of what is there, by name: `comparison` and `dataset` are the caller's.
        endpoint: Base URL of the hostile one.
        database_pid: Of its server, where it has one.
    """

    port: int
    page_port: int | None
    page_token: str
    pid: int
    home: Path
    keys: Mapping[str, str]
    ids: Mapping[str, str]
    endpoint: str
    database_pid: int | None = None


@dataclass
class Heard:
    """Every byte of every reply, and how often each status came until the service was told to stop.

    Attributes:
        stopping: That it was.
        wrong: What a stranger saw that must not be, besides statuses.
        notes: What else to tell of the attack.
    """

    file: IO[bytes]
    stopping: Event
    counts: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def note(self, status: int, head: Mapping[str, str] | None = None, body: bytes = b"", *, of: str = "") -> int:
        """A reply."""
        with self._guard:
            self.file.write(repr(dict(head or {})).encode() + body[:_KEPT_BYTES] + b"\n")
            if self.stopping.is_set():
                return status
            self.counts[status] += 1
            if status == 503 and "retry-after" not in {name.lower() for name in head or {}}:
                self.blame(f"503 without Retry-After {of}: {body[:100]!r}")
            elif status == 500:
                self.blame(f"500 {of}: {body[:200]!r}")
        return status

    def blame(self, what: str) -> None:
        """Tell of something that must not be."""
        if len(self.wrong) < _MAX_WRONG and not self.stopping.is_set():
            self.wrong.append(what)


Attack = Callable[[Target, Heard, Event], None]
"""Goes on until the event is set."""


def ask(
    target: Target,
    heard: Heard,
    method: str,
    path: str,
    *,
    key: str | None = None,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    port: int | None = None,
    timeout_s: float = 150.0,
) -> tuple[int, bytes]:
    """A request on a connection of its own; its status and what came with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port or target.port, timeout=timeout_s)
    sent = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {target.keys.get(key, key)}"
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        head = dict(reply.getheaders())
        content = reply.read()
    except (OSError, http.client.HTTPException):
        return heard.note(UNANSWERED), b""
    finally:
        connection.close()
    return heard.note(reply.status, head, content, of=f"{method} {path[:60]}"), content


def send_raw(target: Target, heard: Heard, content: bytes, *, port: int | None = None, timeout_s: float = 15.0) -> int:
    """Bytes as they are; the status of the reply to them."""
    reply = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port or target.port), timeout=timeout_s) as sent:
        with suppress(OSError):
            sent.sendall(content)
        while part := sent.recv(65536):
            reply += part
            if b"\r\n\r\n" in reply:
                break
    return heard.note(*read_head(reply))


def read_head(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and the rest of a raw reply."""
    head, _, rest = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1]) if first.startswith("HTTP/") and " " in first else UNANSWERED
    return status, dict(line.split(": ", 1) for line in lines if ": " in line), rest


def at_once(n: int, over: Event, act: Callable[[int], Any]) -> None:
    """Do something over and over in so many threads."""

    def go_on(number: int) -> None:
        while not over.is_set():
            act(number)

    threads = [threading.Thread(target=go_on, args=[number], daemon=True) for number in range(n)]
    for thread in threads:
        thread.start()
    over.wait()
    for thread in threads:
        thread.join(2)
