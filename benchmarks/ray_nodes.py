"""How much faster more nodes of a Ray cluster answer, where answering is waiting: a scripted endpoint takes its time.

    python benchmarks/ray_nodes.py --nodes 1,2,4 --wait-s 8

A comparison of two arms through the whole service for each number of nodes of one core, all of them on this machine.
The speed is that of answering, from the first question that is asked to the last answer that is committed; the time
of the whole comparison, start of processes and reports included, is shown beside it.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from service.jobs.ray_engine.ray_settings import RaySettings
from service.jobs.supervisor import Supervisor
from service.store.comparisons.comparison_store import find_comparison
from service.store.comparisons.events import read_events
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from tests.chaos.ray_cluster import ray_nodes
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of

PIPELINES = ("base", "few-shot")
N_ASKED_ARMS = 3
"""With the reference that is given the right documents."""

N_FACTS = 8 * 64
"""Eight blocks an arm."""


class WaitingEndpoint(ThreadingHTTPServer):
    """Answers every test question after a while, later ones at once; knows when it was asked first."""

    request_queue_size = 256

    def __init__(self, wait_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wait_s = wait_s
        self.first_asked_at = 0.0
        self.n_left = N_FACTS * N_ASKED_ARMS
        self.guard = threading.Lock()

    def wait(self) -> None:
        with self.guard:
            self.first_asked_at = self.first_asked_at or time.time()
            self.n_left -= 1
        if self.n_left >= 0:
            time.sleep(self.wait_s)


class _Handler(BaseHTTPRequestHandler):
    server: WaitingEndpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.wait()
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "c1"}}
        usage = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def endpoint(wait_s: float) -> Iterator[WaitingEndpoint]:
    with WaitingEndpoint(wait_s) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def measure(root: Path, n_nodes: int, wait_s: float) -> tuple[float, float]:
    """Seconds of answering, and of the whole comparison."""
    root.mkdir()
    directory = DataDirectory(root / "home")
    directory.root.mkdir()
    engine = open_database(f"sqlite:///{directory.root / DATABASE_FILE}")
    migrate(engine)
    allowed = {"TUNING_FORK_ALLOWED_ENDPOINTS": "127.0.0.1"}
    os.environ |= allowed
    with endpoint(wait_s) as server, ray_nodes(root, n_nodes, allowed) as nodes:
        model = f"openai:m@http://127.0.0.1:{server.server_address[1]}/v1"
        create_dataset_and_comparison(engine, dataset_of(N_FACTS), model=model, arms=PIPELINES, batch_size=64)
        started = time.time()
        Supervisor(engine, directory, ray=RaySettings(nodes.address)).run(COMPARISON)
        whole_s = time.time() - started
        comparison = find_comparison(engine, COMPARISON)
        if comparison.state != "succeeded":
            raise SystemExit(comparison.error or "not over")
        events = read_events(engine, COMPARISON, limit=100_000)
        blocks = [event for event in events if event.type == "block" and event.data["done"]]
    engine.dispose()
    return blocks[-1].created_at - server.first_asked_at, whole_s


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", default="1,2,4")
    parser.add_argument("--wait-s", type=float, default=8.0)
    given = parser.parse_args()
    counts = [int(n) for n in given.nodes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        measured = {n: measure(Path(folder) / str(n), n, given.wait_s) for n in counts}
    base_s, base_whole_s = measured[counts[0]]
    for n, (answering_s, whole_s) in measured.items():
        print(
            f"{n} node{'s' if n > 1 else ''}: answering {answering_s:.0f} s ({base_s / answering_s:.2f} x), "
            f"whole comparison {whole_s:.0f} s ({base_whole_s / whole_s:.2f} x)"
        )


if __name__ == "__main__":
    main()
