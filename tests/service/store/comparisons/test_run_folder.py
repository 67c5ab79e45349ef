"""What goes with a deleted comparison, and what stays."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from lm.files import write_whole
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.run_folder import remove_comparison, remove_run
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.stages.recorded_stages import note_stages
from service.store.tables import comparisons

VERSION = "0" * 64


def made(engine: Engine, name: str, state: ComparisonState, run_id: str | None = None, **settings: object) -> None:
    create_comparison(engine, comparison_id=name, name=name, dataset=VERSION, settings=settings)
    with writing(engine) as connection:
        row = comparisons.c.id == name
        connection.execute(update(comparisons).where(row).values(state=state, run_id=run_id))


def marker(directory: DataDirectory, name: str) -> Path:
    path = directory.stage("adapters", name) / "adapter.json"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_run_of_one_comparison_goes_with_it_and_so_do_its_adapters(engine: Engine, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.comparison("run-1").mkdir(parents=True)
    own, shared = marker(directory, "own"), marker(directory, "shared")
    note_stages("run-1", [own, shared], directory)
    note_stages("run-2", [shared], directory)
    made(engine, "one", ComparisonState.SUCCEEDED, "run-1")
    made(engine, "other", ComparisonState.SUCCEEDED, "run-2")
    remove_comparison(engine, directory, "one")
    assert not directory.comparison("run-1").exists()
    assert not own.parent.exists()
    assert shared.exists()


@pytest.mark.parametrize(
    ("state", "run_id"),
    [(ComparisonState.SUCCEEDED, "run-1"), (ComparisonState.RUNNING, None), (ComparisonState.QUEUED, None)],
)
def test_a_run_that_another_may_need_stays(
    engine: Engine, tmp_path: Path, state: ComparisonState, run_id: str | None
) -> None:
    directory = DataDirectory(tmp_path)
    directory.comparison("run-1").mkdir(parents=True)
    made(engine, "one", ComparisonState.SUCCEEDED, "run-1")
    made(engine, "two", state, run_id)
    remove_comparison(engine, directory, "one")
    assert directory.comparison("run-1").exists()


def test_copies_of_files_go_with_the_last_comparison_that_rests_on_them(engine: Engine, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    copies = {name: directory.input(name, ".JSONL") for name in ("own", "named", "waiting", "reported")}
    for name, path in copies.items():
        write_whole(path, name)
    sent = {"arms": ["base"], "arm_files": {f"{name}.jsonl": name for name in copies}}
    made(engine, "one", ComparisonState.SUCCEEDED, "run-1", **sent)
    made(engine, "names", ComparisonState.SUCCEEDED, "run-2", arms=[f"answers:{copies['named']}"])
    made(engine, "waits", ComparisonState.QUEUED, arm_files={"mine.jsonl": "waiting"})
    arms = {"arms": [f"mine=answers:{copies['reported']}"]}
    write_whole(directory.comparison("run-3") / "settings.json", json.dumps(arms))
    remove_comparison(engine, directory, "one")
    assert [name for name, path in copies.items() if path.exists()] == ["named", "waiting", "reported"]


def test_a_note_that_names_something_outside_the_stages_removes_nothing(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "home")
    outside = tmp_path / "outside" / "marker.json"
    outside.parent.mkdir(parents=True)
    outside.touch()
    directory.stage("used", "run-1.json").write_text('["../outside/marker.json"]')
    remove_run(directory, "run-1")
    assert outside.exists()
