"""A home is written into one file and made of it again; what is damaged or unfit is refused before anything is."""

import io
import json
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, update

from lm.errors import ConfigError, TuningForkError
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database, writing
from service.store.keeping.archive import Manifest, write_archive
from service.store.keeping.backup import back_up, restore
from service.store.stages.recorded_stages import note_stages
from service.store.tables import comparisons, metadata, report_files
from tests.postgres import PostgresServer


def rows_of(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a database."""
    with engine.connect() as connection:
        found = {table.name: connection.execute(select(table)).all() for table in metadata.sorted_tables}
    return {name: sorted((tuple(row) for row in rows), key=repr) for name, rows in found.items()}


def fill(engine: Engine, directory: DataDirectory) -> None:
    """A finished comparison with an adapter, an adapter that is being trained, and a file that a setting names."""
    price_list = directory.root / "inputs" / "prices.toml"
    for path in (price_list, directory.stage("adapters", "made") / "adapter.json"):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    (directory.stage("adapters", "half") / "checkpoint").mkdir(parents=True)
    note_stages("run", [directory.stage("adapters", "made") / "adapter.json"], directory)
    settings = {"prices": str(price_list), "model": "hf:x"}
    create_comparison(engine, comparison_id="one", name="one", dataset="ticket-triage", settings=settings)
    with writing(engine) as connection:
        connection.execute(update(comparisons).values(state=ComparisonState.SUCCEEDED, run_id="run", finished_at=1.0))
        content = {"settings.json": json.dumps(settings).encode(), "report.json": b"{}", "report.html": b"\x00\xff"}
        rows = [{"comparison_id": "one", "name": name, "content": data} for name, data in content.items()]
        connection.execute(insert(report_files), rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataDirectory, Path]:
    """A filled home, and a backup of it."""
    root = tmp_path_factory.mktemp("made")
    directory = DataDirectory(root / "home")
    with home_database(directory) as engine:
        fill(engine, directory)
    back_up(directory, root / "backup.tar")
    return directory, root / "backup.tar"


@pytest.fixture
def archive(made: tuple[DataDirectory, Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(made[1], tmp_path))


@pytest.fixture(params=["sqlite", "postgres"])
def two_homes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[DataDirectory, Callable[[], DataDirectory]]:
    """A home, and what makes another one, empty, of the same kind."""
    if request.param == "sqlite":
        (tmp_path / "one").mkdir()
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "one" / DATABASE_FILE)
        return DataDirectory(tmp_path / "one"), lambda: DataDirectory(tmp_path / "two")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("migrated_template")
    names = [f"{tmp_path.name}_{i}"[-40:] for i in range(2)]
    request.addfinalizer(lambda: [postgres.drop_database(name) for name in names])
    urls = [postgres.create_database(names[0], template=template), postgres.create_database(names[1])]
    monkeypatch.setenv("TUNING_FORK_DATABASE_URL", urls[0])

    def other() -> DataDirectory:
        monkeypatch.setenv("TUNING_FORK_DATABASE_URL", urls[1])
        return DataDirectory(tmp_path / "two")

    return DataDirectory(tmp_path / "one"), other


def test_every_row_and_the_files_of_finished_comparisons_come_back(
    two_homes: tuple[DataDirectory, Callable[[], DataDirectory]], tmp_path: Path
) -> None:
    home, other = two_homes
    with home_database(home) as engine:
        fill(engine, home)
        before = rows_of(engine)
    done = back_up(home, tmp_path / "backup.tar")
    assert (done.n_comparisons, done.n_files) == (1, 3)
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    restored = other()
    restore(restored, tmp_path / "backup.tar")
    with home_database(restored) as engine:
        after = rows_of(engine)
    # Stored settings name files of the home where they are now.
    assert str(home.root) not in str(after["comparisons"])
    assert repr(after) == repr(before).replace(f"{home.root}/", f"{restored.root}/")
    files = {path.relative_to(restored.root).as_posix() for path in restored.root.rglob("*") if path.is_file()}
    assert files - {"lock", DATABASE_FILE} == {
        "inputs/prices.toml", "stages/adapters/made/adapter.json", "stages/used/run.json",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="only restored into an empty home"):
        restore(restored, tmp_path / "backup.tar")


def test_a_backup_beside_a_writer_is_of_one_moment(tmp_path: Path, migrated_file: Path) -> None:
    """Each transaction of the writer adds a row to two tables: a copy has both or none."""
    filled = DataDirectory(tmp_path / "home")
    filled.root.mkdir()
    shutil.copy(migrated_file, filled.root / DATABASE_FILE)
    ended, begun = threading.Event(), threading.Event()

    def write_on() -> None:
        engine = open_database(f"sqlite:///{filled.root / DATABASE_FILE}")
        n = 0
        while not ended.is_set():
            n += 1
            create_comparison(engine, comparison_id=f"c{n}", name="n", dataset="ticket-triage", settings={})
            if n == 3:
                begun.set()
        engine.dispose()

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        assert begun.wait(60)
        back_up(filled, tmp_path / "backup.tar")
    finally:
        ended.set()
        writer.join()
    restored = DataDirectory(tmp_path / "two")
    restore(restored, tmp_path / "backup.tar")
    with closing(sqlite3.connect(restored.root / DATABASE_FILE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ids, told = (
            {row[0] for row in database.execute(query)}
            for query in ("SELECT id FROM comparisons", "SELECT comparison_id FROM events")
        )
    assert ids == told
    assert len(ids) >= 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"\0adapter.json") + 1] ^= 1
    path.write_bytes(bytes(content))


def replace_by_text(path: Path) -> None:
    path.write_text("no backup")


def without_a_file(path: Path) -> None:
    with tarfile.open(path) as archive:
        members = [(one, archive.extractfile(one)) for one in archive if "used" not in one.name]
        kept = [(one, file.read()) for one, file in members if file is not None]
    with tarfile.open(path, "w") as archive:
        for one, content in kept:
            archive.addfile(one, io.BytesIO(content))


def adding(name: str, type_: bytes = tarfile.REGTYPE) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = type_, "/etc/passwd"
            archive.addfile(member)

    add.__name__ = f"adding {name}"
    return add


def other_tables(path: Path) -> None:
    path.unlink()
    path.with_name("x").touch()
    write_archive(path, Manifest("99.0", "sqlite", "9999", "/", ""), [("database.sqlite", path.with_name("x"))])


def other_kind(path: Path) -> None:
    path.unlink()
    path.with_name("x").touch()
    write_archive(path, Manifest("99.0", "postgresql", "0001", "/", ""), [("database.pgdump", path.with_name("x"))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "backup.tar is damaged"),
        (flip, "backup.tar is damaged: stages/adapters/made/adapter.json is missing or was changed"),
        (replace_by_text, "backup.tar is damaged"),
        (without_a_file, "stages/used/run.json is missing or was changed"),
        (adding("stages/../../outside"), "holds 'stages/../../outside', which no backup"),
        (adding("/etc/cron.d/x"), "holds '/etc/cron.d/x', which no backup"),
        (adding("stages/link", tarfile.SYMTYPE), "holds 'stages/link', which no backup"),
        (adding("stages/adapters/made/adapter.json"), "holds 'stages/adapters/made/adapter.json', which no backup"),
        (adding("stages/more"), "stages/more is missing or was changed"),
        (other_tables, "a later version of Tuning Fork .99.0, tables 9999.; install that version"),
        (other_kind, "a backup of postgresql; set TUNING_FORK_DATABASE_URL"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_restored_is_refused_and_nothing_written(
    archive: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    change(archive)
    with pytest.raises(ConfigError, match=message):
        restore(DataDirectory(tmp_path / "new"), archive)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


def test_what_is_there_is_kept(made: tuple[DataDirectory, Path], tmp_path: Path) -> None:
    filled, archive = made
    with pytest.raises(ConfigError, match="stages, inputs, tuning_fork.db"):
        restore(filled, archive)
    with pytest.raises(ConfigError, match="already .*backup.tar; choose another name"):
        back_up(filled, archive)
    with pytest.raises(ConfigError, match="nothing to back up"):
        back_up(DataDirectory(tmp_path / "nothing"), tmp_path / "other.tar")
    assert not (tmp_path / "other.tar").exists()


@pytest.mark.parametrize(
    ("within", "message"),
    [
        (b"SQLite format 3", "tuning_fork.db is damaged .* put a backup"),
        (b'{"state": "queued"}', "cannot be copied.*restore an earlier backup"),
    ],
)
def test_a_damaged_database_is_told_and_no_backup_written(
    made: tuple[DataDirectory, Path], tmp_path: Path, within: bytes, message: str
) -> None:
    content = bytearray((made[0].root / DATABASE_FILE).read_bytes())
    page = content.index(within) // 4096
    content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    (tmp_path / DATABASE_FILE).write_bytes(content)
    with pytest.raises(TuningForkError, match=message):
        back_up(DataDirectory(tmp_path), tmp_path / "backup.tar")
    assert not list(tmp_path.glob("*backup*"))


def test_without_the_programs_of_postgres_the_remedy_is_told(
    tmp_path: Path, postgres: PostgresServer, migrated_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNING_FORK_DATABASE_URL", postgres.url_of(migrated_template))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="pg_dump is not installed; install the client programs"):
        back_up(DataDirectory(tmp_path / "home"), tmp_path / "backup.tar")
    assert not list(tmp_path.glob("*backup*"))
