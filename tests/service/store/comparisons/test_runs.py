"""Finished comparisons by name, wherever they were made."""

import os
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from lm.errors import ConfigError
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.runs import find_run, finished_runs, home_database, matching_id, restore_run
from service.store.data_directory import REPORT_FILE, DataDirectory
from service.store.database import writing
from service.store.tables import comparisons, report_files


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """Three finished comparisons, the middle one newest, and one unfinished."""
    directory = DataDirectory(tmp_path)
    for name, modified_s in (("shop-1aa", 10), ("shop-1ab", 30), ("bank-2", 20)):
        folder = directory.comparison(name)
        folder.mkdir(parents=True)
        (folder / REPORT_FILE).write_text("{}")
        os.utime(folder / REPORT_FILE, (modified_s, modified_s))
    directory.comparison("half-done").mkdir()
    return directory


def test_comparisons_are_listed_newest_first_without_unfinished_ones(directory: DataDirectory) -> None:
    with home_database(directory) as engine:
        found = finished_runs(engine, directory)
    assert [run.id for run in found] == ["shop-1ab", "bank-2", "shop-1aa"]


@pytest.mark.parametrize(
    ("name", "found"), [("shop-1aa", "shop-1aa"), ("bank", "bank-2"), ("latest", "shop-1ab"), ("shop-1ab", "shop-1ab")]
)
def test_a_comparison_is_found_by_id_beginning_or_latest(directory: DataDirectory, name: str, found: str) -> None:
    assert find_run(directory, name).name == found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop", "several comparisons begin with 'shop'"),
        ("half", "no finished comparison 'half'"),
        ("../x", "no finis"),
    ],
)
def test_an_unclear_name_is_refused_with_the_choices(directory: DataDirectory, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message}.*choose one of: .*shop-1aa"):
        find_run(directory, name)


def test_an_empty_directory_says_what_to_run_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `tuningfork compare DATASET` first"):
        find_run(DataDirectory(tmp_path), "latest")


def made_over_the_api(directory: DataDirectory, run_id: str, finished_at: float) -> None:
    """A comparison called "page-1" of that run."""
    with home_database(directory) as engine:
        create_comparison(engine, comparison_id="page-1", name="page", dataset="ticket-triage", settings={})
        state = {"state": ComparisonState.SUCCEEDED, "run_id": run_id, "finished_at": finished_at}
        with writing(engine) as connection:
            connection.execute(update(comparisons).values(**state))
            for name in (REPORT_FILE, "report.md"):
                row = {"comparison_id": "page-1", "name": name, "content": name.encode()}
                connection.execute(insert(report_files).values(**row))


def test_one_of_the_page_is_found_by_its_id_and_by_its_run(directory: DataDirectory) -> None:
    made_over_the_api(directory, "bank-2", 40)
    assert [find_run(directory, name).name for name in ("page", "bank-2", "latest")] == ["bank-2"] * 3
    with pytest.raises(ConfigError, match="no finished comparison 'bank'"):
        find_run(directory, "bank")


def test_reports_that_are_in_the_database_alone_are_written_out(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "home")
    directory.root.mkdir()
    made_over_the_api(directory, "gone-1", 40)
    folder = find_run(directory, "page-1")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {n: n for n in (REPORT_FILE, "report.md")}


def test_a_changed_file_is_restored_and_the_others_are_left_alone(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "home")
    directory.root.mkdir()
    made_over_the_api(directory, "gone-1", 40)
    folder = find_run(directory, "page-1")
    (folder / "report.md").write_text("changed")
    os.utime(folder / REPORT_FILE, (1, 1))
    with home_database(directory) as engine:
        assert restore_run(engine, directory, "page-1", "gone-1") == folder
    assert (folder / "report.md").read_text() == "report.md"
    assert (folder / REPORT_FILE).stat().st_mtime == 1


def test_a_comparison_in_any_state_is_matched_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with home_database(DataDirectory(tmp_path)) as engine:
        with pytest.raises(ConfigError, match="there is no comparison 'one'; choose one of: none yet"):
            matching_id(engine, "one")
        for name in ("one-1", "one-2", "two"):
            create_comparison(engine, comparison_id=name, name=name, dataset="ticket-triage", settings={})
        assert [matching_id(engine, name) for name in ("tw", "one-1", "latest")] == ["two", "one-1", "two"]
        with pytest.raises(ConfigError, match="several comparisons begin with 'one'"):
            matching_id(engine, "one")
