"""A home as one file, and a home made of it again, here or elsewhere."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from lm.errors import ConfigError
from lm.files import flush, make_folder, write_whole
from service.contract.comparison_state import ComparisonState
from service.store.data_directory import DECISION_FILE, SETTINGS_FILE, DataDirectory
from service.store.database import database_url, open_database, writing
from service.store.keeping.archive import (
    DATABASE_FILES,
    FOLDERS,
    Manifest,
    checked_archive,
    unpack_archive,
    write_archive,
)
from service.store.keeping.database_copy import copy_database, fill_postgres, is_empty, sqlite_file
from service.store.migrations.upgrade import is_known, revision_of
from service.store.stages.recorded_stages import noted_stages
from service.store.tables import comparisons, report_files

_SMALL_STAGES = ("used", "latency", "hosted", "searches")
"""Kept whole: notes, measured waits, what was asked for at providers, trials of a search."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What is in a backup.

    Attributes:
        n_files: Files of finished comparisons, the database not counted.
        n_bytes: Of the archive.
    """

    n_comparisons: int
    n_files: int
    n_bytes: int


def back_up(directory: DataDirectory, path: Path) -> BackedUp:
    """Write everything acknowledged, and what finished comparisons were measured with, into a new file.

    A service may work in the directory meanwhile: the database is copied as of one moment, and the files, which never
    change once they are there, after it. What is still being built is left out and built again.

    Raises:
        ConfigError: there is nothing to back up, something is at `path`, or the database cannot be copied.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}; make it, then back up again")
    url = database_url(directory.root)
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    if kind == "sqlite" and not sqlite_file(url).is_file():
        raise _nothing(directory)
    engine = open_database(url)
    try:
        with _told():
            revision = revision_of(engine)
        if revision is None:
            raise _nothing(directory)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=path.parent) as folder:
            copied = Path(folder) / DATABASE_FILES[kind]
            copy_database(url, copied)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            manifest = Manifest(version("tuning-fork"), kind, revision, str(directory.root), now)
            whole = write_archive(path, manifest, [(copied.name, copied), *_files(directory).items()])
        finished = select(func.count()).select_from(comparisons).where(comparisons.c.state == ComparisonState.SUCCEEDED)
        with _told(), engine.connect() as connection:
            n_comparisons = connection.execute(finished).scalar_one()
    finally:
        engine.dispose()
    return BackedUp(n_comparisons, len(whole.sha256) - 1, path.stat().st_size)


def restore(directory: DataDirectory, path: Path) -> Manifest:
    """Make a home of a backup, in an empty directory and, where the backup is of one, an empty Postgres database.

    Raises:
        ConfigError: the backup is damaged, of a later version or of another kind of database, or there is something
            already; nothing is left behind then.
    """
    with checked_archive(path) as (manifest, archive):
        url = database_url(directory.root)
        _refuse_unfit(path, manifest, url)
        with directory.lock():
            _refuse_filled(directory, url)
            staged = directory.root / ".restoring"
            try:
                shutil.rmtree(staged, ignore_errors=True)
                unpack_archive(archive, manifest, staged)
                for name in FOLDERS:
                    if (staged / name).is_dir():
                        # A folder of that name has nothing in it.
                        shutil.rmtree(directory.root / name, ignore_errors=True)
                        (staged / name).rename(directory.root / name)
                _place_database(directory, manifest, staged / DATABASE_FILES[manifest.database], url)
                flush(directory.root)
            except BaseException:
                for name in FOLDERS:
                    shutil.rmtree(directory.root / name, ignore_errors=True)
                raise
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    return manifest


def _files(directory: DataDirectory) -> dict[str, Path]:
    stages = directory.root / "stages"
    folders = [directory.root / "comparisons", directory.root / "inputs", *(stages / name for name in _SMALL_STAGES)]
    below = {
        path.relative_to(directory.root): path
        for folder in [*folders, *noted_stages(directory)]
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    return {name.as_posix(): path for name, path in sorted(below.items()) if not _is_hidden(name)}


def _is_hidden(below: Path) -> bool:
    """Whether something is being written there, or was when a process was killed."""
    return any(part.startswith(".") for part in below.parts)


def _place_database(directory: DataDirectory, manifest: Manifest, copied: Path, url: str) -> None:
    if manifest.database == "sqlite":
        _move_paths(f"sqlite:///{copied}", manifest.root, directory.root)
        flush(copied)
        target = sqlite_file(url)
        make_folder(target.parent)
        shutil.move(copied, target)
        flush(target.parent)
        return
    fill_postgres(url, copied)
    _move_paths(url, manifest.root, directory.root)


def _move_paths(url: str, before: str, now: Path) -> None:
    """Let stored settings name the files of the home where they are now; reports stay as they were written."""
    if before == str(now):
        return
    # As JSON holds them: with other letters escaped, or not.
    pairs = [
        tuple(json.dumps(f"{root}{os.sep}", ensure_ascii=is_ascii)[1:-1] for root in (before, now))
        for is_ascii in (True, False)
    ]

    def moved(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    naming = report_files.c.name.in_((SETTINGS_FILE, DECISION_FILE))
    engine = open_database(url)
    try:
        with writing(engine) as connection:
            for comparison_id, settings in connection.execute(select(comparisons.c.id, comparisons.c.settings)).all():
                one = comparisons.c.id == comparison_id
                connection.execute(update(comparisons).where(one).values(settings=moved(settings)))
            files = select(report_files.c.comparison_id, report_files.c.name).where(naming)
            for comparison_id, name in connection.execute(files).all():
                one = (report_files.c.comparison_id == comparison_id) & (report_files.c.name == name)
                content = connection.execute(select(report_files.c.content).where(one)).scalar_one()
                connection.execute(update(report_files).where(one).values(content=moved(content.decode()).encode()))
    finally:
        engine.dispose()
    for path in (now / "comparisons").glob("*/*.json"):
        if path.name in (SETTINGS_FILE, DECISION_FILE):
            write_whole(path, moved(path.read_text(encoding="utf-8")))


def _refuse_unfit(path: Path, manifest: Manifest, url: str) -> None:
    if not is_known(manifest.revision):
        raise ConfigError(
            f"{path} was made by a later version of Tuning Fork ({manifest.program}, tables {manifest.revision}); "
            "install that version, then restore"
        )
    if not url.startswith(manifest.database):
        remedy = (
            "unset TUNING_FORK_DATABASE_URL"
            if manifest.database == "sqlite"
            else "set TUNING_FORK_DATABASE_URL to an empty Postgres database"
        )
        raise ConfigError(f"{path} is a backup of {manifest.database}; {remedy}, then restore")


def _refuse_filled(directory: DataDirectory, url: str) -> None:
    filled = [name for name in (*FOLDERS, "datasets") if any((directory.root / name).glob("*"))]
    if url.startswith("sqlite"):
        filled += [sqlite_file(url).name] if sqlite_file(url).exists() else []
    else:
        engine = open_database(url)
        try:
            with _told():
                filled += [] if is_empty(engine) else ["the Postgres database"]
        finally:
            engine.dispose()
    if filled:
        raise ConfigError(
            f"there is something in {directory.root} already ({', '.join(filled)}), and a backup is only restored into "
            "an empty home; name another one with --home (and an empty database), or move what is there away"
        )


@contextmanager
def _told() -> Iterator[None]:
    """Raise as ConfigError what keeps the database from being read."""
    try:
        yield
    except DBAPIError as error:
        raise ConfigError(
            f"the database cannot be read ({str(error.orig).strip()}); see that its server runs, or restore an earlier "
            "backup where the file is damaged"
        ) from error


def _nothing(directory: DataDirectory) -> ConfigError:
    return ConfigError(f"there is no database in {directory.root}, so nothing to back up; name the home with --home")
