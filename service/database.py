"""Opening the database: SQLite in the data directory, or Postgres where `TUNING_FORK_DATABASE_URL` says so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from lm.errors import ConfigError

DATABASE_FILE = "tuning_fork.db"
BUSY_TIMEOUT_S = 30


def database_url(root: Path) -> str:
    """`TUNING_FORK_DATABASE_URL`, else the SQLite file in the data directory.

    Raises:
        ConfigError: the variable names neither SQLite nor Postgres.
    """
    url = os.environ.get("TUNING_FORK_DATABASE_URL")
    if not url:
        return f"sqlite:///{root / DATABASE_FILE}"
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    if not url.startswith(("postgresql+psycopg://", "sqlite:///")):
        raise ConfigError(
            "TUNING_FORK_DATABASE_URL must begin with postgresql:// or sqlite:///; unset it to use a file in the data "
            "directory"
        )
    return url


def open_database(url: str) -> Engine:
    """An engine whose commits survive power loss.

    Raises:
        ConfigError: the address cannot be understood.
    """
    try:
        if not url.startswith("sqlite"):
            return create_engine(url, pool_pre_ping=True)
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("TUNING_FORK_DATABASE_URL cannot be understood; see docs/service.md") from error

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        # The driver must not open transactions on its own: `begin` below does.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads and then writes would otherwise fail where another one wrote in between.
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that will write: commits at the end, rolls back on an error, waits for other writers first."""
    with engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection, connection.begin():
        yield connection
