import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from service.jobs.comparison_lock import ComparisonLock, OwnedElsewhereError, held_keys, lock_key
from service.store.database import open_database
from tests.postgres import end_lock_holders

POSTGRES = pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock, and only `check` looks after it."""
    monkeypatch.setattr("service.jobs.comparison_lock.TAKING_S", 0.0)
    monkeypatch.setattr("service.jobs.comparison_lock.PING_S", 3600.0)


@pytest.fixture
def look_now(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr("service.jobs.comparison_lock.PING_S", -1.0)


@POSTGRES
def test_one_process_at_a_time_has_a_comparison(engine: Engine) -> None:
    with ComparisonLock(engine, "c") as lock:
        lock.check()
        with pytest.raises(OwnedElsewhereError), ComparisonLock(engine, "c"):
            pass
        with ComparisonLock(engine, "d"):
            assert held_keys(engine) == {lock_key("c"), lock_key("d")}
    assert held_keys(engine) == frozenset()
    with ComparisonLock(engine, "c"):
        pass


@POSTGRES
def test_a_lock_lost_with_its_connection_is_taken_again(engine: Engine, look_now: Callable[[], None]) -> None:
    with ComparisonLock(engine, "c") as lock:
        end_lock_holders(engine)
        assert held_keys(engine) == frozenset()
        look_now()
        lock.check()
        assert held_keys(engine) == {lock_key("c")}


@POSTGRES
def test_who_lost_it_to_another_is_told(engine: Engine, look_now: Callable[[], None]) -> None:
    with ComparisonLock(engine, "c") as lock:
        end_lock_holders(engine)
        with ComparisonLock(engine, "c"):
            look_now()
            for _ in range(2):
                with pytest.raises(OwnedElsewhereError):
                    lock.check()
        assert held_keys(engine) == frozenset()


@POSTGRES
def test_it_is_looked_after_beside_the_work(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.jobs.comparison_lock.PING_S", 0.001)
    with ComparisonLock(engine, "c"):
        for _ in range(3):
            end_lock_holders(engine)
            while held_keys(engine) != {lock_key("c")}:
                pass
    assert not [thread for thread in threading.enumerate() if thread.name == "comparison lock"]


@POSTGRES
def test_a_server_that_is_away_takes_nothing_from_anybody(engine: Engine, look_now: Callable[[], None]) -> None:
    other = open_database(engine.url.render_as_string(hide_password=False))
    lock = ComparisonLock(other, "c")
    with lock:
        end_lock_holders(engine)
        other.dispose()
        creator = other.pool._creator
        other.pool._creator = lambda *_: refuse()
        look_now()
        lock.check()
        other.pool._creator = creator
        lock.check()
        assert held_keys(engine) == {lock_key("c")}
    other.dispose()


def refuse() -> None:
    import psycopg

    raise psycopg.OperationalError("no server here")


@POSTGRES
def test_the_server_lets_go_of_who_says_nothing_for_long(engine: Engine) -> None:
    with ComparisonLock(engine, "c") as lock:
        assert lock._connection is not None
        with engine.connect() as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        if version >= 140_000:
            assert lock._connection.execute(text("SHOW idle_session_timeout")).scalar_one() == "30s"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_file_needs_none_since_its_home_is_locked(engine: Engine) -> None:
    with ComparisonLock(engine, "c") as lock, ComparisonLock(engine, "c") as second:
        lock.check()
        second.check()
    assert held_keys(engine) == frozenset()


def test_keys_fit_what_the_server_takes() -> None:
    keys = [lock_key(str(i)) for i in range(100)]
    assert len(set(keys)) == 100
    assert min(keys) < 0 < max(keys)
    assert all(-(2**31) <= key < 2**31 for key in keys)
