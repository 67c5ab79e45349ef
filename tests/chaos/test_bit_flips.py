"""Bits that flip in the files of a finished home: it opens and answers as before, mends itself, or says what to do."""

import os
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lm.errors import TuningForkError
from lm.files import is_sealed, staged_directory
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.cli.app import main
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from tests.old_home import OldHome, unpack_old_home

pytestmark = pytest.mark.timeout(7200)

QUESTION = "How long is the warranty?"
CHAT = {"model": "production", "messages": [{"role": "user", "content": QUESTION}]}
N_BITS = 3
HEAD_BYTES = 65536


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> OldHome:
    """A finished home with a deployment, its tables those of today and its stages sealed as today's are."""
    home = unpack_old_home(tmp_path_factory.mktemp("flips"))
    engine = open_database(home.database_url)
    migrate(engine)
    engine.dispose()
    for folder in (home.directory.root / "stages").glob("*/*"):
        if folder.is_dir():
            with staged_directory(folder, sealed=True) as staged:
                shutil.copytree(folder, staged, dirs_exist_ok=True)
            assert is_sealed(folder)
    # What a crash leaves: a log of writes that are not in the file yet.
    with closing(sqlite3.connect(home.directory.root / DATABASE_FILE)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("UPDATE comparisons SET name = name")
        database.commit()
        for suffix in ("-wal", "-shm"):
            name = f"{DATABASE_FILE}{suffix}"
            shutil.copy(home.directory.root / name, home.root / name)
    for suffix in ("-wal", "-shm"):
        shutil.move(home.root / f"{DATABASE_FILE}{suffix}", home.directory.root / f"{DATABASE_FILE}{suffix}")
    return home


def flip(path: Path, lot: random.Random) -> None:
    """Other bits in a file of the same size and age, half of the time near its beginning, where structure is."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    for _ in range(N_BITS):
        within = len(content) if lot.random() < 0.5 else min(len(content), HEAD_BYTES)
        content[lot.randrange(within)] ^= 1 << lot.randrange(8)
    path.write_bytes(content)
    # A nanosecond later: this process remembers hashes by it, a new one would not.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def faults(home: OldHome, *, asks: bool) -> list[str]:
    """What somebody who uses the home sees of internal errors and tracebacks."""
    found: list[str] = []
    engine = open_database(home.database_url)
    try:
        migrate(engine)
        app = create_app(ServiceContext(engine, home.directory, lambda _: None, ServiceSettings()))
        about = f"/v1/comparisons/{home.tiny}"
        reads = ["/v1/comparisons", about, "/v1/datasets", "/v1/deployments", "/v1/baselines", "/readyz"]
        reads += [f"{about}/{name}" for name in ("report.json", "report.html", "results", "events", "questions")]
        headers = {"Authorization": f"Bearer {home.key}"}
        with TestClient(app, "http://127.0.0.1:8000", headers=headers, client=("127.0.0.1", 50_000)) as client:
            replies = [client.get(address) for address in reads]
            replies += [client.post("/v1/chat/completions", json=CHAT)] if asks else []
        found += [f"{reply.request.url.path}: {reply.text}" for reply in replies if reply.status_code == 500]
    except TuningForkError:
        # The message is the remedy.
        pass
    finally:
        engine.dispose()
    for command in (["report", home.tiny], ["comparisons"]):
        # Any exception but the end of the program would be a traceback.
        with suppress(SystemExit):
            main(command)
    return found


@pytest.mark.parametrize(
    ("n_flips", "where", "asks"),
    [
        (1, "", False),
        pytest.param(60, "tuning_fork.db", False, marks=pytest.mark.chaos),
        pytest.param(60, "s/", True, marks=pytest.mark.chaos),
    ],
)
def test_flipped_bits_are_told_or_mended_and_end_in_no_traceback(
    home: OldHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_flips: int, where: str, asks: bool
) -> None:
    root, kept = home.directory.root, tmp_path / "kept"
    monkeypatch.setenv("TUNING_FORK_HOME", str(root))
    shutil.copytree(root, kept)
    files = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if where in str(path)]
    lot = random.Random(n_flips)
    for _ in range(n_flips):
        path = lot.choice(files)
        flip(root / path, lot)
        assert faults(home, asks=asks) == [], path
        shutil.rmtree(root)
        shutil.copytree(kept, root)
