"""Opening the database: SQLite in the data directory, or Postgres where `TUNING_FORK_DATABASE_URL` says so."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from lm.errors import ConfigError

DATABASE_FILE = "tuning_fork.db"
BUSY_TIMEOUT_S = 30
OUTAGE_S = 120.0
"""How long a restart of the database server may take before work is given up."""

T = TypeVar("T")


def database_url(root: Path) -> str:
    """`TUNING_FORK_DATABASE_URL`, else the SQLite file in the data directory.

    Raises:
        ConfigError: the variable names neither SQLite nor Postgres.
    """
    url = os.environ.get("TUNING_FORK_DATABASE_URL")
    if not url:
        return URL.create("sqlite", database=str(root / DATABASE_FILE)).render_as_string()
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


def patiently(
    transaction: Callable[[], T], *, outage_s: float = OUTAGE_S, pause: Callable[[float], object] = time.sleep
) -> T:
    """Run a transaction again while the database server is away; it must bear being committed twice.

    Raises:
        OperationalError: the server did not come back in time, or something else is wrong with it.
    """
    gives_up_at = time.monotonic() + outage_s
    pause_s = 0.1
    while True:
        try:
            return transaction()
        except DBAPIError as error:
            if not is_outage(error) or time.monotonic() > gives_up_at:
                raise
        pause(pause_s)
        pause_s = min(pause_s * 2, 5.0)


def is_outage(error: DBAPIError) -> bool:
    """Whether a server went away, which passes; a file that cannot be written does not."""
    is_file = type(error.orig).__module__.startswith("sqlite3")
    return error.connection_invalidated or (isinstance(error, OperationalError) and not is_file)
