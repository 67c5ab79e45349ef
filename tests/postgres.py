"""A private Postgres server for the tests, from the binaries that Debian installs. It refuses to run as root."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

START_DEADLINE_S = 60


class PostgresMissingError(Exception):
    """There is nothing here to start a server from."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that listens at a socket in its folder and nowhere else."""

    binaries: Path
    folder: Path

    @property
    def url(self) -> str:
        """Of the database that is there from the start."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://tester@/{database}?host={self.folder}"

    def start(self) -> None:
        self._control("start", "-w", "-t", str(START_DEADLINE_S), "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-w", "-m", mode)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """The address of a new database, a copy of another that nobody is connected to; empty if none is named."""
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg

        # Neither can be done in a transaction.
        with psycopg.connect(host=str(self.folder), user="tester", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def initialise(self) -> None:
        _run([self.binaries / "initdb", "-D", self.folder / "data", "-U", "tester", "-A", "trust", "-E", "UTF8"])
        settings = [
            "listen_addresses = ''",
            f"unix_socket_directories = '{self.folder}'",
            "max_connections = 100",
            "shared_buffers = 16MB",
            # The tests kill processes, not the machine.
            "fsync = off",
        ]
        with (self.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(settings) + "\n")

    def _control(self, *arguments: str) -> None:
        _run([self.binaries / "pg_ctl", "-D", self.folder / "data", "-s", *arguments])


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, gone afterwards.

    Raises:
        PostgresMissingError: its programs, or a user other than root to run them as, are missing.
    """
    binaries = find_binaries()
    # The path of a socket may have 107 characters at most, which pytest's own folders exceed.
    folder = Path(tempfile.mkdtemp(prefix="tf-postgres-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _unprivileged_user())
        server = PostgresServer(binaries, folder)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end_lock_holders(engine: "Engine") -> None:
    """End the connections that hold an advisory lock, as a restart of the server does."""
    from sqlalchemy import text

    ending = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND "
        "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with engine.connect() as connection:
        connection.execute(text(ending))


def find_binaries() -> Path:
    """The folder of the newest installed server."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("pg_ctl")
    folders += [Path(on_path).resolve().parent] if on_path else []
    for folder in folders:
        if (folder / "initdb").is_file():
            return folder
    raise PostgresMissingError("no Postgres server is installed; `apt-get install postgresql` brings one")


def _unprivileged_user() -> str:
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise PostgresMissingError("Postgres refuses to run as root, and there is no user postgres or nobody")


def _run(command: list[str | Path]) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["setpriv", f"--reuid={_unprivileged_user()}", "--clear-groups", *words]
    # pg_ctl hands its output on to the server, which would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/")
        if done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{words}: {output.read().decode(errors='replace')}")


if __name__ == "__main__":
    with postgres_server() as running:
        sys.stdout.write(running.url + "\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
