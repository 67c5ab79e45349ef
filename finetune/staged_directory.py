"""Directories that appear whole or not at all, and that tell when they were damaged."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """Fill the yielded directory; it is written through to disk and renamed to `target` when the block ends.

    Whatever ends the process, `target` is either absent or complete. It must not exist yet.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    yield staged
    for path in (*staged.iterdir(), staged):
        _flush(path)
    staged.rename(target)
    _flush(target.parent)


def file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each file of a directory by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def damaged_files(directory: Path, expected: Mapping[str, str]) -> list[str]:
    """Names of files that are missing or differ from their recorded hash."""
    found = file_hashes(directory)
    return [name for name, digest in expected.items() if found.get(name) != digest]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
