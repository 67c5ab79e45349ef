"""A dataset is erased with all that was made of it: nothing that stood in it is left in any file or table."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, insert, select, update

from service.cli.app import main
from service.contract.comparison_state import ComparisonState
from service.jobs.job import JobEnd, run_job
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import create_comparison, find_comparison
from service.store.comparisons.share_store import share_comparison
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.dataset_store import DatasetConflictError, dataset_folder
from service.store.keeping.erasure import erase_datasets, versions_named
from service.store.stages.recorded_stages import note_stages
from service.store.tables import (
    QUESTION_RUN,
    answer_blocks,
    comparisons,
    datasets,
    deployments,
    labels,
    metadata,
    votes,
)
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of

if TYPE_CHECKING:
    from conftest import Workplace

MARK = "quagga-7731"
QUESTION, DOCUMENT, ANSWER = (f"{MARK}-{kind}" for kind in ("question", "document", "answer"))
OTHER = "other-1"


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "home")


@pytest.fixture
def compared(engine: Engine, directory: DataDirectory, workplace: "Workplace") -> str:
    """A marked dataset that was compared, and everything that can come of that; the version."""
    files = {
        name: content.replace(b"Which colour", QUESTION.encode()).replace(b"is coloured", DOCUMENT.encode())
        for name, content in dataset_of(60).items()
    }
    create_dataset_and_comparison(engine, files, arms=("base", "few-shot"))
    workplace.answer = lambda _: ANSWER
    run = run_job(engine, directory, COMPARISON, workplace.compose, lambda *_: "scripted")
    assert run is JobEnd.OVER
    stored = find_comparison(engine, COMPARISON)
    assert stored.state is ComparisonState.SUCCEEDED
    dataset_folder(engine, directory, stored.dataset)
    create_comparison(engine, comparison_id=OTHER, name="n", dataset="ticket-triage", settings={"prices": "kept.toml"})
    with writing(engine) as connection:
        row = comparisons.c.id == OTHER
        connection.execute(update(comparisons).where(row).values(state=ComparisonState.SUCCEEDED, run_id="other-run"))
        row = {"comparison_id": COMPARISON, "answer": ANSWER, "voter": "v", "created_at": 0.0}
        connection.execute(insert(labels).values(id="l", example_id="t0", answer_hash="h", good=True, **row))
        row = {"comparison_id": COMPARISON, "question": QUESTION, "voter": "v", "created_at": 0.0}
        connection.execute(insert(votes).values(id="v", first="base", second="few-shot", preferred=None, **row))
        for alias, served in (("production", (OTHER, COMPARISON)), ("steady", (COMPARISON, OTHER))):
            for revision, comparison_id in enumerate(served):
                row = {"alias": alias, "revision": revision, "comparison_id": comparison_id, "kind": "base"}
                connection.execute(insert(deployments).values(created_at=0.0, **row))
        # What a comparison that was deleted long ago left.
        row = {"block": "b", "answers": f'{{"t0": "{ANSWER}"}}', "wall_s": 0.0, "created_at": 0.0}
        connection.execute(insert(answer_blocks).values(stage="untold", **row))
        connection.execute(insert(answer_blocks).values({**row, "stage": "others", "answers": '{"x": "kept"}'}))
        connection.execute(update(datasets).values(frozen=True))
    set_baseline(engine, "main", COMPARISON)
    share_comparison(engine, COMPARISON)
    run_id = str(stored.run_id)
    for name, noted_for in (("own", run_id), ("kept", "other-run"), ("half", None)):
        for kind in ("adapters", "indexes"):
            marker = directory.stage(kind, name) / "chunks.jsonl"
            marker.parent.mkdir()
            marker.write_text("kept" if name == "kept" else DOCUMENT)
        if noted_for:
            note_stages(
                noted_for, [directory.stage(kind, name) / "chunks.jsonl" for kind in ("adapters", "indexes")], directory
            )
    for below in ("serving/own/chunks.jsonl", "inputs/answers.csv", "incoming/.left/part", f"logs/{COMPARISON}.log"):
        (directory.root / below).parent.mkdir(parents=True, exist_ok=True)
        (directory.root / below).write_text(DOCUMENT)
    (directory.root / "inputs" / "kept.toml").write_text("kept")
    return stored.dataset


def files_with_mark(folders: Iterable[Path]) -> list[Path]:
    paths = (path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*")))
    return [path for path in paths if path.is_file() and MARK.encode() in path.read_bytes()]


def tables_with_mark(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        rows = {table.name: connection.execute(select(table)).all() for table in metadata.sorted_tables}
    return [name for name, found in rows.items() if MARK in repr(found)]


def test_nothing_is_left_and_all_else_is(
    engine: Engine, directory: DataDirectory, compared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(tables_with_mark(engine)) == {"answer_blocks", "dataset_files", "labels", "report_files", "votes"}
    databases = sorted(tmp_path.glob("test.db*"))
    assert len(files_with_mark([directory.root, *databases])) > len(databases) // 2 + 8
    # As if all was left hours ago.
    monkeypatch.setattr("service.store.keeping.erasure._UPLOAD_S", -1.0)
    erased = erase_datasets(engine, directory, versions_named(engine, "tiny"))
    assert erased.versions == (compared,)
    assert erased.comparisons == (COMPARISON,)
    assert tables_with_mark(engine) == []
    assert files_with_mark([directory.root, *tmp_path.glob("test.db*")]) == []
    kept = sorted(path.relative_to(directory.root).as_posix() for path in directory.root.rglob("*") if path.is_file())
    assert kept == [
        "inputs/kept.toml", "stages/adapters/kept/chunks.jsonl", "stages/indexes/kept/chunks.jsonl",
        "stages/used/other-run.json",
    ]  # fmt: skip
    with engine.connect() as connection:
        assert connection.execute(select(comparisons.c.id)).scalars().all() == [OTHER]
        assert connection.execute(select(answer_blocks.c.stage)).scalars().all() == ["others"]
        # An alias that served it is gone; one that could only be rolled back to it serves what it did.
        assert connection.execute(select(deployments.c.alias, deployments.c.comparison_id)).all() == [("steady", OTHER)]


def test_while_a_comparison_runs_nothing_is_erased(engine: Engine, directory: DataDirectory) -> None:
    create_dataset_and_comparison(engine, dataset_of(6), arms=("base",))
    version = find_comparison(engine, COMPARISON).dataset
    folder = dataset_folder(engine, directory, version)
    with pytest.raises(DatasetConflictError, match=f"the comparison {COMPARISON} waits or runs"):
        erase_datasets(engine, directory, [version])
    assert find_comparison(engine, COMPARISON).dataset == version
    assert folder.is_dir()


def test_questions_that_a_model_wrote_from_its_documents_go_too(engine: Engine, directory: DataDirectory) -> None:
    create_dataset_and_comparison(engine, dataset_of(6), arms=("base",))
    version = find_comparison(engine, COMPARISON).dataset
    run = f"{QUESTION_RUN}{'0' * 16}"
    create_comparison(
        engine, comparison_id=run, name="q", dataset=version, settings={}, files={"documents.jsonl": b"d"}
    )
    with writing(engine) as connection:
        ended = {"state": ComparisonState.SUCCEEDED, "run_id": "made"}
        connection.execute(update(comparisons).values(state=ComparisonState.FAILED))
        connection.execute(update(comparisons).where(comparisons.c.id == run).values(**ended))
        row = connection.execute(select(datasets)).one()._asdict()
        connection.execute(insert(datasets).values({**row, "version": "made"}))
    erased = erase_datasets(engine, directory, [version])
    assert (erased.versions, set(erased.comparisons)) == ((version, "made"), {COMPARISON, run})
    with engine.connect() as connection:
        assert not [table.name for table in metadata.sorted_tables if connection.execute(select(table)).all()]


def test_the_command_tells_what_would_go_does_it_and_says_what_it_cannot_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from service.store.comparisons.runs import home_database

    home = DataDirectory(tmp_path / "home")
    with home_database(home, workspace="team") as engine:
        create_dataset_and_comparison(engine, dataset_of(6), arms=("base",))
        with writing(engine) as connection:
            connection.execute(update(comparisons).values(state=ComparisonState.CANCELLED, finished_at=time.time()))
    team = ["--workspace", "team"]
    for options, code, told in (
        (["--yes"], 2, "there is no stored dataset 'tiny'"),
        (team, 0, "Would erase 1 version(s) of tiny and 1 comparison(s)"),
        ([*team, "--yes"], 0, "Not reached:\n  backups of this home"),
        ([*team, "--yes"], 2, "there is no stored dataset 'tiny'"),
    ):
        with pytest.raises(SystemExit, match=str(code)):
            main(["datasets", "erase", "tiny", "--home", str(home.root), *options])
        shown = capsys.readouterr()
        assert told in shown.out + shown.err
