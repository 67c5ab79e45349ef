"""The database as one file and back: SQLite by itself, Postgres by the programs that come with it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Engine, inspect, make_url

from lm.errors import ConfigError
from service.store.database import PATIENCE_S


def sqlite_file(url: str) -> Path:
    """Where a SQLite database lies."""
    return Path(make_url(url).database or "")


def copy_database(url: str, target: Path) -> None:
    """Write all that is committed at one moment into a new file, while others go on writing.

    Raises:
        ConfigError: the programs of Postgres are missing, the server refuses, or the file is damaged.
    """
    if url.startswith("sqlite"):
        try:
            with closing(sqlite3.connect(sqlite_file(url), timeout=PATIENCE_S)) as connection:
                # Unlike a copy of the pages it leaves out what was deleted and not yet written over.
                connection.execute("VACUUM INTO ?", [str(target)])
        except sqlite3.Error as error:
            raise ConfigError(
                f"{sqlite_file(url)} cannot be copied ({error}); make room where the disk is full, or restore an "
                "earlier backup where the file is damaged"
            ) from error
        return
    _run_postgres("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def fill_postgres(url: str, source: Path) -> None:
    """Restore such a copy into an empty Postgres database, whole or not at all.

    Raises:
        ConfigError: the programs of Postgres are missing, or the server refuses.
    """
    options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
    _run_postgres("pg_restore", url, *options, str(source))


def is_empty(engine: Engine) -> bool:
    """Whether a database has no tables."""
    return not inspect(engine).get_table_names()


def _run_postgres(program: str, url: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise ConfigError(
            f"{program} is not installed; install the client programs of your Postgres version (on Debian: "
            "postgresql-client), then run again"
        )
    parsed: URL = make_url(url).set(drivername="postgresql")
    environment = dict(os.environ)
    if parsed.password is not None:
        # Everybody on the machine can read the arguments of a process.
        environment["PGPASSWORD"] = str(parsed.password)
        parsed = URL.create(
            parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
        )
    address = parsed.render_as_string()
    done = subprocess.run(
        [found, "--no-password", f"--dbname={address}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise ConfigError(f"{program} failed: {why}. Check the server and that {program} is not older than it")
