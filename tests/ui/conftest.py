"""Pages as a visitor sees them, over a service in memory that holds one small finished comparison."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

import ui
import ui.connection
from service.api.service_settings import ServiceSettings
from service.store.data_directory import REPORT_FILE
from service.store.database import open_database
from service.store.migrations.upgrade import migrate
from tests.service.api.conftest import Api
from tests.service.conftest import Workplace, write_dataset
from tests.ui.fake_client import FakeClient

FINISHED, EARLIER = "tiny-finished", "tiny-earlier"
_APP = Path(ui.__file__).parent / "app.py"
OpenPage = Callable[..., AppTest]


def service_of(home: Path) -> Iterator[Api]:
    """A service whose data are in a folder, ended with the test."""
    engine: Engine = open_database(f"sqlite:///{home / 'test.db'}")
    migrate(engine)
    yield Api(engine, home, ServiceSettings(event_stream_s=0.05))
    engine.dispose()


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service on which nothing was done yet."""
    yield from service_of(tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service for tests that store datasets of their own."""
    yield from service_of(tmp_path_factory.mktemp("workshop"))


@dataclass(frozen=True)
class Populated:
    """A service with an own dataset and a finished comparison."""

    api: Api
    dataset: str


@pytest.fixture(scope="session")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A service on which a comparison of scripted arms has finished."""
    root = tmp_path_factory.mktemp("populated")
    workplace = Workplace(root / "work")
    folder = workplace.directory.comparison(workplace.run().id)
    for api in service_of(root):
        files = {path.name: path.read_bytes() for path in write_dataset(root / "tiny").iterdir()}
        version = FakeClient(api.app).real.upload_dataset(files).version
        reports = {path.name: path.read_bytes() for path in folder.iterdir()}
        api.finish(api.add_comparison(EARLIER), {**reports, REPORT_FILE: _with_seed(reports[REPORT_FILE], 7)})
        api.finish(api.add_comparison(FINISHED), reports)
        yield Populated(api, version)


def _with_seed(report: bytes, seed: int) -> bytes:
    changed = json.loads(report)
    changed["settings"]["seed"] = seed
    return json.dumps(changed).encode()


@pytest.fixture
def client(populated: Populated) -> FakeClient:
    """The client of pages over the populated service."""
    return FakeClient(populated.api.app)


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """Open a page by its name, with what its address says."""

    def call(name: str, client: FakeClient, **query: str) -> AppTest:
        # Cached replies are kept by the address, so that no test sees those of another.
        monkeypatch.setenv(ui.connection.API_VARIABLE, f"http://{uuid.uuid4()}")
        monkeypatch.delenv(ui.connection.KEY_VARIABLE, raising=False)
        monkeypatch.setattr(ui.connection, "_client", lambda url, key: client)
        page = AppTest.from_file(_APP, default_timeout=120)
        page.switch_page(f"app_pages/{name}.py")
        page.query_params.update(query)
        return healthy(page.run())

    return call


def healthy(page: AppTest) -> AppTest:
    """The page, on which nothing failed that a visitor cannot fix."""
    assert not page.exception, [one.value for one in page.exception]
    assert not any("failed here" in one.value for one in page.error)
    return page


def said(page: AppTest) -> str:
    """Everything on the page that is text, in no order."""
    kinds = (page.title, page.header, page.subheader, page.markdown, page.caption, page.text, page.code)
    messages = (page.error, page.warning, page.info, page.success)
    labels = [one.label for one in (*page.button, *page.metric)]
    return "\n".join([*(str(one.value) for kind in (*kinds, *messages) for one in kind), *labels])


def press(page: AppTest, label: str) -> AppTest:
    """Press the button with a label."""
    return healthy(next(one for one in page.button if one.label == label).click().run())
