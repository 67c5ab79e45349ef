"""What the process of the service refuses at its start, and what it does beside all other work."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from lm.errors import ConfigError
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.server.page import PageSettings, page_settings
from service.server.regularly import done_regularly
from service.server.serve import pruned_daily, refuse_without_keys
from service.store.api_keys import create_key
from service.store.comparisons.comparison_store import create_comparison, list_comparisons
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import comparisons


@pytest.mark.parametrize(
    ("host", "page", "told"),
    [
        ("0.0.0.0", None, "reach 0.0.0.0, .*leave --host out"),
        ("127.0.0.1", page_settings(1, ("forks.example.org",)), "reach forks.example.org, .*leave --ui-host out"),
        ("127.0.0.1", page_settings(1, address="0.0.0.0"), "reach 0.0.0.0, .*leave --ui-listen out"),
        ("::1", page_settings(1), ""),
    ],
)
def test_others_reach_nothing_without_a_key(engine: Engine, host: str, page: PageSettings | None, told: str) -> None:
    settings = ServiceSettings(host=host)
    if told:
        with pytest.raises(ConfigError, match=told):
            refuse_without_keys(engine, settings, page)
        create_key(engine, "admin", [Scope.ADMIN])
    refuse_without_keys(engine, settings, page)


def test_old_comparisons_are_deleted_at_the_start(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_comparison(engine, comparison_id="old", name="old", dataset="ticket-triage", settings={})
    with writing(engine) as connection:
        connection.execute(update(comparisons).values(state=ComparisonState.FAILED, finished_at=1.0))
    done = threading.Event()
    monkeypatch.setattr("service.store.keeping.retention.announce", lambda *_: done.set())
    with pruned_daily(engine, DataDirectory(tmp_path), None):
        assert list_comparisons(engine)[1] == 1
    with pruned_daily(engine, DataDirectory(tmp_path), 30):
        assert done.wait(60)
    assert list_comparisons(engine)[1] == 0


def test_what_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    n_times, enough = 0, threading.Event()

    def fail() -> None:
        nonlocal n_times
        n_times += 1
        if n_times == 3:
            enough.set()
        raise OSError("no disk")

    with done_regularly("trying", fail, 0.0, first_s=0.0):
        assert enough.wait(60)
    assert "trying failed; it is tried again in 0 s" in caplog.text
    assert "no disk" in caplog.text
