"""A comparison on a disk that fails at one operation: the first, and so on in steps until a run ends undisturbed.

Preloaded with `faulty_disk.c`. Arguments: FOLDER ERRNO FIRST STEP LAST. Prints a line of JSON for each.
"""

import ctypes
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from service.jobs.job import JobEnd, run_job
from service.run.settings import ComparisonSettings
from service.store.comparisons.comparison_store import find_comparison, resume_comparison
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from service.store.tables import report_files
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of
from tests.service.serving.conftest import ScriptedLocal

N_FACTS = 12
N_ATTEMPTS = 3
DISK = ctypes.CDLL(None)


def prepare(home: Path, n_facts: int = N_FACTS) -> None:
    """A home with a comparison that waits."""
    home.mkdir(parents=True, exist_ok=True)
    engine = opened(home)
    migrate(engine)
    create_dataset_and_comparison(engine, dataset_of(n_facts), model="hf:scripted", arms=("base", "rag"))
    engine.dispose()


def opened(home: Path) -> Engine:
    return open_database(f"sqlite:///{home / DATABASE_FILE}")


def attempt(home: Path) -> JobEnd:
    """Work on the comparison as a job does."""

    def compose(settings: ComparisonSettings, directory: DataDirectory, on_progress: Any) -> ScriptedLocal:
        return ScriptedLocal(settings, directory, on_progress)

    engine = opened(home)
    try:
        return run_job(engine, DataDirectory(home), COMPARISON, compose, lambda *_: "scripted")
    finally:
        engine.dispose()


def answers(home: Path) -> list[Any]:
    """Every question's answer and scores, arm by arm, and the verdict."""
    engine = opened(home)
    query = select(report_files.c.name, report_files.c.content)
    with engine.connect() as connection:
        files = {row.name: row.content for row in connection.execute(query)}
    engine.dispose()
    rows = map(json.loads, files["results.jsonl"].decode().split("\n")[:-1])
    said = [[row["arm"], row["example_id"], row["answer"]["text"], row["scores"]] for row in rows]
    return [json.loads(files["report.json"])["recommendation"]["verdict"], *said]


def finish(home: Path) -> Any:
    """The answers after as many undisturbed attempts as it may take, resumed where it failed."""
    for _ in range(N_ATTEMPTS):
        engine = opened(home)
        found = find_comparison(engine, COMPARISON)
        if found.state.is_final and found.state != "succeeded":
            resume_comparison(engine, COMPARISON)
        engine.dispose()
        if found.state == "succeeded":
            break
        attempt(home)
    return answers(home)


def failing(root: Path, fail_at: int, error: int, whole: Any) -> dict[str, Any]:
    """What becomes of a comparison of which one operation on the disk fails, then and when it is gone on with."""
    home = root / "home"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(root / "prepared", home)
    DISK.faulty_disk_arm(str(home).encode(), fail_at, error)
    told, defect = "", ""
    try:
        told = attempt(home).name
    except BaseException as raised:
        defect = "".join(traceback.format_exception(raised)[-6:])
    n_done = DISK.faulty_disk_done()
    DISK.faulty_disk_arm(b"", 0, 0)
    engine = opened(home)
    message = find_comparison(engine, COMPARISON).error or ""
    engine.dispose()
    try:
        is_same = json.loads(json.dumps(finish(home))) == whole
    except BaseException as raised:
        is_same, defect = False, defect + "".join(traceback.format_exception(raised)[-6:])
    return {"at": fail_at, "of": n_done, "end": told, "message": message, "defect": defect, "same": is_same}


def fail(root: Path, error: int, first: int, step: int, last: int) -> None:
    prepare(root / "prepared")
    shutil.copytree(root / "prepared", root / "whole")
    # Chroma's threads do not survive a fork, so this process opens no index.
    if not (child := os.fork()):
        (root / "whole.json").write_text(json.dumps(finish(root / "whole")), encoding="utf-8")
        os._exit(0)
    os.waitpid(child, 0)
    whole = json.loads((root / "whole.json").read_text(encoding="utf-8"))
    for fail_at in range(first, last, step):
        child = os.fork()
        if not child:
            row = failing(root, fail_at, error, whole)
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
            # A run in which nothing failed any more.
            os._exit(0 if row["of"] >= fail_at else 7)
        _, status = os.waitpid(child, 0)
        if status:
            if os.waitstatus_to_exitcode(status) != 7:
                sys.stdout.write(json.dumps({"at": fail_at, "died": status}) + "\n")
            break


if __name__ == "__main__":
    fail(Path(sys.argv[1]), *map(int, sys.argv[2:]))
