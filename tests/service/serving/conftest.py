"""A finished comparison of scripted arms, retrieval among them, and what serves it."""

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, update

from advisor.data.files import load_dataset
from advisor.money.prices import load_prices
from advisor.results.json_report import json_report
from lm.completion import Completion, GenerationConfig, Messages
from lm.fake import FakeLM
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.run.composition import LocalComposition
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison
from service.safety.prepare import PreparedDataset
from service.serving.arms import Arms
from service.serving.errors import NotServableError
from service.serving.limits import ServingLimits
from service.serving.pipelines import ServedPipelines
from service.serving.servable import Servable, read_servable
from service.store.comparisons.comparison_store import create_comparison
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.dataset_store import store_dataset
from service.store.tables import comparisons, report_files
from tests.service.serving.hosted_endpoint import HostedEndpoint

T = TypeVar("T")


class WordEmbedder:
    """Texts that share words are near."""

    name = "words"
    fingerprint = "words"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.01
            for word in text.lower().split():
                digest = hashlib.sha256(word.strip(".,:?").encode()).digest()
                vectors[row, 1 + int.from_bytes(digest[:4], "big") % 63] += 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class Gate(FakeLM):
    """A scripted model that can be held at its next question, and tells the size of each batch it was given."""

    def __init__(self, answer: Callable[[Messages], str] | dict[str, str], **options: Any) -> None:
        super().__init__(answer, **options)
        self.opened = threading.Event()
        self.opened.set()
        self.entered = threading.Semaphore(0)

    @property
    def batches(self) -> list[list[str]]:
        return [[prompt[-1].content.rpartition("Question: ")[2] for prompt in prompts] for prompts in self.calls]

    def hold(self) -> None:
        """Let nothing through until `opened` is set."""
        self.opened.clear()

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        self.entered.release()
        assert self.opened.wait(30)
        return super().generate(prompts, config)


def say(prompt: Messages) -> str:
    return f"you asked {prompt[-1].content.split()[-1]} with {len(prompt)} turns"


@dataclass
class Desk:
    """A finished comparison and what serves it.

    Attributes:
        models: All models loaded so far.
    """

    directory: DataDirectory
    settings: ComparisonSettings
    servables: dict[str, Servable]
    models: list[Gate] = field(default_factory=list)
    made: list[ServedPipelines] = field(default_factory=list)

    def load_model(self, settings: ComparisonSettings) -> Gate:
        self.models.append(Gate(say, name=settings.model))
        return self.models[-1]

    def read(self, comparison_id: str) -> Servable:
        if comparison_id not in self.servables:
            raise NotServableError(f"no {comparison_id}")
        return self.servables[comparison_id]

    def arms(self) -> Arms:
        """Scripted arms in this process."""
        limits = ServingLimits()
        return Arms(self.directory, limits, load_model=self.load_model, load_embedder=lambda _: WordEmbedder())

    def serve(self, **limits: Any) -> ServedPipelines:
        served = ServedPipelines(self.directory, self.read, limits=ServingLimits(**limits), arms=self.arms())
        self.made.append(served)
        return served

    def again_as(self, comparison_id: str, **changes: Any) -> None:
        """Another comparison, of the same report."""
        servable = self.servables["one"]
        settings = replace(servable.settings, **changes)
        self.servables[comparison_id] = replace(servable, id=comparison_id, settings=settings)


class ScriptedLocal(LocalComposition):
    """The real composition over a scripted model and embedder."""

    @cached_property
    def model(self) -> FakeLM:
        return FakeLM(say, name=self._settings.model)

    @cached_property
    def embedder(self) -> WordEmbedder:
        return WordEmbedder()


@pytest.fixture(scope="session")
def compared(workplace_class: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Servable]:
    workplace = workplace_class(tmp_path_factory.mktemp("compared"))
    settings = replace(workplace.settings, model="hf:scripted", arms=("base", "few-shot", "rag"))
    report = run_comparison(settings, workplace.directory, ScriptedLocal, "scripted")
    return workplace, Servable("one", settings, load_prices(), report)


class HostedLocal(LocalComposition):
    """The real composition with the real client of endpoints; only the embedder is a small one."""

    @cached_property
    def embedder(self) -> WordEmbedder:
        return WordEmbedder()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[HostedEndpoint]:
    endpoint = HostedEndpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="session")
def hosted(
    endpoint: HostedEndpoint, workplace_class: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Servable]:
    """A finished comparison of a hosted model."""
    workplace = workplace_class(tmp_path_factory.mktemp("hosted"))
    settings = replace(workplace.settings, model=f"openai:m@{endpoint.url}", arms=("base", "few-shot"), limit=6)
    report = run_comparison(settings, workplace.directory, HostedLocal, "hosted")
    return workplace, Servable("one", settings, load_prices(), report)


@pytest.fixture
def desk(compared: tuple[Any, Servable]) -> Iterator[Desk]:
    workplace, servable = compared
    desk = Desk(workplace.directory, servable.settings, {"one": servable})
    yield desk
    for model in desk.models:
        model.opened.set()
    for served in desk.made:
        served.close()


@pytest.fixture
def dataset_folder(compared: tuple[Any, Servable]) -> Path:
    folder: Path = compared[0].folder
    return folder


def wait_for(awaitable: Awaitable[T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(60):
            return await awaitable

    return asyncio.run(limited())


@pytest.fixture
def ask() -> Callable[[Awaitable[Any]], Any]:
    """Runs what is awaited, for a minute at most."""
    return wait_for


@pytest.fixture
def gate_class() -> type[Gate]:
    return Gate


class Service:
    """The API over rows of a finished comparison, answered by scripted models, or without a desk by its own."""

    def __init__(self, engine: Engine, compared: tuple[Any, Servable], desk: Desk | None, **limits: Any) -> None:
        workplace, servable = compared
        self.engine = engine
        files = {path.name: path.read_bytes() for path in workplace.folder.iterdir()}
        stored, _ = store_dataset(self.engine, PreparedDataset.of(files, load_dataset(workplace.folder)))
        self.settings = servable.settings.to_json() | {"dataset": stored.version, "price_list": None}
        self.dataset = stored.version
        self.report = json_report(servable.report).encode()
        context = ServiceContext(self.engine, workplace.directory, lambda _: None, ServiceSettings())
        self.app = create_app(context)
        if desk is not None:
            self.desk = desk
            self.app.state.served = ServedPipelines(
                workplace.directory,
                partial(read_servable, self.engine, workplace.directory),
                limits=ServingLimits(**limits),
                arms=desk.arms(),
            )
            desk.made.append(self.app.state.served)
        self.add("one")
        self.client = TestClient(self.app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))

    def add(self, comparison_id: str, state: ComparisonState = ComparisonState.SUCCEEDED) -> None:
        """A comparison with the report, or one that has none yet."""
        create_comparison(
            self.engine, comparison_id=comparison_id, name="n", dataset=self.dataset, settings=self.settings
        )
        with writing(self.engine) as connection:
            row = comparisons.c.id == comparison_id
            connection.execute(update(comparisons).where(row).values(state=state, finished_at=1_700_000_000.0))
            if state is ComparisonState.SUCCEEDED:
                file = {"comparison_id": comparison_id, "name": "report.json", "content": self.report}
                connection.execute(insert(report_files).values(**file))


@pytest.fixture
def service(engine: Engine, compared: tuple[Any, Servable], desk: Desk) -> Iterator[Service]:
    service = Service(engine, compared, desk)
    with service.client:
        yield service


@pytest.fixture
def crowded_service(engine: Engine, compared: tuple[Any, Servable], desk: Desk) -> Iterator[Service]:
    """One question may wait."""
    service = Service(engine, compared, desk, queued_questions=1)
    with service.client:
        yield service


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of a real server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture
def address(engine: Engine, compared: tuple[Any, Servable], desk: Desk) -> Iterator[tuple[str, Service]]:
    """A real server, and what it serves."""
    service = Service(engine, compared, desk)
    with listening(service.app) as address:
        yield address, service


@pytest.fixture(scope="session")
def service_class() -> type[Service]:
    return Service


@pytest.fixture(scope="session")
def listen() -> Callable[[Any], AbstractContextManager[str]]:
    return listening
