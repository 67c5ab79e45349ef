"""What a caller of the service waits besides the model, alone and while a job runs in the same machine.

    python -m benchmarks.interactive --n-questions 100

Starts a real `tuningfork serve` in a fresh directory, measures a small comparison with the embedded model, and asks its
pipelines over HTTP, one question at a time. Overhead is what the caller waited less the seconds in which the model
answered (the reply's `model_s`, retrieval included). Then a second comparison trains and answers beside the same
questions; a third time they are asked alone again, so that a machine that grew busier meanwhile is seen. Last, callers
at the same time, whose questions share batches.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from service.contract.client import ServiceClient
from service.contract.schemas import ComparisonDetail
from tests.e2e.server import running_server

ARMS = ("base", "rag")
SMALL = {"dataset": "appliance-support", "arms": ARMS, "limit": 8}
TUNED = {"dataset": "appliance-support", "arms": ["rag", "fine-tuned"], "limit": 200}
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
QUESTION = "How long does the short programme of model {} take?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n-questions", type=int, default=100)
    parser.add_argument("--kind", default="rag", choices=ARMS)
    parser.add_argument("--n-callers", type=int, default=16, help="at the same time, in the last part")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder) / "home", environment=ENVIRONMENT) as server,
        server.client() as client,
    ):
        measure(client, given.kind, given.n_questions, given.n_callers)


def measure(client: ServiceClient, kind: str, n: int, n_callers: int) -> None:
    small = client.create_comparison(SMALL).id
    finished = client.wait_for_comparison(small, timeout_s=3600)
    if finished.state != "succeeded":
        raise SystemExit(f"the comparison {finished.state}: {finished.error}")
    asking = time.perf_counter()
    ask(client, small, kind, 0)
    print(f"\nfirst question, with loading the model: {time.perf_counter() - asking:.1f} s\n")
    print(f"{n} questions to {kind}, one at a time, milliseconds{'':12}p50     p95   overhead p50   overhead p95")
    ask_all(client, small, kind, 10)
    before = report("alone", ask_all(client, small, kind, n))
    busy_with = client.create_comparison(TUNED).id
    wait(client, busy_with, lambda one: any(p.stage in ("tune", "answer") for p in one.progress))
    beside = report("beside a job", ask_all(client, small, kind, n))
    still = client.get_comparison(busy_with)
    stages = ", ".join(f"{p.stage} {p.done}/{p.total}" for p in still.progress)
    client.cancel_comparison(busy_with)
    client.wait_for_comparison(busy_with, timeout_s=600)
    after = report("alone again", ask_all(client, small, kind, n))
    alone = (before + after) / 2
    print(f"\nbeside a job (then {still.state}: {stages}) a question takes {beside / alone:.2f} times as long (p50)\n")

    with ThreadPoolExecutor(n_callers) as pool:
        started = time.perf_counter()
        rows = list(pool.map(lambda i: ask(client, small, kind, i), range(n)))
        crowd_s = time.perf_counter() - started
    batches = np.mean([row["batch_size"] for row in rows])
    print(f"{n_callers} callers at once: {n / crowd_s:.1f} questions/s in batches of {batches:.1f}, "
          f"one caller: {1 / alone:.1f} questions/s")  # fmt: skip


def wait(client: ServiceClient, comparison_id: str, until: Callable[[ComparisonDetail], bool]) -> None:
    while not until(client.get_comparison(comparison_id)):
        time.sleep(0.2)


def ask(client: ServiceClient, comparison_id: str, kind: str, i: int) -> dict[str, Any]:
    """One answer, with what the caller waited."""
    started = time.perf_counter()
    (row,) = client.ask(comparison_id, kind, [QUESTION.format(i)])
    return row | {"waited_s": time.perf_counter() - started}


def ask_all(client: ServiceClient, comparison_id: str, kind: str, n: int) -> list[dict[str, Any]]:
    return [ask(client, comparison_id, kind, i) for i in range(n)]


def report(name: str, rows: list[dict[str, Any]]) -> float:
    """Prints one line; the median wait in seconds."""
    waits = np.array([row["waited_s"] for row in rows])
    overheads = np.array([row["waited_s"] - row["model_s"] for row in rows])
    p50, p95, overhead_p50, overhead_p95 = (float(np.quantile(of, q)) for of in (waits, overheads) for q in (0.5, 0.95))
    ms = [1000 * one for one in (p50, p95, overhead_p50, overhead_p95)]
    print(f"{name:48}{ms[0]:8.1f}{ms[1]:8.1f}{ms[2]:15.1f}{ms[3]:15.1f}", flush=True)
    return p50


if __name__ == "__main__":
    main()
