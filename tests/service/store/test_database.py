from pathlib import Path

import pytest

from service.store.database import DATABASE_FILE, database_url, open_database, writing


@pytest.mark.parametrize(("pragma", "wanted"), [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)])
def test_every_connection_to_a_file_commits_to_the_disk(tmp_path: Path, pragma: str, wanted: object) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    # Two at the same time, so that the second is a new one.
    with engine.connect() as first, writing(engine) as second:
        for connection in (first, second):
            # 2 is FULL: what is committed is on the disk, and survives a loss of power.
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == wanted
    engine.dispose()


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
