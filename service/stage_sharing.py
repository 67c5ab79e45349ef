"""Indexes and adapters that one worker builds for all, through the database, where workers share no disk."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select

from service.database import patiently
from service.lease import Lease, Leases
from service.tables import stage_files

BuildStage = Callable[[Path], AbstractContextManager[None]]
"""Around the building of a folder below `stages/`; the builder keeps what it finds whole."""

LARGEST_STAGE_BYTES = 2**29
"""Postgres takes a gigabyte in one value; what is larger every worker builds for itself."""

_LOG = logging.getLogger("tuning_fork.jobs")


def fetch_stage(engine: Engine, folder: Path) -> None:
    """Write a stage that another worker handed on, where it is not on this disk yet."""
    if folder.exists():
        return
    unit = f"{folder.parent.name}/{folder.name}"
    query = select(stage_files.c.path, stage_files.c.content).where(stage_files.c.unit == unit)

    def read() -> list[tuple[str, bytes]]:
        with engine.connect() as connection:
            return [(path, content) for path, content in connection.execute(query)]

    files = patiently(read)
    if not files:
        return
    # A job and the process that answers questions may fetch one stage at the same time: each has a place of its own.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        staged = Path(place) / folder.name
        for path, content in files:
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def build_alone(_: Path) -> AbstractContextManager[None]:
    """For a process that shares its stages with nobody."""
    return nullcontext()


class SharedStages:
    """Lets one process at a time build a stage and, where disks are not shared, hands its files on."""

    def __init__(self, leases: Leases, *, hands_on: bool) -> None:
        self._leases = leases
        self._hands_on = hands_on

    @contextmanager
    def __call__(self, folder: Path) -> Iterator[None]:
        """Hold the stage whose folder this is; waits for whoever builds it, and then has its files.

        Raises:
            LostLeaseError: another process took the stage over while it was built here.
        """
        unit = f"{folder.parent.name}/{folder.name}"
        with self._leases.hold(unit) as lease:
            if self._hands_on:
                fetch_stage(self._leases.engine, folder)
            yield
            if self._hands_on:
                self._publish(lease, folder)

    def _publish(self, lease: Lease, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if sum(path.stat().st_size for path in paths) > LARGEST_STAGE_BYTES:
            _LOG.warning("%s is too large to be handed on; other workers build it themselves", lease.unit)
            return

        def write(connection: Connection) -> None:
            known = select(stage_files.c.unit).where(stage_files.c.unit == lease.unit).limit(1)
            if connection.execute(known).first() is not None:
                return
            for path in paths:
                row = {"unit": lease.unit, "path": path.relative_to(folder).as_posix(), "content": path.read_bytes()}
                connection.execute(insert(stage_files).values(row))

        self._leases.write(lease, write)
