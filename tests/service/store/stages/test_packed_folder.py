from pathlib import Path

import pytest

from service.store.stages.packed_folder import pack, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    (folder / "inside").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 100)
    (folder / "inside" / "record.json").write_text("{}")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_the_same_elsewhere(folder: Path, tmp_path: Path) -> None:
    unpack(pack(folder), tmp_path / "elsewhere" / "adapter")
    assert files(tmp_path / "elsewhere" / "adapter") == files(folder)


def test_a_folder_that_is_there_is_kept(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder)
    (folder / "weights").write_bytes(b"first")
    unpack(packed, folder)
    assert (folder / "weights").read_bytes() == b"first"


def test_a_damaged_pack_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="."):
        unpack(pack(folder)[:9_000], tmp_path / "half")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
