import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from advisor.data.files import load_dataset
from service.safety.prepare import PreparedDataset
from service.store.bundled_datasets import BUNDLED_DATASETS, bundled_datasets
from service.store.data_directory import DataDirectory
from service.store.dataset_store import (
    DatasetNotFoundError,
    dataset_folder,
    dataset_numbers,
    delete_dataset,
    find_dataset,
    list_datasets,
    read_version,
    store_dataset,
    version_of,
)
from tests.service.safety.conftest import GOOD


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedDataset:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in GOOD.items():
        (folder / name).write_bytes(content)
    return PreparedDataset.of(GOOD, load_dataset(folder))


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "home")


def test_the_same_files_are_stored_once(engine: Engine, prepared: PreparedDataset) -> None:
    first, is_new = store_dataset(engine, prepared)
    again, is_new_again = store_dataset(engine, prepared)
    assert (is_new, is_new_again) == (True, False)
    assert first == again
    assert first.card == prepared.card
    assert list_datasets(engine, limit=10, offset=0)[1] == 1 + len(bundled_datasets())


def test_versions_of_one_name_are_counted_from_the_oldest(engine: Engine, prepared: PreparedDataset) -> None:
    changed = replace(prepared, files={**prepared.files, "more.txt": b"x"})
    versions = [store_dataset(engine, one)[0].version for one in (prepared, changed)]
    name = prepared.card.name
    assert dataset_numbers(engine) == {versions[0]: (name, 1), versions[1]: (name, 2)}


def test_the_same_files_stored_at_once_are_stored_once(engine: Engine, prepared: PreparedDataset) -> None:
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(store_dataset(engine, prepared)[1])) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 9 + [True]


def test_a_name_or_byte_more_is_another_version() -> None:
    assert version_of({"a": b"1", "b": b"2"}) == version_of({"b": b"2", "a": b"1"})
    assert len({version_of(files) for files in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""})}) == 4


@pytest.mark.parametrize("damage", ["change", "remove", "add", "delete all"])
def test_files_on_disk_are_made_again_where_they_are_damaged(
    engine: Engine, prepared: PreparedDataset, directory: DataDirectory, damage: str
) -> None:
    version = store_dataset(engine, prepared)[0].version
    folder = dataset_folder(engine, directory, version)
    if damage == "change":
        (folder / "questions.jsonl").write_bytes(b"{}")
    elif damage == "remove":
        (folder / "questions.jsonl").unlink()
    elif damage == "add":
        (folder / "more.jsonl").write_bytes(b"")
    else:
        shutil.rmtree(folder)
    again = dataset_folder(engine, directory, version)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == dict(GOOD)
    assert [path.name for path in folder.parent.iterdir()] == [version]


def test_bundled_data_sets_are_found_by_name(engine: Engine, directory: DataDirectory) -> None:
    assert find_dataset(engine, "ticket-triage").bundled
    assert dataset_folder(engine, directory, "ticket-triage") == BUNDLED_DATASETS / "ticket-triage"
    assert read_version(engine, directory, "ticket-triage").examples


@pytest.mark.parametrize("version", ["nope", "..", "", "f" * 64])
def test_what_is_not_there_is_not_found(engine: Engine, directory: DataDirectory, version: str) -> None:
    for call in (
        lambda: find_dataset(engine, version),
        lambda: dataset_folder(engine, directory, version),
        lambda: read_version(engine, directory, version),
        lambda: delete_dataset(engine, version),
    ):
        with pytest.raises(DatasetNotFoundError):
            call()
