"""GGUF files as folders of safetensors in the user's cache: dequantised once, then loaded like any other model.

A folder is named by the hash of its GGUF file, `CACHE_FORMAT` and the major version of transformers. It is written
beside its place and renamed into it, sealed: a file that was damaged since is found at the first opening in a process.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError
from lm.files import damaged_files, hash_file, is_sealed, locked, staged_directory
from lm.weights.gguf_file import read_gguf

CACHE_FORMAT = 1
"""Raised when what a GGUF file becomes here changes, so that older folders are no longer used."""

_LOG = logging.getLogger("tuning_fork.lm")


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

    A folder that is not as its seal says is made again.

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
    if not is_sealed(folder):
        return False
    if damaged := damaged_files(folder):
        _LOG.warning("%s is damaged (%s) and is made again from its GGUF file", folder, ", ".join(damaged))
    return not damaged


def _write(folder: Path, module: Any, tokenizer: Any) -> None:
    with staged_directory(folder, sealed=True) as staged:
        module.save_pretrained(staged)
        tokenizer.save_pretrained(staged)
        for path in staged.iterdir():
            # safetensors lets only the owner read; a cache may be shared.
            shutil.copymode(staged / "config.json", path)


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
