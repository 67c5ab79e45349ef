"""The database of a data directory that no server uses: a file in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate


@contextmanager
def local_database(directory: DataDirectory) -> Iterator[Engine]:
    """The database of a process alone in the data directory whose lock it holds.

    Raises:
        ConfigError: a later version of this program made the tables.
    """
    directory.root.mkdir(parents=True, exist_ok=True)
    engine = open_database(f"sqlite:///{directory.root / DATABASE_FILE}")
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()
