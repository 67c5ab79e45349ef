from pathlib import Path

import pytest

from lm.files import damaged_files, file_hashes, staged_directory


def test_directory_appears_whole(tmp_path: Path) -> None:
    with staged_directory(tmp_path / "a" / "b") as staged:
        (staged / "x").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "x").read_text() == "1"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_interrupted_writing_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staged_directory(tmp_path / "b") as staged:
        (staged / "x").write_text("half")
        raise KeyboardInterrupt
    assert not (tmp_path / "b").exists()
    with staged_directory(tmp_path / "b") as staged:
        assert list(staged.iterdir()) == []


def test_changed_and_missing_files_are_named(tmp_path: Path) -> None:
    for name in "xyz":
        (tmp_path / name).write_text(name)
    expected = file_hashes(tmp_path)
    (tmp_path / "x").write_text("other")
    (tmp_path / "y").unlink()
    assert damaged_files(tmp_path, expected) == ["x", "y"]


def test_a_whole_directory_takes_the_place_of_another_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with staged_directory(tmp_path / "b") as staged:
            (staged / content).mkdir()
            (staged / content / "x").write_text(content)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("x")] == ["b/new/x"]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
