"""Files and folders that appear whole or not at all, also after power loss, and hashes that tell when they changed."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, also after power loss."""
    staged = path.with_name(f".{path.name}.staged")
    # Half characters (lone surrogates) may come from an endpoint; they are no UTF-8 and must not cost the report.
    staged.write_text(text, encoding="utf-8", errors="backslashreplace")
    flush(staged)
    staged.replace(path)
    flush(path.parent)


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """Fill the yielded folder; it is written through to disk and put in the place of `target` when the block ends.

    Whatever ends the process, `target` is absent, complete, or what it was.
    """
    staged, old = (target.with_name(f".{target.name}.{role}") for role in ("staged", "old"))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove(staged, old)
    staged.mkdir()
    try:
        yield staged
        for path in (*staged.rglob("*"), staged):
            flush(path)
        if target.exists():
            target.rename(old)
        staged.rename(target)
        flush(target.parent)
    finally:
        _remove(staged, old)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which is made; others wait. The system lets go of it for a process that is killed."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256(data: str | bytes) -> str:
    """Hexadecimal digest; half characters, which UTF-8 cannot hold, are written out."""
    return hashlib.sha256(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data).hexdigest()


_hashes: dict[tuple[Path, int, int], str] = {}


def hash_file(path: Path) -> str:
    """SHA-256 of a file; computed once in a process for each (path, size, modification time)."""
    key = _state(path)
    if key not in _hashes:
        with path.open("rb") as file:
            _hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[key]


def remember_hash(path: Path, sha256: str) -> None:
    """Let `hash_file` give what was computed and kept when the file was written; holds until the file changes."""
    _hashes[_state(path)] = sha256


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents, whatever folder they are in."""
    return sha256(json.dumps(sorted((path.name, hash_file(path)) for path in paths)))


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder by its name."""
    return {path.name: hash_file(path) for path in sorted(folder.iterdir())}


def damaged_files(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Names of files that are missing or differ from their recorded hash."""
    return [n for n, digest in expected.items() if not (folder / n).is_file() or hash_file(folder / n) != digest]


def _state(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path.resolve(), stat.st_size, stat.st_mtime_ns


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Write a file or a folder through to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
