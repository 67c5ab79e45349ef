"""What holders of a key do: with another workspace's ids, with a revoked key, with very many waits and streams."""

import http.client
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event

from benchmarks.strangers.attacks.held import hold
from benchmarks.strangers.target import UNANSWERED, Heard, Target, ask, at_once

REVOKED_S = 5.0


def others(target: Target, heard: Heard, over: Event) -> None:
    """Every route with the caller's ids and the keys of another workspace; nothing of the caller's may come of it."""
    description = json.loads(ask(target, heard, "GET", "/openapi.json")[1])
    mine = {"comparison_id": target.ids["comparison"], "version": target.ids["dataset"], "kind": "base"}
    tried = []
    for path, operations in description["paths"].items():
        names = re.findall(r"{(\w+)}", path)
        if not {"comparison_id", "version", "run_id"} & set(names):
            continue
        filled = re.sub(r"{(\w+)}", lambda found: mine.get(found.group(1), target.ids["comparison"]), path)
        tried += [
            (method.upper(), filled) for method in operations if method in ("get", "post", "put", "patch", "delete")
        ]
    spoken = f"{target.ids['comparison']}/base"
    bodies = ("{}", json.dumps({"model": spoken, "messages": [{"role": "user", "content": "Which?"}]}))

    def send(number: int) -> None:
        for method, path in tried[number::3]:
            # The same files were uploaded by both: that copy is the stranger's own.
            if target.ids["dataset"] in path and "comparison" not in path:
                path = path.replace(target.ids["dataset"], "f" * 64)
            body = bodies[0] if method in ("POST", "PUT", "PATCH") else None
            status, content = ask(target, heard, method, path, key="runner", body=body)
            if 200 <= status < 300:
                heard.blame(f"{method} {path} by another workspace: {status} {content[:100]!r}")
        status, content = ask(target, heard, "POST", "/v1/chat/completions", key="runner", body=bodies[1])
        if status == 200:
            heard.blame("an arm of another workspace answered")
        listed = ask(target, heard, "GET", "/v1/comparisons?limit=200", key="runner")[1]
        if target.ids["comparison"].encode() in listed:
            heard.blame("a comparison of another workspace was listed")

    at_once(3, over, send)
    heard.notes.append(f"{len(tried)} operations")


def revoked(target: Target, heard: Heard, over: Event) -> None:
    """Keys that are revoked while they stream events and answers; each stream must end within 5 s."""
    slowest = [0.0]

    def once(number: int) -> None:
        _, content = ask(target, heard, "POST", "/v1/keys", key="admin", body=_KEY)
        made = json.loads(content)
        heard.notes[:] = [f"slowest end {slowest[0]:.1f} s"]
        chat = {
            "model": f"{target.ids['trickle']}/base",
            "stream": True,
            "messages": [{"role": "user", "content": "?"}],
        }
        streams = (
            ("GET", f"/v1/comparisons/{target.ids['waiting']}/events", None),
            ("POST", "/v1/chat/completions", json.dumps(chat)),
        )
        method, path, body = streams[number % 2]
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        try:
            connection.request(
                method, path, body, {"Authorization": f"Bearer {made['secret']}", "Content-Type": "application/json"}
            )
            reply = connection.getresponse()
            reply.read1(100)
            ask(target, heard, "DELETE", f"/v1/keys/{made['id']}", key="admin")
            at = time.monotonic()
            with suppress(http.client.HTTPException, OSError):
                while reply.read1(65536):
                    pass
            took_s = time.monotonic() - at
        except (OSError, http.client.HTTPException):
            heard.note(UNANSWERED)
            return
        finally:
            connection.close()
        heard.note(reply.status, dict(reply.getheaders()))
        slowest[0] = max(slowest[0], took_s)
        if took_s > REVOKED_S:
            heard.blame(f"{path} went on for {took_s:.1f} s after its key was revoked")

    at_once(4, over, once)


_KEY = json.dumps({"name": "doomed", "scopes": ["run"], "workspace": "strangers"})


def _held(path: str) -> Callable[[Target, Heard, Event], None]:
    """450 requests that wait, with the key of a reader, opened again when they end."""

    def attack(target: Target, heard: Heard, over: Event) -> None:
        where = path.format(**target.ids)
        request = f"GET {where} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.keys['reader']}\r\n\r\n"
        hold(target.port, [request.encode()], 450, heard, over)

    return attack


event_streams = _held("/v1/comparisons/{waiting}/events")
long_waits = _held("/v1/comparisons/{waiting}?wait_s=60")


def addresses(target: Target, heard: Heard, over: Event) -> None:
    """Models at addresses that lead into the service's own network, by every way of writing them."""
    hosts = (
        "169.254.169.254", "[::ffff:169.254.169.254]", "[2001:db8::5efe:a9fe:a9fe]", "[fe80::5efe:7f00:1]",
        "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "0x7f.1", "2130706433", "127.1", "localhost", "[::1]evil", "[::]",
        "127.0.0.1", "evil.internal", "10.0.0.1", "[::1%25lo]", "user@127.0.0.1", "127.0.0.1:22", "192.88.99.1",
    )  # fmt: skip

    def send(number: int) -> None:
        for host in hosts[number::2]:
            for path, extra in (("/v1/comparisons", {"arms": ["base"]}), ("/v1/models/try", None)):
                model = f"openai:m@http://{host}/v1"
                body = (
                    {"model": model} if extra is None else {"dataset": target.ids["dataset"], "model": model, **extra}
                )
                status, content = ask(target, heard, "POST", path, key="runner", body=json.dumps(body))
                if 200 <= status < 300:
                    heard.blame(f"{host} was taken: {content[:200]!r}")

    at_once(2, over, send)
