"""The archive of a home: a tar file of regular files, behind which a manifest gives the hash of each.

It is read to its end before anything of it is used, so that a damaged one is refused as a whole.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from lm.errors import ConfigError
from lm.files import flush, sha256

FORMAT = 1
FOLDERS = ("stages", "comparisons", "inputs")
"""Folders of a home that an archive may fill."""

DATABASE_FILES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
_MANIFEST = "manifest.json"
_MANIFEST_HASH = "manifest.sha256"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What an archive is of.

    Attributes:
        program: Version of Tuning Fork that made it.
        database: "sqlite" or "postgresql".
        revision: Of the tables.
        root: Where the home lay, as stored settings name files in it.
        created_at: ISO 8601, UTC.
        sha256: By the name of each file.
    """

    program: str
    database: str
    revision: str
    root: str
    created_at: str
    format: int = FORMAT
    sha256: Mapping[str, str] = field(default_factory=dict)


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._file.read(n_bytes)
        self.digest.update(data)
        return data


def write_archive(path: Path, manifest: Manifest, files: Iterable[tuple[str, Path]]) -> Manifest:
    """Write an archive that is there whole or not at all, and that only its owner can read.

    Args:
        files: Name within the archive, and where each is; what is gone when its turn comes is left out.
    Returns:
        The manifest with all hashes.

    Raises:
        ConfigError: there is something at `path` already, or a file changed meanwhile.
    """
    if path.exists():
        raise ConfigError(f"there is already {path}; choose another name, or move it away first")
    hashes: dict[str, str] = {}
    staged = path.with_name(f".{path.name}.staged")
    try:
        with (
            os.fdopen(os.open(staged, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, source in files:
                try:
                    file = source.open("rb")
                except FileNotFoundError:
                    continue
                with file:
                    hashing, member = _Hashing(file), tarfile.TarInfo(name)
                    member.size = os.fstat(file.fileno()).st_size
                    try:
                        archive.addfile(member, hashing)
                    except OSError as error:
                        if error.errno is not None:
                            raise
                        raise ConfigError(f"{source} became shorter while it was read; back up again") from error
                hashes[name] = hashing.digest.hexdigest()
            whole = Manifest(**{**asdict(manifest), "sha256": hashes})
            text = json.dumps(asdict(whole), indent=1).encode()
            for name, content in ((_MANIFEST, text), (_MANIFEST_HASH, sha256(text).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        flush(staged)
        staged.replace(path)
        flush(path.parent)
    finally:
        staged.unlink(missing_ok=True)
    return whole


@contextmanager
def checked_archive(path: Path) -> Iterator[tuple[Manifest, tarfile.TarFile]]:
    """An archive of which every byte was checked, to be unpacked by `unpack_archive`.

    Raises:
        ConfigError: it cannot be read, is cut short or changed, or holds what no backup holds.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            manifest = _checked(path, archive)
            yield manifest, archive
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}; give the file that `tuningfork backup` wrote") from error
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise _damaged(path, str(error)) from error


def unpack_archive(archive: tarfile.TarFile, manifest: Manifest, folder: Path) -> None:
    """Write the files of a checked archive below a folder, through to the disk."""
    for name in manifest.sha256:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(name)
        assert source is not None
        with source, target.open("wb") as out:
            while data := source.read(_CHUNK_BYTES):
                out.write(data)
        flush(target)
    for path in (*folder.rglob("*/"), folder):
        flush(path)


def _checked(path: Path, archive: tarfile.TarFile) -> Manifest:
    hashes: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    for member in archive:
        name = member.name
        if member.type != tarfile.REGTYPE or member.sparse is not None or name in hashes or not _is_ours(name):
            raise ConfigError(
                f"{path} holds {ascii(name)}, which no backup of Tuning Fork does; nothing was written. Use another "
                "backup, and find out who made this one"
            )
        file = archive.extractfile(member)
        assert file is not None
        hashing = _Hashing(file)
        while data := hashing.read(_CHUNK_BYTES):
            if name in (_MANIFEST, _MANIFEST_HASH):
                kept[name] = kept.get(name, b"") + data
        hashes[name] = hashing.digest.hexdigest()
    if _MANIFEST_HASH not in kept:
        raise _damaged(path, "it is cut short, or no backup at all")
    if kept[_MANIFEST_HASH] != hashes.pop(_MANIFEST, "").encode():
        raise _damaged(path, "its manifest was changed")
    hashes.pop(_MANIFEST_HASH)
    try:
        raw = json.loads(kept[_MANIFEST])
        if raw["format"] != FORMAT:
            raise ConfigError(f"{path} was made by another version of Tuning Fork ({raw['program']}); install that one")
        manifest = Manifest(**raw)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, "its manifest cannot be read") from error
    wrong = sorted(name for name in {*hashes, *manifest.sha256} if hashes.get(name) != manifest.sha256.get(name))
    if wrong:
        raise _damaged(path, f"{wrong[0]} is missing or was changed")
    return manifest


def _is_ours(name: str) -> bool:
    if name in (*DATABASE_FILES.values(), _MANIFEST, _MANIFEST_HASH):
        return True
    first, *rest = name.split("/")
    return first in FOLDERS and bool(rest) and not {"", ".", ".."} & set(rest)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"the backup {path} is damaged: {why}. Nothing was written; restore another one")
