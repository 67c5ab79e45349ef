"""Which folder goes with a deleted comparison, and which stays."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, update

from service.contract.comparison_state import ComparisonState
from service.store.comparison_store import create_comparison
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.run_folder import own_run_folder, remove_run_folder
from service.store.tables import comparisons, report_files

VERSION = "0" * 64


def made(engine: Engine, name: str, state: ComparisonState, **settings: int) -> None:
    create_comparison(engine, comparison_id=name, name=name, dataset=VERSION, settings=settings)
    with writing(engine) as connection:
        connection.execute(update(comparisons).where(comparisons.c.id == name).values(state=state))


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Path:
    """Of the run of the comparison "one"."""
    path = DataDirectory(tmp_path).comparison("run-1")
    path.mkdir(parents=True)
    (path / "settings.json").write_text(json.dumps({"dataset": str(tmp_path / "datasets" / VERSION)}))
    made(engine, "one", ComparisonState.SUCCEEDED, seed=1)
    with writing(engine) as connection:
        content = json.dumps({"id": "run-1"}).encode()
        connection.execute(insert(report_files).values(comparison_id="one", name="report.json", content=content))
    return path


def test_a_folder_of_one_comparison_goes_with_it(engine: Engine, tmp_path: Path, folder: Path) -> None:
    made(engine, "other settings", ComparisonState.SUCCEEDED, seed=2)
    found = own_run_folder(engine, DataDirectory(tmp_path), "one")
    assert found == folder
    remove_run_folder(found)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("state", "seed"),
    [(ComparisonState.SUCCEEDED, 1), (ComparisonState.RUNNING, 2), (ComparisonState.QUEUED, 2)],
)
def test_a_folder_that_another_may_need_stays(
    engine: Engine, tmp_path: Path, folder: Path, state: ComparisonState, seed: int
) -> None:
    made(engine, "two", state, seed=seed)
    assert own_run_folder(engine, DataDirectory(tmp_path), "one") is None
    assert folder.exists()


def test_a_run_of_other_data_than_what_was_uploaded_stays(engine: Engine, tmp_path: Path, folder: Path) -> None:
    (folder / "settings.json").write_text(json.dumps({"dataset": "/elsewhere/ticket-triage"}))
    assert own_run_folder(engine, DataDirectory(tmp_path), "one") is None
