"""The files of a local model: where they are, whether they are safe to load, what they hash to. Needs no torch."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError

PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Endings of weight files that run code when they are opened; they are never opened."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SNAPSHOT_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_SNAPSHOT_EXCLUDED = ["*/*", "consolidated*"]


def locate_model(name_or_path: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> Path:
    """The folder of a model: a local path as it is, a hub id through the hub's cache (fetched when online).

    What starts with `.`, `/` or `~`, or exists, is a path; `name` and `org/name` are hub ids. A path is never asked of
    the hub, so a typing mistake gives an answer at once and sends nothing anywhere.

    Raises:
        LanguageModelError: the folder is missing, or the hub id is neither cached nor to be had.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if isinstance(name_or_path, Path) or text.startswith((".", "/", "~")) or path.exists():
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise LanguageModelError(
                f"the model folder {path} {what}; give the folder that holds config.json and model.safetensors"
            )
        if not (path / "config.json").is_file():
            what = told_below(path) or "give the folder of a saved model"
            raise LanguageModelError(f"the folder {path} holds no config.json, so it is no model; {what}")
        return path
    if not _HUB_ID.fullmatch(text):
        raise LanguageModelError(f"{text!r} is neither an existing folder nor a hub id like `org/name`")
    return _locate_on_hub(text, revision, trust_remote_code)


def told_below(folder: Path) -> str:
    """Which folders in this one hold a model or an adapter, as in the folder of a training run; "" where none does."""
    saved = [*folder.glob("*/adapter_config.json"), *folder.glob("*/config.json")]
    below = sorted({file.parent.name for file in saved})
    return f"give one of the folders in it: {', '.join(below)}" if below else ""


def find_cached_model(name_or_path: str) -> Path | None:
    """The folder of a model that is here already, None for one that is not; the hub is not asked.

    Raises:
        LanguageModelError: a path leads to no model.
    """
    if not _HUB_ID.fullmatch(name_or_path) or Path(name_or_path).exists():
        return locate_model(name_or_path)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name_or_path, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _locate_on_hub(hub_id: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    patterns = [*_SNAPSHOT_PATTERNS, "*.py"] if trust_remote_code else _SNAPSHOT_PATTERNS
    try:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=_SNAPSHOT_EXCLUDED)
        )
    except Exception as error:
        # Other tools cache fewer files than a whole snapshot; what is needed is checked when it is loaded.
        config = try_to_load_from_cache(hub_id, "config.json", revision=revision)
        if isinstance(config, str):
            return Path(config).parent
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LanguageModelError(
            f"the model {hub_id!r} is not in the local cache and could not be fetched ({reason}); check the id, fetch "
            f"it while online with `hf download {hub_id}` (without HF_HUB_OFFLINE), or give the path of a local folder"
        ) from error


def find_weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model folder: one file, or every shard its index names.

    Raises:
        LanguageModelError: there are only pickled weights, none at all, or a shard is missing.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if index.is_file():
        try:
            shards = sorted({folder / name for name in json.loads(index.read_text())["weight_map"].values()})
        except (ValueError, KeyError, AttributeError) as error:
            raise LanguageModelError(f"{index} is no valid shard index; fetch the model again") from error
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise LanguageModelError(
                f"{folder} lacks {len(missing)} of {len(shards)} weight files, {missing[0]} first; fetch the model "
                "again"
            )
        return tuple(shards)
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
    if pickled:
        raise LanguageModelError(
            f"{folder} holds only pickled weights ({pickled[0]}), which can run code when loaded and are refused; "
            "convert them to safetensors first"
        )
    raise LanguageModelError(f"{folder} holds no model.safetensors; only safetensors weights are loaded")


def read_tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a safetensors file, read from its header alone.

    Raises:
        LanguageModelError: the file is damaged.
    """
    try:
        with path.open("rb") as file:
            n_bytes = int.from_bytes(file.read(8), "little")
            if n_bytes > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(n_bytes))
        return {name: tuple(row["shape"]) for name, row in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LanguageModelError(f"{path} is no valid safetensors file; fetch or train it again") from error


def count_parameters(weight_files: Iterable[Path]) -> int:
    """Numbers stored in the files; tied weights are stored, and counted, once."""
    return sum(math.prod(shape) for path in weight_files for shape in read_tensor_shapes(path).values())
