"""The process of the served models: killed, and asked again."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import Engine

from lm.errors import LanguageModelError
from rag.errors import IndexingError
from service.serving.arms_process import _result, _sent, _told
from service.serving.errors import ArmsMemoryError, EndpointTimeoutError, TooBusyError
from tests.e2e.server import served_models_of
from tests.service.serving.hosted_endpoint import STALLED, HostedEndpoint

ANSWERS = "/v1/comparisons/one/pipelines/base/answers"
NAMES = ("OPENAI_API_KEY", "PGPASSWORD", "TUNING_FORK_DATABASE_URL")


@pytest.fixture
def database_kind() -> str:
    """One kind: the process knows no database."""
    return "sqlite"


@pytest.fixture
def asked(
    engine: Engine,
    hosted: Any,
    service_class: Any,
    listen: Any,
    endpoint: HostedEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[openai.OpenAI]:
    """A client of a service whose models are in a process of their own."""
    monkeypatch.setenv("TUNING_FORK_ALLOWED_ENDPOINTS", "127.0.0.1")
    for name in NAMES:
        monkeypatch.setenv(name, f"secret of {name}")
    service = service_class(engine, hosted, None)
    with (
        listen(service.app) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client
        endpoint.trouble = None
        endpoint.over.set()
    endpoint.over.clear()
    assert served_models_of(os.getpid()) == []


def ask(client: openai.OpenAI, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Why 7?"}]
    return client.chat.completions.create(model="one/base", messages=messages, **options)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_kills_the_process_ends_the_questions_in_flight_and_the_next_one_is_answered(
    asked: openai.OpenAI, endpoint: HostedEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.trouble = STALLED
    pieces = iter(ask(asked, stream=True))
    while not next(pieces).choices[0].delta.content:
        pass
    (process,) = served_models_of(os.getpid())
    environment = Path(f"/proc/{process}/environ").read_text()
    assert "127.0.0.1" in environment
    assert [name for name in NAMES if name in environment] == []
    os.kill(process, signal.SIGKILL)
    with pytest.raises(openai.APIError, match=r"ended \(SIGKILL\), and is started anew when you ask again"):
        list(pieces)
    endpoint.trouble = None
    assert ask(asked).choices[0].message.content == "you asked"

    endpoint.trouble, n_asked = "silent", endpoint.n_asked
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask, asked)
        wait_until(lambda: endpoint.n_asked > n_asked)
        os.kill(*served_models_of(os.getpid()), signal.SIGSEGV)
        with pytest.raises(openai.InternalServerError, match=r"ended \(SIGSEGV\)") as failed:
            asking.result(60)
    assert (failed.value.status_code, failed.value.response.headers["retry-after"]) == (503, "5")
    told = [record.getMessage() for record in caplog.records if "process of the served models" in record.getMessage()]
    assert told == [f"the process of the served models ended ({name}); the next question starts another"
                    for name in ("SIGKILL", "SIGSEGV")]  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        LanguageModelError("the prompt has 9 tokens"),
        IndexingError("gone\u2028\ud800"),
        EndpointTimeoutError("late"),
        TooBusyError("later", 7),
    ],
)
def test_errors_are_raised_as_they_were_in_the_process(error: Any) -> None:
    with pytest.raises(type(error)) as raised:
        _result({"error": _told(error)})
    assert (str(raised.value), raised.value.retry_after_s) == (str(error), error.retry_after_s)


def test_a_defect_in_the_process_is_one_here(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: no"):
        _result({"error": _told(ZeroDivisionError("no"))})
    assert "an internal error" in caplog.text


def test_memory_that_was_short_is_told_with_the_remedy_wherever_it_was() -> None:
    loading = LanguageModelError("the model cannot be loaded")
    loading.__cause__ = MemoryError()
    with pytest.raises(ArmsMemoryError, match=r"memory was too small; take a smaller model .*machine with more"):
        _result({"error": _told(loading)})


def test_an_arm_s_own_keys_go_with_it(hosted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "k")
    url = hosted[1].settings.model.partition("@")[2]
    monkeypatch.setenv("TUNING_FORK_MODEL_URL", url)
    monkeypatch.setenv("TUNING_FORK_MODEL_API_KEY", "mine")
    assert _sent(hosted[1])["secrets"] == {"TUNING_FORK_MODEL_API_KEY": "mine"}
