"""kill -9 of a process that tunes at a provider, at 30 random moments, against a real server."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.finetune.hosted_replay import Clock, OpenAIReplay

pytestmark = pytest.mark.chaos

DRIVER = """
import sys
from pathlib import Path
from finetune.hosted.openai_jobs import OpenAIJobs
from finetune.hosted.provider import TuneRequest
from finetune.hosted.training_file import chat_rows, check_training_file
from finetune.hosted.tuning import tune_hosted
import httpx2, time
train = check_training_file(chat_rows([([("user", f"Q{i}?")], f"A{i}.") for i in range(12)]), "train.jsonl")
provider = OpenAIJobs(sys.argv[1], http_client=httpx2.Client())
print("started", flush=True)
tuned = tune_hosted(provider, TuneRequest("base", 3, 0, 16), train, train, Path(sys.argv[2]), usd_per_million_tokens=1,
                    max_spend_usd=1, sleep=lambda seconds: time.sleep(min(seconds, 0.05)))
print(tuned.model, flush=True)
"""


class WallClock(Clock):
    """Seconds of the world."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def now_s(self) -> float:  # type: ignore[override]
        return time.monotonic() - self._begun


@pytest.fixture
def provider() -> Iterator[tuple[str, OpenAIReplay]]:
    done = {"status": "succeeded", "fine_tuned_model": "ft:me", "trained_tokens": 1}
    replay = OpenAIReplay(WallClock(), [(0, {"status": "queued"}), (0.5, done)])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://127.0.0.1{self.path}"
            time.sleep(0.01)
            reply = replay._handle(httpx2.Request(self.command, url, content=content))
            self.send_response(reply.status_code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", replay
    server.shutdown()
    thread.join()
    server.server_close()


def test_thirty_kills_make_no_second_job(provider: tuple[str, OpenAIReplay], tmp_path: Path) -> None:
    url, replay = provider
    moments = random.Random(0)
    for round_ in range(30):
        journal = tmp_path / str(round_) / "journal.json"
        jobs_before = len(replay.jobs)
        for kill in (True, False):
            command = [sys.executable, "-c", DRIVER, url, str(journal)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tuning:
                assert tuning.stdout is not None
                assert tuning.stdout.readline() == "started\n"
                if kill:
                    time.sleep(moments.uniform(0, 0.6))
                    tuning.kill()
                told = tuning.stdout.read()
        assert told == "ft:me\n"
        assert len(replay.jobs) == jobs_before + 1, round_
