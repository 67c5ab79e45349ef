"""Folders without a row: which are taken for those of an earlier version's command line."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.contract.comparison_state import ComparisonState
from service.store.comparisons import adoption
from service.store.comparisons.comparison_store import create_comparison
from service.store.data_directory import REPORT_FILE, DataDirectory
from service.store.database import writing
from service.store.tables import comparisons


@pytest.mark.parametrize(
    ("state", "adopted"),
    [
        (ComparisonState.QUEUED, ["before"]),
        (ComparisonState.RUNNING, ["before"]),
        (ComparisonState.SUCCEEDED, ["before", "since"]),
        (ComparisonState.FAILED, ["before", "since"]),
    ],
)
def test_a_folder_that_a_killed_job_may_have_written_is_left_to_its_comparison(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: ComparisonState, adopted: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(adoption, "_adopt", lambda _, folder: found.append(folder.name))
    directory = DataDirectory(tmp_path)
    for name, at in (("before", 10.0), ("since", 30.0), ("told", 10.0)):
        folder = directory.comparison(name)
        folder.mkdir(parents=True)
        (folder / REPORT_FILE).touch()
        os.utime(folder / REPORT_FILE, (at, at))
    for name, row_state, run in (("one", state, None), ("other", ComparisonState.SUCCEEDED, "told")):
        create_comparison(engine, comparison_id=name, name=name, dataset="0" * 64, settings={})
        with writing(engine) as connection:
            row = comparisons.c.id == name
            connection.execute(update(comparisons).where(row).values(state=row_state, run_id=run, created_at=20.0))
    adoption.adopt_folders(engine, directory)
    assert found == adopted
