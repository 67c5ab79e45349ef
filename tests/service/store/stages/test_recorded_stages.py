import json
from pathlib import Path

import pytest

from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import forget_stages, note_stages, read_stages

TRAININGS = (("questions", 0), ("raft", 0))


def marker(directory: DataDirectory, kind: str, name: str) -> Path:
    path = directory.stage(kind, name) / "marker.json"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path)


def test_stages_are_found_again_by_what_they_were_made_for(directory: DataDirectory) -> None:
    adapters = [marker(directory, "adapters", name) for name in ("first", "second")]
    index = marker(directory, "indexes", "only")
    note_stages("run", [index, *adapters], directory)
    found = read_stages("run", directory, TRAININGS)
    assert found is not None
    assert found.index == index.parent
    assert found.adapters == dict(zip(TRAININGS, (path.parent for path in adapters), strict=True))


def test_a_comparison_without_retrieval_or_tuning_rests_on_nothing(directory: DataDirectory) -> None:
    note_stages("run", [], directory)
    found = read_stages("run", directory, ())
    assert found is not None
    assert (found.index, found.adapters) == (None, {})


def test_a_stage_that_is_gone_or_was_never_noted_leaves_nothing_to_open(directory: DataDirectory) -> None:
    adapter = marker(directory, "adapters", "first")
    note_stages("run", [adapter], directory)
    assert read_stages("run", directory, TRAININGS) is None
    assert read_stages("other", directory, TRAININGS[:1]) is None
    adapter.unlink()
    assert read_stages("run", directory, TRAININGS[:1]) is None


@pytest.mark.parametrize("text", ["", "{", "5", "[5]", "null"])
def test_a_damaged_note_leaves_nothing_to_open(directory: DataDirectory, text: str) -> None:
    directory.stage("used", "run.json").write_text(text)
    assert read_stages("run", directory, ()) is None


@pytest.mark.parametrize(
    "noted", ["../other/stages/adapters/x/adapter.json", "/OUTSIDE/stages/adapters/x/adapter.json"]
)
def test_a_note_that_leaves_the_data_directory_opens_and_deletes_nothing(tmp_path: Path, noted: str) -> None:
    outside = marker(DataDirectory(tmp_path / "other"), "adapters", "x")
    home = DataDirectory(tmp_path / "home")
    home.stage("used", "run.json").write_text(json.dumps([noted.replace("/OUTSIDE", str(tmp_path / "other"))]))
    assert read_stages("run", home, TRAININGS[:1]) is None
    forget_stages("run", home)
    assert outside.is_file()
