"""Work whose every operation on the disk is recorded. Preloaded with `recording_disk.c`.

Arguments: what to do (a function below), the folder to do it in, which is empty, the log, where to write what was
acknowledged at each mark of the log, as a line of JSON each, and what the work needs.
"""

import ctypes
import hashlib
import json
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from advisor.data.dataset import Document
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.local.huggingface import load_huggingface_model
from rag.chunk import Chunking
from rag.chunk_store import VECTORS_FILE
from rag.index import build_index
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE
from service.store.keeping.backup import back_up, restore
from tests.chaos.disk.faulty_disk_process import finish, prepare
from tests.chaos.index_process import HashingEmbedder
from tests.chaos.training_process import N_EPOCHS, tiny_view

N_FACTS = 150
HOME, BACKUP = "home", "backup.tar"
DISK = ctypes.CDLL(None)


def rows_of(home: Path) -> list[str]:
    """Hashes of all rows of all tables of a home's database, which need not be there."""
    if not (home / DATABASE_FILE).exists():
        return []
    with closing(sqlite3.connect(home / DATABASE_FILE)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [repr((table, row)) for table in tables for row in database.execute(f'SELECT * FROM "{table}"')]
    return sorted(hashlib.sha256(row.encode()).hexdigest()[:16] for row in rows)


class Acknowledged:
    """Marks in the log, and what was acknowledged by then."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._n = 0

    def note(self, what: Any) -> None:
        self._file.write(json.dumps(what) + "\n")
        self._file.flush()
        DISK.recording_mark(ctypes.c_uint64(self._n))
        self._n += 1


def comparison(folder: Path, acknowledged: Acknowledged) -> None:
    """A comparison with an index, from no home to its report; after each commit all rows are noted."""
    home = folder / HOME
    commit, turn = DefaultDialect.do_commit, threading.Lock()

    def commit_and_note(dialect: DefaultDialect, connection: Any) -> None:
        with turn:
            commit(dialect, connection)
            acknowledged.note(rows_of(home))

    DefaultDialect.do_commit = commit_and_note  # type: ignore[method-assign]
    with home_database(DataDirectory(home)):
        prepare(home, N_FACTS)
    finish(home)


def index(home: Path, acknowledged: Acknowledged) -> None:
    """An index, replaced by a larger one, then damaged and built again; sizes are noted, 0 where they may change."""
    folder = index_folder(home)
    for n_documents in (40, 80):
        build(folder, n_documents)
        acknowledged.note(n_documents)
        acknowledged.note(0)
    with (folder / VECTORS_FILE).open("r+b") as file:
        file.write(b"damaged")
    build(folder, 80)
    acknowledged.note(80)


def index_folder(home: Path) -> Path:
    return DataDirectory(home).stage("indexes", "of-the-test")


def build(folder: Path, n_documents: int) -> None:
    texts = [Document(f"d{i}", f"Thing {i}", f"Thing {i} is {i * i} wide.") for i in range(n_documents)]
    build_index(texts, HashingEmbedder(), folder, chunking=Chunking(32, 0))


def training(home: Path, acknowledged: Acknowledged, base: str) -> None:
    """A training of a few epochs; those with a checkpoint are noted, and -1 for the adapter."""
    model = load_huggingface_model(Path(base), name="tiny", device="cpu", dtype="float32")
    recipe = TuningRecipe(max_epochs=N_EPOCHS, patience=N_EPOCHS, batch_size=8)

    def tell(event: TrainingEvent) -> None:
        if event.validation_loss is not None:
            acknowledged.note(event.epoch)

    train_adapter(model, tiny_view(), recipe, adapter_folder(home), on_event=tell)
    acknowledged.note(-1)


def adapter_folder(home: Path) -> Path:
    return DataDirectory(home).stage("adapters", "of-the-test")


def backup(folder: Path, acknowledged: Acknowledged, home: str) -> None:
    """A backup of a home, noted when it is there, and a home made of it, noted likewise."""
    back_up(DataDirectory(Path(home)), folder / BACKUP)
    acknowledged.note("backup")
    restore(DataDirectory(folder / HOME), folder / BACKUP)
    acknowledged.note("home")


def main() -> None:
    work, folder, log, noted, *more = sys.argv[1:]
    DISK.recording_start(folder.encode(), log.encode())
    works = {"comparison": comparison, "index": index, "training": training, "backup": backup}
    works[work](Path(folder), Acknowledged(Path(noted)), *more)
    DISK.recording_stop()


if __name__ == "__main__":
    main()
