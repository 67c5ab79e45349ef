"""`tuningfork backup`, `restore` and `prune`: a home as a file and back, and what is old deleted."""

import time
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import Home
from service.cli.terminal import printable, show
from service.store.data_directory import DataDirectory

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, a tar archive.", show_default=False)]


def backup(file: BackupFile, home: Home = None) -> None:
    """Write a home into one file.

    Database, reports, and the indexes and adapters of finished comparisons. A service may run meanwhile. The database
    is SQLite's or, by pg_dump, that of TUNING_FORK_DATABASE_URL. Models are not in it, nor what is still being built.
    Everybody who can read the file can read all data.
    """
    from service.store.keeping.backup import back_up

    done = back_up(DataDirectory.from_environment(home), file.expanduser().resolve())
    show(
        f"Backed up: the database with {done.n_comparisons} finished comparison(s) and {done.n_files} file(s), "
        f"{done.n_bytes / 1e6:.1f} MB, checked by hash at restore."
    )


def restore(file: BackupFile, home: Home = None) -> None:
    """Make a home of a backup.

    In an empty data directory and, for a backup of Postgres, an empty database. The whole backup is checked before
    anything is written. An older backup is migrated at the next start.
    """
    from service.store.keeping.backup import restore as restore_backup

    directory = DataDirectory.from_environment(home)
    made = restore_backup(directory, file.expanduser().resolve())
    show(f"Restored into {directory.root}: the home {made.root} as of {made.created_at}, {len(made.sha256)} file(s).")


def prune(
    keep_days: Annotated[int, typer.Option(min=0, help="Delete what was over before.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    home: Home = None,
) -> None:
    """Delete old comparisons that nobody relies on.

    Those that were over so many days ago, with all that was made for them alone. Kept are baselines, what a deployment
    serves or can be rolled back to, what a link shows, and comparisons of frozen datasets. Datasets stay.
    """
    from service.store.comparisons.runs import home_database
    from service.store.keeping.retention import DAY_S, expired
    from service.store.keeping.retention import prune as prune_now

    directory = DataDirectory.from_environment(home)
    with home_database(directory, workspace=None) as engine:
        found = expired(engine, time.time() - keep_days * DAY_S) if dry_run else prune_now(engine, directory, keep_days)
    for one in found:
        show(f"  {one.id}  {printable(one.name)}  {time.strftime('%Y-%m-%d', time.localtime(one.finished_at))}")
    show(f"{len(found)} comparison(s) {'would be' if dry_run else 'were'} deleted.")
