"""`tuningfork ci --api` against the real application, with a stand-in for the job that would compare."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, update

from advisor.gate.check import GateVerdict
from lm.errors import ConfigError
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.cli.ci.config import CiConfig, read_ci_config
from service.cli.ci.server import run_on_server
from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import comparisons, report_files

LOCAL = "http://127.0.0.1:8000"


class Server:
    """The application; whatever is asked for ends at once with the report of a finished comparison."""

    def __init__(self, root: Path, engine: Engine, finished: Path) -> None:
        self.engine, self.finished, self.state = engine, finished, ComparisonState.SUCCEEDED
        context = ServiceContext(engine, DataDirectory(root), self.run, ServiceSettings())
        self.http = TestClient(create_app(context), base_url=LOCAL, client=("127.0.0.1", 50_000))

    def run(self, comparison_id: str) -> None:
        rows = [
            {"comparison_id": comparison_id, "name": path.name, "content": path.read_bytes()}
            for path in self.finished.iterdir()
        ]
        with writing(self.engine) as connection:
            connection.execute(insert(report_files), rows)
            connection.execute(update(comparisons).values(state=self.state, error="no room"))

    def client(self) -> ServiceClient:
        def answer(request: httpx.Request) -> httpx.Response:
            headers = {name: value for name, value in request.headers.items() if name != "content-length"}
            reply = self.http.request(request.method, str(request.url), content=request.read(), headers=headers)
            return httpx.Response(reply.status_code, headers=dict(reply.headers), content=reply.content)

        return ServiceClient(LOCAL, transport=httpx.MockTransport(answer))


@pytest.fixture
def server(engine: Engine, tmp_path: Path, compared: Any) -> Iterator[Server]:
    made = compared.run()
    server = Server(tmp_path, engine, compared.directory.comparison(made.id))
    with server.http:
        yield server


def config(folder: Path, gate: str) -> CiConfig:
    path = folder / "tuning-fork.toml"
    path.write_text(f'dataset = "tiny"\n[comparison]\npipelines = ["base", "few-shot"]\n{gate}')
    return read_ci_config(path)


THRESHOLD = '[[gate.threshold]]\narm = "few-shot"\nmeasure = "exact_match"\nat_least = {}\n'


def test_a_server_compares_the_folder_and_answers_with_gate_and_report(server: Server, tmp_path: Path) -> None:
    for limit, verdict in ((0.01, GateVerdict.PASS), (0.99, GateVerdict.FAIL)):
        told: list[str] = []
        with server.client() as client:
            outcome, files = run_on_server(config(tmp_path, THRESHOLD.format(limit)), client, told.append)
        assert outcome.verdict is verdict
        assert set(files) == {"report.json", "results.jsonl", "report.html"}
        assert told[0].startswith("The server compares: tiny-")


def test_the_baseline_is_one_of_the_servers(server: Server, tmp_path: Path) -> None:
    gate = '[gate.baseline]\nname = "main"\narms = ["few-shot"]\n'
    with server.client() as client:
        with pytest.raises(ServiceError, match="no baseline 'main'"):
            run_on_server(config(tmp_path, gate), client, lambda _: None)
        client.set_baseline("main", client.list_comparisons().items[0].id)
        outcome, _ = run_on_server(config(tmp_path, gate), client, lambda _: None)
        assert outcome.verdict is GateVerdict.PASS
        with pytest.raises(ConfigError, match="with --api the baseline is one of the server's"):
            run_on_server(config(tmp_path, gate.replace('name = "main"\n', "")), client, lambda _: None)


def test_a_comparison_that_failed_tells_why(server: Server, tmp_path: Path) -> None:
    server.state = ComparisonState.FAILED
    with server.client() as client, pytest.raises(ServiceError, match="has failed: no room"):
        run_on_server(config(tmp_path, THRESHOLD.format(0.5)), client, lambda _: None)
