"""Loss of power at random moments, of which a disk keeps what it must and any part of the rest."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune.adapter import load_adapter_record
from finetune.checkpoint import checkpoint_directory
from lm.embedding import Embedder
from lm.files import ASIDE, damaged_files, is_sealed
from rag.errors import DamagedIndexError
from rag.index import MARKER, open_index
from service.store.keeping.archive import checked_archive
from tests.chaos.disk.faulty_disk_process import answers, finish, opened, prepare
from tests.chaos.disk.power_loss import RecordedDisk, read_log
from tests.chaos.disk.recorded_process import BACKUP, HOME, adapter_folder, build, index_folder, rows_of
from tests.chaos.index_process import HashingEmbedder
from tests.chaos.workplace import ROOT
from tests.service.serving.conftest import WordEmbedder

COMPILER = shutil.which("cc")
SOURCE = Path(__file__).with_name("recording_disk.c")
N_MOMENTS = 200
# Not before there is a comparison.
RESUMED = range(70, N_MOMENTS, 13)
REBUILT = range(0, N_MOMENTS, 20)

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(COMPILER is None, reason="the layer between program and disk is compiled, and there is no cc"),
]


def recorded(work: str, root: Path, *more: Path) -> tuple[RecordedDisk, list[Any]]:
    """What a piece of work did to the folder `disk`, and what it had acknowledged at each mark."""
    layer, folder, log, noted = (root / name for name in ("layer.so", "disk", "log", "noted"))
    folder.mkdir()
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-O2", "-o", layer, SOURCE, "-ldl", "-lpthread"], check=True)
    command = [sys.executable, "-m", "tests.chaos.disk.recorded_process", work, folder, log, noted, *more]
    environment = os.environ | {"LD_PRELOAD": str(layer), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    records = read_log(log)
    # The record is sound: every sync found what the log says, and so does the end.
    whole = RecordedDisk(records)
    whole.play(0, len(whole))
    assert whole.unlike(folder) == []
    return RecordedDisk(records), [json.loads(line) for line in noted.read_text().splitlines()]


def losses(disk: RecordedDisk, root: Path) -> Iterator[Path]:
    """What is left after each loss: half of them at random operations, half right after something was acknowledged."""
    lot, at = random.Random(N_MOMENTS), 0
    kinds = [range(1, len(disk) + 1), disk.after_marks]
    for moment in sorted(lot.choice(lot.choice(kinds)) for _ in range(N_MOMENTS)):
        disk.play(at, moment)
        at = moment
        shutil.rmtree(root, ignore_errors=True)
        disk.lose_power(root, lot)
        yield root


def open_all_indexes(home: Path, embedder: Embedder) -> list[int]:
    """Open those that are marked as finished; of how many documents they are."""
    markers = [path for path in home.rglob(MARKER) if "/." not in str(path) and ASIDE not in str(path)]
    sizes = []
    for marker in markers:
        with open_index(marker.parent, embedder) as index:
            sizes.append(index.record.n_documents)
    return sizes


def test_no_acknowledged_row_is_lost_and_what_was_begun_ends_alike(tmp_path: Path) -> None:
    disk, acknowledged = recorded("comparison", tmp_path)
    whole = answers(tmp_path / "disk" / HOME)
    states: list[list[str]] = [[], *acknowledged]
    n_indexes = 0
    for i, folder in enumerate(losses(disk, tmp_path / "left")):
        home = folder / HOME
        if not home.exists():
            assert states[disk.mark + 1] == []
            continue
        engine = opened(home)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
        engine.dispose()
        # The commit that was under way may be there too.
        assert rows_of(home) in states[disk.mark + 1 : disk.mark + 3]
        n_indexes += len(open_all_indexes(home, WordEmbedder()))
        if i in RESUMED:
            assert finish(home) == whole
    assert n_indexes > 0


def test_an_index_that_was_built_is_there_and_one_that_is_marked_opens(tmp_path: Path) -> None:
    disk, acknowledged = recorded("index", tmp_path)
    sizes = [0, *acknowledged]
    wrong = []
    for i, home in enumerate(losses(disk, tmp_path / "left")):
        try:
            found = open_all_indexes(home / "stages", HashingEmbedder())
        except DamagedIndexError:
            # Only while it lies there damaged, and then the build says so.
            found = [0] if disk.mark == len(acknowledged) - 2 else [-1]
        if found not in ([sizes[disk.mark + 1]], *([] if sizes[disk.mark + 1] else ([], [40], [80]))):
            wrong.append((i, disk.mark, found))
        if i in REBUILT:
            build(index_folder(home), 80)
            assert open_all_indexes(index_folder(home), HashingEmbedder()) == [80]
    assert wrong == []


def test_a_training_loses_at_most_what_came_after_the_last_epoch(tiny_model_folder: Path, tmp_path: Path) -> None:
    disk, acknowledged = recorded("training", tmp_path, tiny_model_folder)
    assert acknowledged[-1] == -1
    wrong = []
    for i, home in enumerate(losses(disk, tmp_path / "left")):
        adapter = adapter_folder(home)
        reached = acknowledged[disk.mark] if disk.mark >= 0 else 0
        if adapter.exists():
            load_adapter_record(adapter)
        else:
            checkpoints = checkpoint_directory(adapter).glob("epoch-*")
            epochs = [int(path.name[-4:]) for path in checkpoints if is_sealed(path) and not damaged_files(path)]
            if reached < 0 or max(epochs, default=0) < reached:
                wrong.append((i, disk.mark, reached, epochs))
    assert wrong == []


def test_a_backup_that_was_told_is_whole_and_so_is_a_home_made_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare(home)
    finish(home)
    disk, _ = recorded("backup", tmp_path, home)
    rows = rows_of(tmp_path / "disk" / HOME)
    files = files_below(tmp_path / "disk" / HOME)
    wrong = []
    for i, folder in enumerate(losses(disk, tmp_path / "left")):
        if disk.mark >= 0 or (folder / BACKUP).exists():
            with checked_archive(folder / BACKUP):
                pass
        if disk.mark == 1:
            left = folder / HOME
            lost = [str(name) for name, content in files.items() if files_below(left).get(name) != content]
            if lost or rows_of(left) != rows:
                wrong.append((i, lost))
    assert wrong == []


def files_below(folder: Path) -> dict[str, bytes]:
    """Contents, but those of the database and of locks."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if "/" in name}
