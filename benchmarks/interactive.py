"""What a caller of the service waits besides the model, alone and while a job runs in the same machine.

    python benchmarks/interactive.py --n-questions 100

Starts a real `tuningfork serve` in a fresh directory, measures a small comparison with the embedded model, and asks its
pipelines over HTTP, one question at a time. Overhead is what the caller waited less the seconds in which the model
answered (the reply's `model_s`, retrieval included). Then a second comparison trains and answers beside the same
questions; a third time they are asked alone again, so that a machine that grew busier meanwhile is seen. Last, callers
at the same time, whose questions share batches.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

SMALL = {"dataset": "appliance-support", "arms": ["base", "rag"], "limit": 8}
TUNED = {"dataset": "appliance-support", "arms": ["rag", "fine-tuned"], "limit": 200}
QUESTION = "How long does the short programme of model {} take?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n-questions", type=int, default=100)
    parser.add_argument("--kind", default="rag", choices=SMALL["arms"])
    parser.add_argument("--n-callers", type=int, default=16, help="at the same time, in the last part")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        process, url = start(Path(home))
        try:
            with httpx.Client(base_url=f"{url}/v1", timeout=600) as client:
                measure(client, given.kind, given.n_questions, given.n_callers)
        except SystemExit:
            print((Path(home) / "serve.log").read_text()[-4_000:])
            raise
        finally:
            process.terminate()
            process.wait(60)


def start(home: Path) -> tuple[subprocess.Popen[str], str]:
    """A running service and its address."""
    command = [
        str(Path(sys.executable).with_name("tuningfork")),
        "serve",
        "--port",
        "0",
        "--no-ui",
        "--home",
        str(home),
    ]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    log = (home / "serve.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        told = re.search(r"http://127\.0\.0\.1:\d+", (home / "serve.log").read_text())
        if told:
            try:
                if httpx.get(f"{told[0]}/readyz").is_success:
                    return process, told[0]
            except httpx.TransportError:
                pass
        time.sleep(0.2)
    raise SystemExit(f"the service did not start: {(home / 'serve.log').read_text()}")


def measure(client: httpx.Client, kind: str, n: int, n_callers: int) -> None:
    small = create(client, SMALL)
    finished = wait(client, small, lambda one: one["state"] not in ("queued", "running"))
    if finished["state"] != "succeeded":
        raise SystemExit(f"the comparison {finished['state']}: {finished['error']}")
    asking = time.perf_counter()
    ask(client, small, kind, 0)
    print(f"\nfirst question, with loading the model: {time.perf_counter() - asking:.1f} s\n")
    print(f"{n} questions to {kind}, one at a time, milliseconds{'':12}p50     p95   overhead p50   overhead p95")
    ask_all(client, small, kind, 10)
    before = report("alone", ask_all(client, small, kind, n))
    busy_with = create(client, TUNED)
    wait(client, busy_with, lambda one: any(p["stage"] in ("tune", "answer") for p in one["progress"]))
    beside = report("beside a job", ask_all(client, small, kind, n))
    still = client.get(f"/comparisons/{busy_with}").json()
    stages = ", ".join(f"{p['stage']} {p['done']}/{p['total']}" for p in still["progress"])
    client.post(f"/comparisons/{busy_with}/cancel")
    wait(client, busy_with, lambda one: one["state"] not in ("queued", "running"))
    after = report("alone again", ask_all(client, small, kind, n))
    alone = (before + after) / 2
    print(
        f"\nbeside a job (then {still['state']}: {stages}) a question takes {beside / alone:.2f} times as long (p50)\n"
    )

    with ThreadPoolExecutor(n_callers) as pool:
        started = time.perf_counter()
        rows = list(pool.map(lambda i: ask(client, small, kind, i), range(n)))
        crowd_s = time.perf_counter() - started
    batches = np.mean([row["batch_size"] for row in rows])
    print(f"{n_callers} callers at once: {n / crowd_s:.1f} questions/s in batches of {batches:.1f}, "
          f"one caller: {1 / alone:.1f} questions/s")  # fmt: skip


def create(client: httpx.Client, body: dict[str, Any]) -> str:
    reply = client.post("/comparisons", json=body)
    if reply.status_code != 202:
        raise SystemExit(reply.text)
    made: str = reply.json()["id"]
    return made


def wait(client: httpx.Client, comparison_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = client.get(f"/comparisons/{comparison_id}", params={"wait_s": 1}).json()
        if until(found):
            return found
        time.sleep(0.2)


def ask(client: httpx.Client, comparison_id: str, kind: str, i: int) -> dict[str, Any]:
    """One answer, with what the caller waited."""
    started = time.perf_counter()
    reply = client.post(
        f"/comparisons/{comparison_id}/pipelines/{kind}/answers", json={"questions": [QUESTION.format(i)]}
    )
    waited_s = time.perf_counter() - started
    if reply.status_code != 200:
        raise SystemExit(reply.text)
    row: dict[str, Any] = reply.json()["answers"][0]
    return row | {"waited_s": waited_s}


def ask_all(client: httpx.Client, comparison_id: str, kind: str, n: int) -> list[dict[str, Any]]:
    return [ask(client, comparison_id, kind, i) for i in range(n)]


def report(name: str, rows: Sequence[dict[str, Any]]) -> float:
    """Prints one line; the median wait in seconds."""
    waits = np.array([row["waited_s"] for row in rows])
    overheads = np.array([row["waited_s"] - row["model_s"] for row in rows])
    figures = [
        np.quantile(waits, 0.5),
        np.quantile(waits, 0.95),
        np.quantile(overheads, 0.5),
        np.quantile(overheads, 0.95),
    ]
    ms = [1000 * figure for figure in figures]
    print(f"{name:48}{ms[0]:8.1f}{ms[1]:8.1f}{ms[2]:15.1f}{ms[3]:15.1f}", flush=True)
    return float(figures[0])


if __name__ == "__main__":
    main()
