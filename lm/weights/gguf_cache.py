"""GGUF files as folders of safetensors in the user's cache: dequantised once, then loaded like any other model.

A folder is named by the hash of its GGUF file, `CACHE_FORMAT` and the major version of transformers. It is written
beside its place and renamed into it, with `MARKER` inside, which names every file with its size and hash.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError
from lm.files import hash_file, locked, remember_hash, staged_directory
from lm.weights.gguf_file import read_gguf

CACHE_FORMAT = 1
"""Raised when what a GGUF file becomes here changes, so that older folders are no longer used."""

MARKER = "converted.json"


def cache_folder() -> Path:
    """`TUNING_FORK_CACHE`, else `tuning-fork` in `XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("TUNING_FORK_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "tuning-fork"


def gguf_identity(gguf_file: Path) -> str:
    """What tells the converted model from others: the file's hash and what converts it. Nothing is converted.

    Raises:
        LanguageModelError: the file cannot be read.
    """
    try:
        sha256 = hash_file(gguf_file)
    except OSError as error:
        raise LanguageModelError(
            f"the GGUF file {gguf_file} cannot be read: {error.strerror}; give the path of a file that ends in .gguf"
        ) from error
    return f"{sha256}-{CACHE_FORMAT}-transformers{version('transformers').partition('.')[0]}"


def locate_converted(gguf_file: Path) -> Path:
    """The folder that holds a GGUF file's model as float32 safetensors; made by one process while others wait.

    A folder that is not as its marker says is made again.

    Raises:
        LanguageModelError: the file cannot be read or loaded, or the cache folder not be written.
    """
    folder = cache_folder() / "models" / gguf_identity(gguf_file)
    if _is_whole(folder):
        return folder
    with _writing():
        folder.parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / ".lock").touch()
    # One process at a time converts.
    with locked(folder.parent / ".lock"):
        if not _is_whole(folder):
            module, tokenizer = read_gguf(gguf_file)
            with _writing():
                _write(folder, module, tokenizer)
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every file is as the marker says. Files of the same size and time as when written are not read again."""
    try:
        marker: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        for name, written in marker["files"].items():
            path = folder / name
            stat = path.stat()
            if stat.st_size != written["bytes"]:
                return False
            if stat.st_mtime_ns == written["modified_ns"]:
                remember_hash(path, written["sha256"])
            elif hash_file(path) != written["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(marker["files"])


def _write(folder: Path, module: Any, tokenizer: Any) -> None:
    with staged_directory(folder) as staged:
        module.save_pretrained(staged)
        tokenizer.save_pretrained(staged)
        for path in staged.iterdir():
            # safetensors lets only the owner read; a cache may be shared.
            shutil.copymode(staged / "config.json", path)
        files = {path.name: _describe(path) for path in sorted(staged.iterdir())}
        (staged / MARKER).write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")


def _describe(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": hash_file(path)}


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # A full disk is an OSError here and an error of its own where safetensors writes.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LanguageModelError(
            f"the cache folder {cache_folder()} cannot be written: {reason}; name another one with TUNING_FORK_CACHE "
            "(a model takes four bytes a parameter there)"
        ) from error
