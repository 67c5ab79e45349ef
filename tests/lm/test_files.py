import errno
import os
import shutil
from pathlib import Path

import pytest

from lm.files import (
    SEAL,
    copy_folder,
    damaged_files,
    hash_file,
    is_disk_failure,
    is_sealed,
    set_aside,
    staged_directory,
    write_whole,
)


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


def test_names_of_folders_that_are_made_are_written_through_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("lm.files.flush", flushed.append)
    write_whole(tmp_path / "a" / "b" / "x", "1")
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b"} <= {*flushed}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    with staged_directory(tmp_path / "b", sealed=True) as staged:
        (staged / "below").mkdir()
        for name in ("x", "y", "below/z"):
            (staged / name).write_text(name)
    assert is_sealed(tmp_path / "b")
    return tmp_path / "b"


def test_changed_and_missing_files_are_named(sealed: Path) -> None:
    assert damaged_files(sealed) == []
    (sealed / "below" / "z").write_text("below/Z")
    (sealed / "y").unlink()
    assert damaged_files(sealed) == ["below/z", "y"]


def test_any_flipped_bit_of_a_sealed_folder_is_noticed(sealed: Path) -> None:
    for name in ("x", SEAL):
        whole = (sealed / name).read_bytes()
        for place in range(0, len(whole), 5):
            # As wide and as old as it was, as a disk that forgets leaves it.
            (sealed / name).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            os.utime(sealed / name, ns=(place, place))
            assert damaged_files(sealed), (name, place)
        (sealed / name).write_bytes(whole)
    assert damaged_files(sealed) == []


def test_hashes_from_elsewhere_count_where_there_is_no_seal(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    noted = {"x": hash_file(tmp_path / "x")}
    assert damaged_files(tmp_path, noted) == []
    assert damaged_files(tmp_path, noted | {"y": ""}) == ["y"]


def test_only_the_latest_damaged_folder_is_kept_aside(sealed: Path) -> None:
    for content in ("first", "second"):
        sealed.mkdir(exist_ok=True)
        (sealed / "x").write_text(content)
        aside = set_aside(sealed)
    assert (aside.name, (aside / "x").read_text(), sealed.exists()) == ("b.damaged", "second", False)


def test_a_whole_directory_takes_the_place_of_another_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with staged_directory(tmp_path / "b") as staged:
            (staged / content).mkdir()
            (staged / content / "x").write_text(content)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("x")] == ["b/new/x"]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_copied_folder_lacks_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.bin").write_text("1")
    (tmp_path / "a" / "x.py").write_text("2")
    copy_folder(tmp_path / "a", tmp_path / "c", leave_out=("*.py",))
    assert [path.relative_to(tmp_path / "c") for path in (tmp_path / "c").rglob("*")] == [Path("b"), Path("b/x.bin")]


def test_a_disk_that_fails_while_a_folder_is_copied_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    for name in ("x", "y"):
        (tmp_path / "a" / name).write_text("1")

    def copy2(source: str, _: str) -> None:
        raise OSError(errno.EIO, "Input/output error", source)

    monkeypatch.setattr(shutil, "copy2", copy2)
    with pytest.raises(OSError, match="Input/output error") as told:
        copy_folder(tmp_path / "a", tmp_path / "c")
    assert is_disk_failure(told.value)
