"""Files and folders that appear whole or not at all, also after power loss, and hashes that tell when they changed.

A sealed folder holds `SEAL`, which names its other files with their hashes and is written last. A file that changed
since, of whatever size, is found when the folder is first opened in a process.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SEAL = "sealed.json"
"""Names a folder's files with the SHA-256 of each."""

_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

ASIDE = ".damaged"
"""What the name of a folder that was set aside ends in."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing; they are there after power loss too.

    Writing through what is in a folder does not write through the folder's own name.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        flush(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is there whole or not at all, also after power loss, and the folder it is in."""
    make_folder(path.parent)
    staged = path.with_name(f".{path.name}.staged")
    # Half characters (lone surrogates) may come from an endpoint; they are no UTF-8 and must not cost the report.
    staged.write_bytes(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
    flush(staged)
    staged.replace(path)
    flush(path.parent)


@contextmanager
def staged_directory(target: Path, *, sealed: bool = False) -> Iterator[Path]:
    """Fill the yielded folder; it is written through to disk and put in the place of `target` when the block ends.

    Whatever ends the process, `target` is absent, complete, or what it was.

    Args:
        sealed: Whether it gets a seal.
    """
    staged, old = (target.with_name(f".{target.name}.{role}") for role in ("staged", "old"))
    make_folder(target.parent)
    _remove(staged, old)
    staged.mkdir()
    try:
        yield staged
        if sealed:
            (staged / SEAL).write_text(json.dumps({"files": _hashes_below(staged)}, indent=1), "utf-8")
        for path in (*staged.rglob("*"), staged):
            flush(path)
        if target.exists():
            target.rename(old)
        staged.rename(target)
        flush(target.parent)
    finally:
        _remove(staged, old)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file, which is made; others wait. The system lets go of it for a process that is killed.

    Raises:
        BlockingIOError: another holds it, and is not to be waited for.
    """
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents, whatever folder they are in."""
    return sha256(json.dumps(sorted((path.name, hash_file(path)) for path in paths)))


def damaged_files(folder: Path, noted: Mapping[str, str] | None = None) -> list[str]:
    """Names of files that are missing or unlike the hash in the folder's seal; the seal's own where it is damaged.

    Args:
        noted: Hashes of files by name from another source: what versions noted that made no seals.
    """
    try:
        expected = dict(noted or {}) | json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        expected = dict(noted or {})
    except (OSError, ValueError, KeyError, TypeError):
        return [SEAL]
    return [name for name, digest in expected.items() if not _is_file_of(folder / name, digest)]


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a seal, be it damaged or not."""
    return (folder / SEAL).is_file()


def set_aside(folder: Path) -> Path:
    """Rename a damaged folder, so that it can be made again and looked into; one set aside earlier makes room."""
    aside = folder.with_name(f"{folder.name}{ASIDE}")
    _remove(aside)
    folder.rename(aside)
    flush(folder.parent)
    return aside


def _hashes_below(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def _is_file_of(path: Path, digest: object) -> bool:
    try:
        return hash_file(path) == digest
    except (OSError, ValueError):
        return False


def _state(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path.resolve(), stat.st_size, stat.st_mtime_ns


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def is_disk_failure(error: BaseException) -> bool:
    """Whether a disk was full or failed, which is nobody's mistake."""
    return isinstance(error, OSError) and error.errno in _DISK_FAILURES


def copy_folder(source: Path, destination: Path, *, leave_out: Sequence[str] = ()) -> None:
    """A copy of a folder and all in it, but for names that match a pattern.

    Raises:
        OSError: of the first file that could not be copied; `shutil.copytree` tells its text alone, without its number.
    """
    failed: list[OSError] = []

    def copy(file: str, to: str) -> None:
        try:
            shutil.copy2(file, to)
        except OSError as error:
            failed.append(error)
            raise

    try:
        shutil.copytree(source, destination, ignore=shutil.ignore_patterns(*leave_out), copy_function=copy)
    except shutil.Error as error:
        if failed:
            raise failed[0] from error
        raise


def flush(path: Path) -> None:
    """Write a file or a folder through to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
