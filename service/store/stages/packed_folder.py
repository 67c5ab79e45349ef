"""A folder as bytes, to be carried to another machine."""

import io
import secrets
import shutil
import tarfile
from pathlib import Path

from lm.files import flush, make_folder


def pack(folder: Path) -> bytes:
    """The files of a folder, uncompressed: weights and vectors do not get smaller."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Make the folder, which is there whole or not at all, also after power loss; one that is there already is kept."""
    if folder.exists():
        return
    make_folder(folder.parent)
    staged = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.unpacking")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(staged, filter="data")
        for path in (*staged.rglob("*"), staged):
            flush(path)
        staged.rename(folder)
        flush(folder.parent)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
