"""The database of a data directory that no server uses: a file in it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from service.data_directory import DataDirectory
from service.database import DATABASE_FILE, open_database
from service.lease import Leases, release_all
from service.migrations.upgrade import migrate


@contextmanager
def local_leases(directory: DataDirectory) -> Iterator[Leases]:
    """The leases of this process, alone in the data directory whose lock it holds.

    Raises:
        ConfigError: a later version of this program made the tables.
    """
    directory.root.mkdir(parents=True, exist_ok=True)
    engine = open_database(f"sqlite:///{directory.root / DATABASE_FILE}")
    try:
        migrate(engine)
        release_all(engine, "")
        with Leases(engine, f"process {os.getpid()} {secrets.token_hex(4)}") as leases:
            yield leases
    finally:
        engine.dispose()
