"""Who works on a comparison where several services share a Postgres: the job that holds its advisory lock.

The lock belongs to a connection of its own and ends with it: with the process, with its machine, or when the server
restarts. A job that loses it takes it again, and gives the comparison up where another was quicker. A late write does
no harm then: of a block the first commit wins.

A file belongs to one service, which starts a comparison once: there the lock of the data directory is enough.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.jobs.job_watch import StoppedError
from service.store.database import patiently
from service.store.workspaces import EVERY_WORKSPACE

PING_S = 2.0
SILENCE_S = 30
"""After so long without a ping the server lets a connection go: the machine is gone, or the process is frozen."""

TAKING_S = 5.0
"""For the server to notice that the connection of a killed predecessor is gone."""

_CLASS = 0x74756E66
_TAKING_PAUSE_S = 0.1


class OwnedElsewhereError(StoppedError):
    """Another process works on the comparison."""


class ComparisonLock:
    """The right to work on one comparison, held for as long as the context lasts."""

    def __init__(self, engine: Engine, comparison_id: str) -> None:
        # Its statements are about connections, and no rows.
        self._engine = engine.execution_options(**EVERY_WORKSPACE)
        self._key = lock_key(comparison_id)
        self._connection: Connection | None = None
        self._held_at = 0.0
        self._is_lost = False
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._pinging = threading.Thread(target=self._ping_until_ended, name="comparison lock", daemon=True)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            OwnedElsewhereError: another process has it.
        """
        if self._engine.dialect.name == "postgresql":
            patiently(self._hold)
            self._pinging.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._pinging.is_alive():
            self._pinging.join()
        self._let_go()

    def check(self) -> None:
        """See that the comparison is still ours; cheap, but for a process that was frozen.

        Raises:
            OwnedElsewhereError: another process took it over.
        """
        if self._pinging.is_alive() and time.monotonic() - self._held_at > 2 * PING_S:
            self._ping()
        if self._is_lost:
            raise OwnedElsewhereError

    def _ping_until_ended(self) -> None:
        while not self._is_lost and not self._ended.wait(PING_S):
            self._ping()

    def _ping(self) -> None:
        """Use the connection; where it is lost, take the lock again. A server that is away is asked again later."""
        for _ in range(2):
            try:
                self._hold()
                return
            except OwnedElsewhereError:
                self._is_lost = True
                return
            except SQLAlchemyError:
                self._let_go()

    def _hold(self) -> None:
        with self._guard:
            if self._connection is None:
                self._connection = self._take()
            else:
                self._connection.execute(text("SELECT 1"))
            self._held_at = time.monotonic()

    def _take(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            # Not given back to the pool: with the connection the lock ends.
            connection.detach()
            for statement in _bounding_silence(SILENCE_S):
                connection.execute(text(statement))
            gives_up_at = time.monotonic() + TAKING_S
            taking = text("SELECT pg_try_advisory_lock(:class, :key)")
            while not connection.execute(taking, {"class": _CLASS, "key": self._key}).scalar():
                if time.monotonic() > gives_up_at or self._ended.wait(_TAKING_PAUSE_S):
                    raise OwnedElsewhereError
        except BaseException:
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        with self._guard:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            with suppress(SQLAlchemyError):
                # The server notices the end of a connection a moment later.
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
            connection.close()


def _bounding_silence(seconds: int) -> Sequence[str]:
    """Statements after which the server ends the session of a machine that is gone or a process that is frozen."""
    return (
        f"SET tcp_keepalives_idle = {max(1, seconds // 2)}",
        f"SET tcp_keepalives_interval = {max(1, seconds // 6)}",
        "SET tcp_keepalives_count = 3",
        # Postgres 13 has no such setting: there a frozen process keeps its comparison until it is woken or ended.
        f"SELECT set_config('idle_session_timeout', '{seconds}s', false) "
        "WHERE current_setting('server_version_num')::int >= 140000",
    )


def lock_key(comparison_id: str) -> int:
    """32 bits with a sign, as Postgres takes them; comparisons that share a key wait for each other."""
    return int.from_bytes(hashlib.sha256(comparison_id.encode()).digest()[:4], "big", signed=True)


def held_keys(engine: Engine) -> frozenset[int]:
    """Keys of the comparisons that some job works on, on whatever machine."""
    if engine.dialect.name != "postgresql":
        return frozenset()
    query = text(
        "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = :class AND objsubid = 2 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with engine.connect() as connection:
        # Unsigned there, signed where it is taken.
        return frozenset(
            key - 2**32 if key >= 2**31 else key for key in connection.execute(query, {"class": _CLASS}).scalars()
        )
