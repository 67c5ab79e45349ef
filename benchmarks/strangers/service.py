"""A service as an operator starts it, with everything that strangers could be after."""

import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.strangers.target import Target
from service.contract.client import ServiceClient
from service.contract.scope import Scope
from service.store.api_keys import create_key
from service.store.database import database_url, open_database
from service.store.migrations.upgrade import migrate
from tests.chaos.workplace import dataset_of
from tests.e2e.server import end_process, start_process

START_S = 120.0
SETTLING_S = 90.0
"""For a service that was told to stop; past the 30 s that it has."""

N_FACTS = 40
KEYS = {
    "admin": ("default", Scope.ADMIN),
    "caller": ("team", Scope.RUN),
    "reader": ("strangers", Scope.READ),
    "runner": ("strangers", Scope.RUN),
}


@dataclass(frozen=True)
class Endpoints:
    """The base URLs of one endpoint that only answers, and of one that is told when to be hostile."""

    honest: str
    hostile: str

    def turn(self, mode: str) -> None:
        """Make the hostile one `honest` or `hostile`."""
        address = self.hostile.removesuffix("/v1") + "/mode"
        urllib.request.urlopen(urllib.request.Request(address, mode.encode(), method="POST"), timeout=30).close()


@contextmanager
def endpoints() -> Iterator[Endpoints]:
    """Both, gone afterwards."""
    command = [sys.executable, "-m", "benchmarks.strangers.endpoint"]
    # What a hostile one computes is not computed on the machine of a service.
    started = [subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True) for more in ([], ["--elsewhere"])]
    try:
        ports = [process.stdout.readline().strip() for process in started if process.stdout is not None]
        yield Endpoints(*(f"http://127.0.0.1:{port}/v1" for port in ports))
    finally:
        for process in started:
            with process:
                process.kill()


@dataclass
class Home:
    """A data directory with a finished comparison of the caller's, some of the strangers', and keys.

    Attributes:
        environment: What its service needs; the model key among it.
        ids: By name: `comparison` and `dataset` are the caller's; one of each hostile model.
    """

    path: Path
    environment: Mapping[str, str]
    keys: Mapping[str, str]
    ids: dict[str, str]
    endpoints: Endpoints

    @property
    def secrets(self) -> dict[str, str]:
        """What must not be stored, logged or told, by name."""
        models = {name: self.environment[name] for name in ("TUNING_FORK_MODEL_API_KEY", "OPENAI_API_KEY")}
        return {**self.keys, **models}


def make_home(path: Path, about: Endpoints, models: Sequence[str] = (), database: str | None = None) -> Home:
    """Keys, a dataset and finished comparisons, made by a service of its own.

    Args:
        models: Hostile ones that strangers compared while they were honest.
        database: The address of a server's; a file in the home otherwise.
    """
    path.mkdir(parents=True)
    environment = {
        "TUNING_FORK_ALLOWED_ENDPOINTS": ",".join(url.split("/")[2] for url in (about.honest, about.hostile)),
        "TUNING_FORK_MODEL_URL": about.hostile,
        "TUNING_FORK_MODEL_API_KEY": "sk-model-" + secrets.token_hex(12),
        "OPENAI_API_KEY": "sk-openai-" + secrets.token_hex(12),
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **({"TUNING_FORK_DATABASE_URL": database} if database else {}),
    }
    engine = open_database(database or database_url(path))
    migrate(engine)
    keys = {name: create_key(engine, name, [scope], workspace=team)[1] for name, (team, scope) in KEYS.items()}
    engine.dispose()
    home = Home(path, environment, keys, {}, about)
    with running_service(home, "--no-ui", "--workers", "2") as service:
        files = dataset_of(N_FACTS)
        wanted = {"comparison": ("caller", about.honest, "honest", ["base", "rag"])}
        wanted |= {name: ("runner", about.hostile, name, ["base"]) for name in models}
        for name, (key, url, model, arms) in wanted.items():
            with ServiceClient(service.url, keys[key]) as client:
                home.ids["dataset"] = client.upload_dataset(files).version
                request = {"dataset": home.ids["dataset"], "model": f"openai:{model}@{url}", "arms": arms}
                request["embedder"] = f"openai:embedder@{about.honest}"
                home.ids[name] = client.create_comparison(request).id
        for name, (key, *_) in wanted.items():
            with ServiceClient(service.url, keys[key]) as client:
                done = client.wait_for_comparison(home.ids[name], timeout_s=300)
                assert done.state == "succeeded", done.error
        service.stop()
    return home


@dataclass
class RunningService:
    """A service under attack."""

    process: subprocess.Popen[str]
    url: str
    page_url: str | None
    home: Home
    told: Path

    def target(self, database_pid: int | None = None) -> Target:
        """What strangers are given."""
        page = re.search(r":(\d+)/\?token=(.+)", self.page_url or "")
        return Target(
            port=int(self.url.rpartition(":")[2]),
            page_port=int(page.group(1)) if page else None,
            page_token=page.group(2) if page else "",
            pid=self.process.pid,
            home=self.home.path,
            keys=self.home.keys,
            ids=self.home.ids,
            endpoint=self.home.endpoints.hostile,
            database_pid=database_pid,
        )

    def highest_rss_bytes(self) -> int:
        """Of the process of the API, since its start."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found.group(1)) * 1024 if found else 0

    def stop(self) -> float:
        """Tell it to stop; seconds until it is gone."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SETTLING_S)
        except subprocess.TimeoutExpired:
            return SETTLING_S
        return time.monotonic() - started

    def left_behind(self) -> list[str]:
        """Commands of processes that outlived it."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                continue
        return found


@contextmanager
def running_service(home: Home, *options: str) -> Iterator[RunningService]:
    """A service that answers, gone afterwards. Without `--no-ui` it has a page, at a free port."""
    told = home.path.parent / f"{home.path.name}.stderr"
    page: tuple[str, ...] = ()
    if "--no-ui" not in options:
        page = ("--ui-port", str(_free_port()))
    process = start_process(home.path, "serve", "--port", "0", *page, *options, environment=home.environment)
    try:
        assert process.stdout is not None
        url = page_url = None
        for line in process.stdout:
            if found := re.search(r"answers at (http://\S+)", line):
                url = found.group(1)
            if found := re.search(r"web UI is at (http://\S+?)(?:,|\s|$)", line):
                page_url = found.group(1)
            if url and (page_url or "--no-ui" in options):
                break
        assert url, told.read_text()
        for address in (f"{url}/readyz", page_url and f"{page_url.partition('/?')[0]}/_stcore/health"):
            if address is not None:
                _wait_for(address)
        yield RunningService(process, url, page_url, home, told)
    finally:
        end_process(process)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return
        except OSError:
            assert time.monotonic() < deadline, address
            time.sleep(0.2)


def _free_port() -> int:
    """A port that no outgoing connection is given, as one among the tens of thousands of an attack might be."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 30_000))) as listener:
            return int(listener.getsockname()[1])
