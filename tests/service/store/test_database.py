from pathlib import Path

import pytest

from service.store.database import open_database, writing


@pytest.mark.parametrize(("pragma", "wanted"), [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)])
def test_every_connection_to_a_file_commits_to_the_disk(tmp_path: Path, pragma: str, wanted: object) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    # Two at the same time, so that the second is a new one.
    with engine.connect() as first, writing(engine) as second:
        for connection in (first, second):
            # 2 is FULL: what is committed is on the disk, and survives a loss of power.
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == wanted
    engine.dispose()
