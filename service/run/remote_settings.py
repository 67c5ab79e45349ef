"""What a caller of the API may set: checked here, made into the settings of a comparison where it is run."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from advisor.advice.questionnaire import check_answers
from advisor.arms import parse_arms
from advisor.money.prices import load_prices, read_prices
from lm.errors import ConfigError
from lm.files import sha256, write_whole
from lm.setting import read_settings
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.contract.schemas import ComparisonRequest
from service.contract.settings import BUILTIN_EMBEDDERS, resolve
from service.run.settings import ComparisonSettings
from service.safety.endpoint_guard import EndpointGuard
from service.store.bundled_datasets import bundled_datasets
from service.store.comparisons.comparison_store import SENT_FILES
from service.store.data_directory import DataDirectory
from service.store.dataset_store import dataset_folder

PRICE_LIST, PRIOR_ANSWERS = SENT_FILES
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", flags=re.ASCII)
_NOT_SETTINGS = {"name", "prices", "prior"}


def check_request(request: ComparisonRequest, guard: EndpointGuard) -> dict[str, Any]:
    """The settings as they are stored: `ComparisonSettings.to_json`, a price list and answers in place of files.

    Raises:
        ConfigError: a value is wrong, a model is one of the server's own files or an address that is not reached.
    """
    for field, spec, builtin in (
        ("model", request.model, (EMBEDDED_MODEL,)),
        ("judge", request.judge, (EMBEDDED_MODEL,)),
        ("embedder", request.embedder, BUILTIN_EMBEDDERS),
        ("reranker", request.reranker, ()),
    ):
        if spec is not None:
            check_spec(field, spec, builtin, guard)
    for arm in parse_arms(request.arms):
        if arm.row.source in ("FILE", "PATH"):
            raise ConfigError(f"{arm.id} names a file of the server; compare it with `tuningfork compare`")
        if arm.source:
            guard.check_url(arm.source)
        if arm.model and arm.row.generates:
            check_spec(f"the model of {arm.id}", arm.model, EMBEDDED_MODEL, guard)
    given = resolve(request.model_dump(exclude_unset=True, exclude=_NOT_SETTINGS))
    settings = read_settings(ComparisonSettings, given)
    prices = read_prices(request.prices, "prices") if request.prices is not None else load_prices()
    prices.on_machine(request.machine)
    if request.prior is not None:
        check_answers(request.prior, "prior")
    return settings.to_json() | {PRICE_LIST: request.prices, PRIOR_ANSWERS: request.prior}


def sent_settings(request: ComparisonRequest) -> dict[str, Any]:
    """What a caller sent, as plain data, by today's names and without the defaults of what was left out."""
    sent = request.model_dump(mode="json", exclude_unset=True)
    older = sent.pop("pipelines", None)
    return sent if older is None else {"arms": older, **sent}


def job_settings(
    engine: Engine, directory: DataDirectory, dataset: str, stored: Mapping[str, Any]
) -> ComparisonSettings:
    """The settings of a stored comparison, with its dataset and files written where this machine finds them.

    Args:
        dataset: Name or version.
        stored: As `check_request` or `keep_inputs` gave them.

    Raises:
        DatasetNotFoundError: the dataset is gone.
    """
    raw = dict(stored)
    if dataset not in bundled_datasets():
        raw["dataset"] = str(dataset_folder(engine, directory, dataset))
    raw["prices"] = _written(directory, raw.get(PRICE_LIST)) or raw.get("prices")
    raw["prior"] = _written(directory, raw.get(PRIOR_ANSWERS)) or raw.get("prior")
    return ComparisonSettings.from_json(raw)


def keep_inputs(settings: ComparisonSettings, directory: DataDirectory) -> dict[str, Any]:
    """The settings as they are stored, with copies of the files that they name: the user's own may change.

    Raises:
        ConfigError: a file cannot be read.
    """
    raw = settings.to_json()
    for name in ("prices", "prior", "launch_config"):
        if (path := getattr(settings, name)) is not None:
            raw[name] = str(_copied(directory, path))
    if settings.tensorboard is not None:
        raw["tensorboard"] = str(settings.tensorboard.expanduser().resolve())
    kept = [
        replace(arm, source=str(_copied(directory, Path(arm.source)))) if arm.row.source == "FILE" else arm
        for arm in settings.arm_specs
    ]
    return raw | {"arms": [str(arm) for arm in kept]}


def _copied(directory: DataDirectory, path: Path) -> Path:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    copy = directory.root / "inputs" / f"{sha256(text)}{path.suffix.lower()}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_whole(copy, text)
    return copy


def _written(directory: DataDirectory, value: Mapping[str, Any] | None) -> str | None:
    """A file with that content, named by it."""
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True)
    path = directory.root / "inputs" / f"{sha256(text)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return str(path)


def check_spec(field: str, spec: str, builtin: Sequence[str], guard: EndpointGuard) -> None:
    """Refuse a model that a caller of the API may not name.

    Args:
        builtin: Those that need no more than their name.

    Raises:
        ConfigError: it is one of the server's own files, or at an address that is not reached.
    """
    scheme, _, rest = spec.partition(":")
    if spec in builtin:
        return
    if scheme == "hf":
        # A name that is also a folder here would be read from there.
        if not _HUB_NAME.fullmatch(rest) or Path(rest).exists():
            raise ConfigError(f"{field} is {spec!r}; give hf:NAME or hf:ORG/NAME of the hub, not a path of the server")
    elif scheme == "openai" and rest:
        if not rest.partition("@")[0]:
            raise ConfigError(f"{field} is {spec!r}, which names no model; give openai:MODEL or openai:MODEL@URL")
        guard.check_spec(spec)
    else:
        names = ", ".join((*builtin, "hf:NAME of the hub"))
        raise ConfigError(f"{field} is {spec!r}; give {names}, or openai:MODEL[@URL]")
