"""Models and adapters that the operator offers to callers: those in one folder, each by its name there.

Callers upload none: weights are larger than any request, and what one caller brings every other one would run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lm.errors import ConfigError, LanguageModelError
from lm.local.adapter import CONFIG, read_adapter
from lm.weights.model_files import count_parameters, find_weight_files

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?")


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A folder with an adapter or a whole model.

    Attributes:
        name: The folder's, after another's where it lies in one: trainers leave `run/checkpoint-100`.
        base: Of an adapter: the model that it was trained on, as its trainer named it; "" where it did not.
        problem: Why it cannot be used, and what to do; "" where it can.
    """

    name: str
    is_adapter: bool
    parameters: int | None
    n_bytes: int | None
    base: str = ""
    problem: str = ""


def offered_folder(offered: Path | None, name: str) -> Path:
    """The folder of that name, looked at before any library opens it.

    Raises:
        ConfigError: nothing is offered, there is none of that name, or it is not safe to load.
    """
    if offered is None:
        raise ConfigError(
            f"{name!r} is no model of this service, which offers none from a folder; its operator can, with "
            "`tuningfork serve --models DIR`"
        )
    folder = offered / name
    if not _NAME.fullmatch(name) or not _holds_model(folder):
        raise ConfigError(
            f"the service offers no model or adapter {name!r}; GET /v1/base-models lists those that it does"
        )
    found = _look_at(name, folder)
    if found.problem:
        raise ConfigError(found.problem)
    return folder.resolve()


def offered_models(offered: Path | None) -> list[OfferedModel]:
    """What the folder holds, by name."""
    return [_look_at(name, folder) for name, folder in _folders(offered)] if offered is not None else []


def _folders(offered: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted(path for pattern in ("*", "*/*") for path in offered.glob(pattern)):
        name = folder.relative_to(offered).as_posix()
        if _NAME.fullmatch(name) and _holds_model(folder):
            yield name, folder


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG, "config.json"))


def _look_at(name: str, folder: Path) -> OfferedModel:
    is_adapter, base = (folder / CONFIG).is_file(), ""
    try:
        if is_adapter:
            adapter = read_adapter(folder)
            files: tuple[Path, ...] = (adapter.weights,)
            base = adapter.base
        else:
            files = find_weight_files(folder)
        return OfferedModel(
            name, is_adapter, count_parameters(files), sum(file.stat().st_size for file in files), Path(base).name
        )
    except LanguageModelError as error:
        # Callers need not know where the operator's files are.
        return OfferedModel(name, is_adapter, None, None, problem=str(error).replace(str(folder), repr(name)))
