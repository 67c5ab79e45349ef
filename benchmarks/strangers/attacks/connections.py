"""Strangers who need no key: they hold connections, or send what is no request."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event

from benchmarks.strangers.attacks.held import hold
from benchmarks.strangers.target import UNANSWERED, Heard, Target, at_once, read_head, send_raw

HEAD_BYTES = 300 * 10**6
N_HELD = 600
"""More than the service takes at once."""


def large_heads(target: Target, heard: Heard, over: Event) -> None:
    """300 MB of headers, and more until it is over, eight connections at a time."""
    line = b"X-Filler: " + b"a" * 4000 + b"\r\n"
    sent = [0]

    def send(_: int) -> None:
        reply = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", target.port), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            with suppress(OSError):
                for _ in range(2500):
                    connection.sendall(line)
                    sent[0] += len(line)
            reply = connection.recv(4096)
        heard.note(*read_head(reply))

    at_once(8, over, send)
    heard.notes.append(f"{sent[0] / 1e6:.0f} MB of headers")


def _held(beginning: bytes) -> Callable[[Target, Heard, Event], None]:
    """Connections on which a request arrives byte by byte."""
    return lambda target, heard, over: hold(target.port, [beginning], N_HELD, heard, over, drips=True)


half_open = _held(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
slow_bodies = _held(
    b"POST /v1/comparisons HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer tf_none\r\n"
    b'Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"dataset": "'
)
silent = _held(b"")


def malformed(target: Target, heard: Heard, over: Event) -> None:
    """What is no request, or no reasonable one: long queries, upgrades, many requests in one breath."""
    host = b"Host: 127.0.0.1\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    sent = (
        b"GET /v1/comparisons?a=" + b"b" * 2_000_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /v1/comparisons?" + b"&".join(b"a%d=1" % i for i in range(6000)) + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /v1/comparisons/" + b"%2e%2e%2f" * 5000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /v1/comparisons HTTP/1.1\r\n" + host + upgrade + b"\r\n",
        (b"GET /v1/models HTTP/1.1\r\n" + host + b"\r\n") * 2000,
        b"POST /v1/comparisons HTTP/1.1\r\n"
        + host
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/comparisons HTTP/1.1\r\n" + host + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 20,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET " + b"/" * 60000 + b" HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n",
    )
    at_once(4, over, lambda number: [send_raw(target, heard, one, timeout_s=5) for one in sent[number::4]])


def slow_readers(target: Target, heard: Heard, over: Event) -> None:
    """450 connections that ask for the largest reply there is, and read a few bytes of it now and then."""
    path = f"/v1/comparisons/{target.ids['large']}/results.jsonl"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.keys['reader']}\r\n\r\n"
    held: list[socket.socket] = []
    while not over.is_set():
        while len(held) < 450 and not over.is_set():
            with suppress(OSError):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(2)
                connection.connect(("127.0.0.1", target.port))
                connection.sendall(request.encode())
                connection.setblocking(False)
                held.append(connection)
        for connection in list(held):
            try:
                if part := connection.recv(64):
                    heard.file.write(part)
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            heard.note(UNANSWERED)
            connection.close()
            held.remove(connection)
        over.wait(1.0)
    heard.notes.append(f"{len(held)} slow readers at the end")


def hosts(target: Target, heard: Heard, over: Event) -> None:
    """Names that are not ours, to the API and its health."""
    names = (
        b"[::1]evil",
        b"[::1]:1@evil",
        b"evil.example",
        b"127.0.0.1.evil.example",
        b"localhost\x00",
        b"[fe80::1%25lo]",
        b"",
    )
    paths = (b"/v1/comparisons", b"/v1/keys", b"/..%2f..%2fetc/passwd", b"/v1/datasets/..", b"//evil.example/v1")

    def send(number: int) -> None:
        for name in names:
            for path in paths[number::2]:
                send_raw(
                    target, heard, b"GET " + path + b" HTTP/1.1\r\nHost: " + name + b"\r\nConnection: close\r\n\r\n"
                )
        time.sleep(0.05)

    at_once(2, over, send)
