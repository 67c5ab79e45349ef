"""Ten times what the service can take, whoever asks."""

import asyncio
import itertools
import json
import random
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Event

from benchmarks.strangers.target import Heard, Target, ask, read_head

TIMES = 10
MEASURE_S = 5.0
REPLY_S = 60.0
CREATE_EVERY_S = 10.0
JOBS_S = 900.0


def overload(target: Target, heard: Heard, over: Event) -> None:
    """Measures what 16 callers get in all, then sends ten times as much without waiting; every job must end."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    requests = _requests(target)
    rate = _closed_loop(target, heard, requests)
    accepted: list[str] = []
    creating = threading.Thread(target=_create, args=[target, heard, over, accepted])
    creating.start()
    sent = asyncio.run(_open_loop(target, heard, over, requests, TIMES * rate))
    creating.join()
    heard.notes.append(f"takes {rate:.0f}/s; {sent[0] / sent[1]:.0f}/s were sent for {sent[1]:.0f} s")
    _see_all_end(target, heard, accepted)


def _requests(target: Target) -> Sequence[bytes]:
    said = {"model": f"{target.ids['comparison']}/base", "messages": [{"role": "user", "content": "Which colour?"}]}
    of = target.ids["comparison"]
    gets = ["/v1/comparisons?limit=20", f"/v1/comparisons/{of}", f"/v1/datasets/{target.ids['dataset']}"]
    gets += [f"/v1/comparisons/{of}/results?limit=20", "/healthz", "/readyz", "/v1/models"]
    made = [("GET", path, "") for path in gets] + [("POST", "/v1/chat/completions", json.dumps(said))]
    return [
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.keys['caller']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        for method, path, body in made
    ]


async def _once(target: Target, heard: Heard, request: bytes) -> None:
    reply = b""
    try:
        async with asyncio.timeout(REPLY_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            try:
                writer.write(request)
                reply = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    heard.note(*read_head(reply), of=request[:60].decode())


def _closed_loop(target: Target, heard: Heard, requests: Sequence[bytes]) -> float:
    """Requests a second that 16 callers get answered."""

    async def measure() -> float:
        started, n_done = time.monotonic(), 0

        async def call(turn: Iterator[bytes]) -> None:
            nonlocal n_done
            while time.monotonic() - started < MEASURE_S:
                await _once(target, heard, next(turn))
                n_done += 1

        async with asyncio.TaskGroup() as group:
            for i in range(16):
                group.create_task(call(itertools.cycle([*requests[i % 8 :], *requests[: i % 8]])))
        return n_done / (time.monotonic() - started)

    return asyncio.run(measure())


async def _open_loop(
    target: Target, heard: Heard, over: Event, requests: Sequence[bytes], per_s: float
) -> tuple[int, float]:
    lot, n_sent, started = random.Random(0), 0, time.monotonic()
    waiting: set[asyncio.Task[None]] = set()
    while not over.is_set():
        due = int((time.monotonic() - started) * per_s)
        for _ in range(due - n_sent):
            task = asyncio.create_task(_once(target, heard, lot.choice(requests)))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        n_sent = due
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - started
    if waiting:
        await asyncio.wait(waiting, timeout=REPLY_S)
    return n_sent, took_s


def _create(target: Target, heard: Heard, over: Event, accepted: list[str]) -> None:
    body = json.dumps({"dataset": target.ids["dataset"], "model": f"openai:honest@{target.endpoint}", "arms": ["base"]})
    while not over.wait(CREATE_EVERY_S):
        status, content = ask(target, heard, "POST", "/v1/comparisons", key="caller", body=body)
        if status == 202:
            accepted.append(json.loads(content)["id"])


def _see_all_end(target: Target, heard: Heard, accepted: Sequence[str]) -> None:
    deadline, left = time.monotonic() + JOBS_S, list(accepted)
    while left and time.monotonic() < deadline:
        _, content = ask(target, heard, "GET", f"/v1/comparisons/{left[0]}?wait_s=30", key="caller")
        state = json.loads(content or b"{}").get("state")
        if state == "succeeded":
            left.pop(0)
        elif state in ("failed", "cancelled"):
            heard.blame(f"an accepted job {state}")
            left.pop(0)
    if left:
        heard.blame(f"{len(left)} of {len(accepted)} accepted jobs did not end")
    heard.notes.append(f"{len(accepted)} jobs accepted, {len(accepted) - len(left)} ended")
