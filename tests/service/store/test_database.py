import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from lm.errors import ConfigError
from service.store.database import (
    DATABASE_FILE,
    DamagedDatabaseError,
    database_url,
    is_outage,
    open_database,
    patiently,
    undamaged,
    writing,
)


@pytest.mark.parametrize(("pragma", "wanted"), [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)])
def test_every_connection_to_a_file_commits_to_the_disk(tmp_path: Path, pragma: str, wanted: object) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    # Two at the same time, so that the second is a new one.
    with engine.connect() as first, writing(engine) as second:
        for connection in (first, second):
            # 2 is FULL: what is committed is on the disk, and survives a loss of power.
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == wanted
    engine.dispose()


def test_many_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    def write(number: int, barrier: Barrier) -> None:
        engine = open_database(f"sqlite:///{tmp_path / f'{number}.db'}")
        barrier.wait()
        with writing(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (x)")
        engine.dispose()

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            barrier = Barrier(8)
            for written in [pool.submit(write, number, barrier) for _ in range(8)]:
                written.result()


@pytest.mark.parametrize("name", ["a%20b", "t?x=y", "50% off", "a#b", "ü and 文", "user:pw@host"])
def test_the_database_lies_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("TUNING_FORK_DATABASE_URL", raising=False)
    folder = tmp_path / name
    folder.mkdir()
    engine = open_database(database_url(folder))
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()
    assert (folder / DATABASE_FILE).is_file()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_password_comes_from_a_file_and_one_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNING_FORK_DATABASE_URL", "postgresql://forks@host/db")
    monkeypatch.setenv("TUNING_FORK_DATABASE_PASSWORD_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigError, match="TUNING_FORK_DATABASE_PASSWORD_FILE cannot be used"):
        database_url(tmp_path)
    (tmp_path / "secret").write_text("p@ss/word\n")
    assert make_url(database_url(tmp_path)).password == "p@ss/word"
    monkeypatch.delenv("TUNING_FORK_DATABASE_URL")
    assert database_url(tmp_path).startswith("sqlite")


@pytest.mark.parametrize("place", [0, 100, 4096])
def test_a_damaged_page_is_told_with_the_remedy(tmp_path: Path, place: int) -> None:
    path = tmp_path / "x.db"
    engine = open_database(f"sqlite:///{path}")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
        connection.exec_driver_sql("INSERT INTO t VALUES ('text')")
    engine.dispose()
    content = path.read_bytes()
    path.write_bytes(content[:place] + b"\xff" * 80 + content[place + 80 :])
    told = r"x\.db is damaged .* put a backup of the database in its place"
    with pytest.raises(DamagedDatabaseError, match=told), engine.connect() as connection:
        connection.exec_driver_sql("SELECT x FROM t").all()
    engine.dispose()


def test_a_row_that_nothing_can_be_made_of_is_told_by_its_name() -> None:
    told = "the database's row of the comparison x is damaged"
    with pytest.raises(DamagedDatabaseError, match=told), undamaged("the comparison x"):
        json.loads("{")


def test_a_server_that_does_not_reply_is_given_up_and_asked_anew(postgres_url: str) -> None:
    engine = open_database(postgres_url, patience_s=0.3)
    with pytest.raises(OperationalError, match="did not reply within 0.3 s") as told, engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(60)"))
    assert is_outage(told.value)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_a_wrong_statement_is_no_outage(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    with pytest.raises(Exception, match="division by zero") as told, engine.connect() as connection:
        connection.execute(text("SELECT 1/0"))
    assert not is_outage(told.value)
    engine.dispose()


def test_work_waits_for_a_file_that_another_program_holds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    holder, engine = open_database(url), open_database(url, patience_s=0.01)
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    held = holder.connect().execution_options(sqlite_begin="IMMEDIATE")
    held.begin()
    refused: list[float] = []

    def insert() -> None:
        with writing(engine) as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")

    def pause(seconds: float) -> None:
        refused.append(seconds)
        if len(refused) == 2:
            held.rollback()

    patiently(insert, pause=pause)
    assert len(refused) == 2
    held.close()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
    holder.dispose()
    engine.dispose()
