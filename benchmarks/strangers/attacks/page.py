"""Strangers at the page: pages of other sites, programs without its token, floods of WebSockets, kills."""

import os
import signal
import time
from multiprocessing.synchronize import Event

import psutil

from benchmarks.strangers.attacks.held import hold
from benchmarks.strangers.target import Heard, Target, ask, at_once, send_raw

BACK_S = 60.0


def _handshake(host: str, origin: str | None, *cookies: str) -> bytes:
    lines = ["GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines += [f"Origin: {origin}"] if origin else []
    lines += [f"Cookie: {one}" for one in cookies]
    return "\r\n".join([*lines, "", ""]).encode()


def foreign(target: Target, heard: Heard, over: Event) -> None:
    """Handshakes under other names, from other sites, without the token or with another one."""
    ours = f"127.0.0.1:{target.page_port}"
    token = f"tuning_fork_{target.page_port}={target.page_token}"
    sent = (
        _handshake("evil.example", "http://evil.example", token),
        _handshake(ours, "http://evil.example", token),
        _handshake(ours, "null", token),
        _handshake("[::1]evil", None, token),
        _handshake(f"{ours}.evil.example", f"http://{ours}.evil.example", token),
        _handshake(ours, f"http://{ours}"),
        _handshake(ours, f"http://{ours}", f"tuning_fork_{target.page_port}=guess"),
        b"GET /?token=guess HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    )
    at_once(4, over, lambda number: [send_raw(target, heard, one, port=target.page_port) for one in sent[number::4]])


def flood(target: Target, heard: Heard, over: Event) -> None:
    """Connections to the page: 200 WebSockets that nobody let in, heads that never end, and silence."""
    ours = f"127.0.0.1:{target.page_port}"
    beginnings = (_handshake(ours, None), f"GET / HTTP/1.1\r\nHost: {ours}\r\nX-Slow: ".encode(), b"")
    hold(target.page_port or 0, beginnings, 600, heard, over, drips=True)


def killed(target: Target, heard: Heard, over: Event) -> None:
    """kill -9 of the page, again and again; each time it must be back."""
    slowest, n_kills = 0.0, 0
    while not over.is_set():
        pages = [one for one in psutil.Process(target.pid).children() if "service.server.page_app" in one.cmdline()]
        for page in pages:
            os.kill(page.pid, signal.SIGKILL)
            n_kills += 1
        started = time.monotonic()
        while not over.is_set() and ask(target, heard, "GET", "/_stcore/health", port=target.page_port)[0] != 200:
            if time.monotonic() - started > BACK_S:
                heard.blame(f"the page was not back {BACK_S:g} s after it was killed")
                break
            time.sleep(0.2)
        slowest = max(slowest, time.monotonic() - started)
    heard.notes.append(f"{n_kills} kills, back after {slowest:.1f} s at most")
