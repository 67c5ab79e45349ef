"""Leases: units of work that one process at a time may do, and that another takes over when it dies.

A lease that ran out may be taken by anyone, also while its holder is only slow. What the holder writes is therefore
written in a transaction that first looks whether the lease is still its own (`Leases.write`): a process that was
frozen and woken later writes nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from service.database import patiently, writing
from service.tables import leases

LEASE_S = 30.0
"""Longer than any pause of a healthy process; a dead machine's work lies still as long."""

SHORTEST_POLL_S = 0.05
LONGEST_POLL_S = 1.0

_LOG = logging.getLogger("tuning_fork.jobs")


class LostLeaseError(Exception):
    """Another process took over what this one was doing: nothing more may be written, and the process should end."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one unit of work until it is released or runs out unrenewed.

    Attributes:
        token: Grows with every new owner of the unit.
    """

    unit: str
    owner: str
    token: int


def claim(engine: Engine, unit: str, owner: str, lease_s: float = LEASE_S) -> Lease | None:
    """The lease of a unit, or None while another holds it."""
    now = database_time(engine)
    insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[engine.dialect.name]
    statement = (
        insert(leases)
        .values(unit=unit, owner=owner, token=1, expires_at=now + lease_s)
        .on_conflict_do_update(
            index_elements=[leases.c.unit],
            set_={"owner": owner, "token": leases.c.token + 1, "expires_at": now + lease_s},
            where=leases.c.expires_at <= now,
        )
        .returning(leases.c.token)
    )
    with writing(engine) as connection:
        token = connection.execute(statement).scalar_one_or_none()
    return Lease(unit, owner, token) if token is not None else None


def renew(engine: Engine, lease: Lease, lease_s: float = LEASE_S) -> None:
    """Make a lease last from now on.

    Raises:
        LostLeaseError: another owner has it.
    """
    with writing(engine) as connection:
        _set_expiry(connection, lease, database_time(engine) + lease_s)


def release(connection: Connection, lease: Lease) -> None:
    """Give a lease back in a transaction that wrote its result; nobody else can have it before that is committed.

    Raises:
        LostLeaseError: another owner has it.
    """
    # The row stays, so that tokens never start again.
    _set_expiry(connection, lease, literal(0.0))


def check(connection: Connection, lease: Lease) -> None:
    """Keep a lease from changing hands until the transaction ends.

    Raises:
        LostLeaseError: another owner has it.
    """
    if connection.execute(select(leases.c.unit).where(_is_held(lease)).with_for_update()).first() is None:
        raise LostLeaseError(f"{lease.unit} is in other hands")


def release_all(engine: Engine, owner_prefix: str) -> None:
    """Give back what dead processes of an owner held, without waiting for it to run out."""
    with writing(engine) as connection:
        dead = and_(leases.c.owner.startswith(owner_prefix, autoescape=True), leases.c.expires_at > 0)
        connection.execute(update(leases).where(dead).values(expires_at=0.0))


def held_units(engine: Engine, prefix: str) -> list[str]:
    """Units of that prefix that some process works on."""
    now = database_time(engine)
    statement = select(leases.c.unit).where(
        leases.c.unit.startswith(prefix, autoescape=True), leases.c.expires_at > now
    )
    with engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def database_time(engine: Engine) -> ColumnElement[float]:
    """Seconds since 1970: the server's, since clocks of machines differ; with a file there is one machine only."""
    if engine.dialect.name == "postgresql":
        return func.extract("epoch", func.clock_timestamp()).cast(leases.c.expires_at.type)
    return literal(time.time())


def _is_held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        leases.c.unit == lease.unit,
        leases.c.owner == lease.owner,
        leases.c.token == lease.token,
        leases.c.expires_at > 0,
    )


def _set_expiry(connection: Connection, lease: Lease, expires_at: ColumnElement[float]) -> None:
    done = connection.execute(update(leases).where(_is_held(lease)).values(expires_at=expires_at))
    if done.rowcount != 1:
        raise LostLeaseError(f"{lease.unit} is in other hands")


class Leases:
    """The leases of one process, renewed in the background for as long as it works."""

    def __init__(
        self, engine: Engine, owner: str, *, lease_s: float = LEASE_S, pause: Callable[[float], object] = time.sleep
    ) -> None:
        """`pause` waits so many seconds for another process; what it raises ends the waiting."""
        self.engine = engine
        self.owner = owner
        self._lease_s = lease_s
        self._pause = pause
        self._held: set[Lease] = set()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._renew_until_ended, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heartbeat.join()
        with self._guard:
            held, self._held = self._held, set()
        for lease in held:
            self._give_back(lease)

    def claim(self, unit: str) -> Lease | None:
        """The lease of a unit, or None while another holds it."""
        lease = patiently(lambda: claim(self.engine, unit, self.owner, self._lease_s))
        if lease is not None:
            with self._guard:
                self._held.add(lease)
        return lease

    def wait_for(self, unit: str) -> Lease:
        """The lease of a unit as soon as it is free."""
        for pause_s in pauses():
            lease = self.claim(unit)
            if lease is not None:
                return lease
            self._pause(pause_s)
        raise AssertionError("pauses never end")

    def wait(self, pause_s: float) -> None:
        """Let another process work."""
        self._pause(pause_s)

    @contextmanager
    def hold(self, unit: str) -> Iterator[Lease]:
        """A unit for as long as a block runs; waits for whoever holds it."""
        lease = self.wait_for(unit)
        try:
            yield lease
        finally:
            self.give_up(lease)

    def give_up(self, lease: Lease) -> None:
        """Let others have a unit without a result."""
        self._forget(lease)
        self._give_back(lease)

    def write(self, lease: Lease, statements: Callable[[Connection], None], *, ends: bool = False) -> None:
        """Run statements in one transaction in which the lease is ours; it `ends` with it if its work is then done.

        Tried again where the database was away for a moment.

        Raises:
            LostLeaseError: another process took over; nothing was written.
        """

        def attempt() -> None:
            with writing(self.engine) as connection:
                check(connection, lease)
                statements(connection)
                if ends:
                    release(connection, lease)

        patiently(attempt)
        if ends:
            self._forget(lease)

    def _forget(self, lease: Lease) -> None:
        with self._guard:
            self._held.discard(lease)

    def _give_back(self, lease: Lease) -> None:
        try:
            with writing(self.engine) as connection:
                release(connection, lease)
        except (LostLeaseError, DBAPIError) as error:
            _LOG.info("%s was not released: %s", lease.unit, error)

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._lease_s / 3):
            with self._guard:
                held = list(self._held)
            for lease in held:
                try:
                    renew(self.engine, lease, self._lease_s)
                except (LostLeaseError, DBAPIError) as error:
                    # The next write finds out whether it is really lost; whatever the database says, renewing goes on.
                    _LOG.warning("%s was not renewed: %s", lease.unit, error)


def pauses() -> Iterator[float]:
    """Seconds to wait between two looks, ever longer up to a bound."""
    pause_s = SHORTEST_POLL_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.5, LONGEST_POLL_S)
