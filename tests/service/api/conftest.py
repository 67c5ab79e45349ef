"""The application over an empty database, with a queue that only notes what is put into it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert

from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.store.api_keys import create_key
from service.store.comparisons.comparison_store import create_comparison, set_state
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import report_files

LOCAL = "http://127.0.0.1:8000"
DOCUMENTS = json.dumps({"id": "d", "title": "Warranty", "text": "The warranty lasts two years."}) + "\n"
QUESTIONS = "".join(
    json.dumps(
        {"id": f"q{i}", "question": f"How long is warranty {i}?", "answers": ["two years"], "document_ids": ["d"]}
    )
    + "\n"
    for i in range(10)
)
FILES = {"documents.jsonl": DOCUMENTS.encode(), "questions.jsonl": QUESTIONS.encode()}


@dataclass
class Api:
    """The application and what is behind it."""

    engine: Engine
    home: Path
    settings: ServiceSettings
    submitted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = ServiceContext(self.engine, DataDirectory(self.home), self.submitted.append, self.settings)
        self.app = create_app(self.context)

    def client(self, *, key: str | None = None, host: str = "127.0.0.1", base_url: str = LOCAL) -> TestClient:
        """A caller from an address."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return TestClient(
            self.app, base_url=base_url, client=(host, 50_000), headers=headers, raise_server_exceptions=False
        )

    def key(self, scope: Scope, *, requests_per_minute: int | None = None) -> str:
        """The secret of a new key."""
        return create_key(self.engine, f"for {scope}", [scope], requests_per_minute=requests_per_minute)[1]

    def add_comparison(self, comparison_id: str, **settings: Any) -> str:
        """A queued comparison of a bundled dataset."""
        create_comparison(
            self.engine,
            comparison_id=comparison_id,
            name=comparison_id,
            dataset="appliance-support",
            settings={"model": "smollm2", "arms": ["base", "few-shot"], **settings},
        )
        return comparison_id

    def move(self, comparison_id: str, state: ComparisonState, *, error: str | None = None) -> None:
        """Put a comparison into a state."""
        with writing(self.engine) as connection:
            set_state(connection, comparison_id, state, expected=list(ComparisonState), error=error)

    def finish(self, comparison_id: str, files: Mapping[str, bytes]) -> None:
        """Let a comparison succeed with these report files."""
        rows = [{"comparison_id": comparison_id, "name": name, "content": content} for name, content in files.items()]
        with writing(self.engine) as connection:
            connection.execute(insert(report_files), rows)
        self.move(comparison_id, ComparisonState.SUCCEEDED)


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Api:
    settings = ServiceSettings(
        max_queued=3,
        max_body_bytes=100_000,
        max_comparison_bytes=200_000,
        max_upload_bytes=1_000_000,
        longest_wait_s=0.3,
        event_stream_s=0.5,
    )
    return Api(engine, tmp_path, settings)


@pytest.fixture
def client(api: Api) -> TestClient:
    """Who sits at the machine of a service without keys."""
    return api.client()


@pytest.fixture(scope="session")
def finished_files(workplace_class: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The report files of a comparison of scripted arms."""
    workplace = workplace_class(tmp_path_factory.mktemp("finished"))
    folder: Path = workplace.directory.comparison(workplace.run().id)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
