"""Opening the database: SQLite in the data directory, or Postgres where `TUNING_FORK_DATABASE_URL` says so."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from advisor.errors import EvaluationError
from lm.errors import ConfigError, ErrorKind, TuningForkError
from service.store.workspaces import narrow_statements

DATABASE_FILE = "tuning_fork.db"
PASSWORD_FILE = "TUNING_FORK_DATABASE_PASSWORD_FILE"
PATIENCE_S = 60.0
"""For a database to do one thing."""
OUTAGE_S = 120.0
"""How long a restart of the database server may take before work is given up."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")


class DamagedDatabaseError(TuningForkError):
    """What was stored cannot be read any more, and is nowhere else."""

    kind = ErrorKind.UNAVAILABLE
    title = "Damaged database"

    def __init__(self, what: str, reason: object) -> None:
        super().__init__(
            f"{what} is damaged ({reason}); stop the service and put a backup of the database in its place "
            "(docs/service.md)"
        )


@contextmanager
def undamaged(what: str) -> Iterator[None]:
    """Make something of what a row holds; a text that nothing can be made of was damaged.

    Args:
        what: The row is, for the message.

    Raises:
        DamagedDatabaseError: it was.
    """
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        AssertionError,
        EvaluationError,
    ) as error:
        raise DamagedDatabaseError(f"the database's row of {what}", error) from error


def database_url(root: Path) -> str:
    """`TUNING_FORK_DATABASE_URL`, else the SQLite file in the data directory.

    A password may stand in the file that `TUNING_FORK_DATABASE_PASSWORD_FILE` names, as secrets of containers do.

    Raises:
        ConfigError: the variable names neither SQLite nor Postgres, or the file cannot be read.
    """
    url = os.environ.get("TUNING_FORK_DATABASE_URL")
    if not url:
        return URL.create("sqlite", database=str(root / DATABASE_FILE)).render_as_string()
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.split("://", 1)[1]
    if (file := os.environ.get(PASSWORD_FILE)) and url.startswith("postgresql"):
        return _with_password(url, Path(file))
    if not url.startswith(("postgresql+psycopg://", "sqlite:///")):
        raise ConfigError(
            "TUNING_FORK_DATABASE_URL must begin with postgresql:// or sqlite:///; unset it to use a file in the data "
            "directory"
        )
    return url


def _with_password(url: str, file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").strip()
        return make_url(url).set(password=password).render_as_string(hide_password=False)
    except (OSError, UnicodeDecodeError, ArgumentError) as error:
        raise ConfigError(f"{PASSWORD_FILE} cannot be used: {error}; see docs/service.md") from error


def open_database(url: str, *, patience_s: float = PATIENCE_S) -> Engine:
    """An engine whose commits survive power loss.

    Args:
        patience_s: For a server to reply, and for other writers of a file to finish; then OperationalError is raised.

    Raises:
        ConfigError: the address cannot be understood.
    """
    try:
        if not url.startswith("sqlite"):
            engine = create_engine(url, pool_pre_ping=True, pool_timeout=patience_s)
            event.listen(engine, "do_connect", partial(_connect_postgres, patience_s))
            narrow_statements(engine)
            return engine
        engine = create_engine(url, connect_args={"timeout": patience_s})
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("TUNING_FORK_DATABASE_URL cannot be understood; see docs/service.md") from error
    narrow_statements(engine)

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        # The driver must not open transactions on its own: `begin` below does.
        connection.isolation_level = None
        _log_ahead(connection, patience_s)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "handle_error")
    def _tell_damage(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED or "decode to UTF-8" in str(error):
            raise DamagedDatabaseError(f"the database {engine.url.database}", error) from error

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads and then writes would otherwise fail where another one wrote in between.
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _log_ahead(connection: sqlite3.Connection, patience_s: float) -> None:
    """Have SQLite keep a write-ahead log; it does not wait by itself while others bring the same file to that mode."""
    gives_up_at = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > gives_up_at:
                raise
            time.sleep(0.01)


def _connect_postgres(patience_s: float, _: Any, __: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """A connection to Postgres that a stalled server cannot hold."""
    from service.store.postgres_connection import ImpatientConnection

    options.setdefault("connect_timeout", max(2, int(patience_s)))
    connection = ImpatientConnection.connect(*arguments, **options)
    connection.patience_s = patience_s
    return connection


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
    """Whether a server is away or a file is another writer's, which passes; a file that cannot be written is not."""
    if isinstance(error.orig, sqlite3.Error):
        return _code(error.orig) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return error.connection_invalidated or isinstance(error, OperationalError)


def _code(error: sqlite3.Error) -> int:
    # Extended codes have the plain one in their lowest byte.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
