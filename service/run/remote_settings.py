"""What a caller of the API may set: checked, and made into settings as they are stored."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from advisor.advice.questionnaire import check_answers
from advisor.arms import ArmSpec
from advisor.data.dataset import Split
from advisor.data.files import load_dataset
from advisor.data.prompt_template import parse_prompt_template
from advisor.data.splitting import limit_dataset
from advisor.money.prices import load_prices, read_prices
from advisor.results.answer_file import parse_answers
from lm.errors import ConfigError
from lm.registry import RETIRED
from lm.setting import read_settings
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.contract.schemas import ComparisonRequest
from service.contract.settings import BUILTIN_EMBEDDERS, resolve
from service.run.settings import ComparisonSettings
from service.run.spending import check_budget
from service.safety.allowed_models import AllowedModels
from service.safety.endpoint_guard import EndpointGuard
from service.safety.offered_models import offered_folder
from service.store.bundled_datasets import bundled_datasets
from service.store.comparisons.comparison_store import ARM_FILES, PRICE_LIST, PRIOR_ANSWERS
from service.store.data_directory import DataDirectory
from service.store.dataset_store import dataset_folder
from service.store.key_budget import KeyBudget

OFFERED = "folder:"
"""Before the name of a model or adapter in the folder that the operator offers."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", flags=re.ASCII)
_NOT_SETTINGS = {"name", "prices", "prior", "files"}


def check_request(
    request: ComparisonRequest, guard: EndpointGuard, allowed: AllowedModels, budget: KeyBudget | None = None
) -> dict[str, Any]:
    """The settings as they are stored: `ComparisonSettings.to_json`, and what a caller sent in place of files.

    Args:
        allowed: What the caller may name.
        budget: Of the key that is to pay.

    Raises:
        KeySpentError: the key may spend no more.
        ConfigError: a value is wrong, a model is one of the server's own files or an address that is not reached, or
            an arm's file was not sent.
    """
    settings = read_settings(ComparisonSettings, resolve(request.model_dump(exclude_unset=True, exclude=_NOT_SETTINGS)))
    for field, spec, builtin in (
        ("judge", settings.judge, (EMBEDDED_MODEL,)),
        ("embedder", settings.embedder, BUILTIN_EMBEDDERS),
        ("reranker", settings.reranker, ()),
    ):
        if spec is not None:
            check_spec(field, spec, builtin, guard, allowed)
    files = request.files or {}
    arms = [_checked_arm(arm, files, guard, allowed) for arm in settings.arm_specs]
    if spare := sorted(set(files) - {arm.source for arm in arms}):
        raise ConfigError(f"files has {spare[0]!r}, which no arm reads; name it in one, as in answers:{spare[0]}")
    model = checked_model("model", settings.model, guard, allowed)
    settings = replace(settings, model=model, arms=tuple(map(str, arms)))
    prices = read_prices(request.prices, "prices") if request.prices is not None else load_prices()
    check_budget(settings, prices.on_machine(request.machine), budget)
    if request.prior is not None:
        check_answers(request.prior, "prior")
    return settings.to_json() | {PRICE_LIST: request.prices, PRIOR_ANSWERS: request.prior, ARM_FILES: files or None}


def _checked_arm(arm: ArmSpec, files: Mapping[str, str], guard: EndpointGuard, allowed: AllowedModels) -> ArmSpec:
    """The arm, with paths for names of what the operator offers."""
    source = arm.source
    if arm.row.source == "FILE" and source not in files:
        raise ConfigError(f"{arm.id} reads {source!r}, which was not sent; send its text in files, under that name")
    if arm.row.source == "PATH":
        source = str(offered_folder(allowed.folder, source.removeprefix(OFFERED)))
    if arm.row.source == "URL":
        guard.check_url(source)
        allowed.check(arm.id, f"{arm.kind}:{source}", guard)
    is_model = arm.model and arm.row.generates
    model = checked_model(f"the model of {arm.id}", arm.model, guard, allowed) if is_model else arm.model
    return replace(arm, source=source, model=model)


def checked_model(field: str, spec: str, guard: EndpointGuard, allowed: AllowedModels) -> str:
    """The model as it is loaded here.

    Raises:
        ConfigError: a caller may not name it.
    """
    if spec.startswith(OFFERED):
        return f"hf:{offered_folder(allowed.folder, spec.removeprefix(OFFERED))}"
    check_spec(field, spec, (EMBEDDED_MODEL,), guard, allowed)
    return spec


def check_stored_models(stored: Mapping[str, Any], allowed: AllowedModels, arm_id: str | None = None) -> None:
    """Refuse what a comparison would load or ask that callers may not name: lists change after it was made.

    Args:
        stored: Its settings. arm_id: The one arm that is to be asked; None where all of it is to be run.

    Raises:
        ModelNotAllowedError: with what is allowed.
    """
    settings = ComparisonSettings.from_json({"dataset": ""} | dict(stored))
    arms = [arm for arm in settings.arm_specs if arm_id in (None, arm.id)]
    named = {f"the model of {arm.id}": settings.model_of(arm) for arm in arms if arm.row.generates}
    named |= {arm.id: f"{arm.kind}:{arm.source}" for arm in arms if arm.row.source in ("URL", "PATH")}
    if any(arm.row.retrieves or arm.row.embeds_questions or arm.kind == "prompt" for arm in arms):
        named |= {"the embedder": settings.embedder, "the reranker": settings.reranker or ""}
    if arm_id is None:
        named["the judge"] = settings.judge or ""
    check_named_models(named, allowed)


def check_named_models(named: Mapping[str, str], allowed: AllowedModels) -> None:
    """Refuse stored specs, by what they are of, that callers may not name.

    Raises:
        ModelNotAllowedError: with what is allowed.
    """
    guard = EndpointGuard()
    for field, spec in named.items():
        if spec and spec not in (EMBEDDED_MODEL, *BUILTIN_EMBEDDERS, *RETIRED) and not allowed.offers(spec):
            allowed.check(field, spec, guard)


def check_sent_files(engine: Engine, directory: DataDirectory, dataset: str, settings: Mapping[str, Any]) -> None:
    """Refuse files of arms that do not fit the dataset.

    Args:
        dataset: Name or version. settings: As `check_request` gives them.

    Raises:
        ConfigError: a prompt is wrong. EvaluationError: names each line of answers that is wrong, and what is missing.
    """
    files = settings.get(ARM_FILES) or {}
    if not files:
        return
    is_bundled = dataset in bundled_datasets()
    folder = dataset if is_bundled else str(dataset_folder(engine, directory, dataset))
    wanted = ComparisonSettings.from_json({**settings, "dataset": folder})
    whole = load_dataset(wanted.dataset_folder, seed=wanted.seed)
    limited = limit_dataset(
        whole, limit=wanted.limit, train_limit=wanted.train_limit, coverage=wanted.coverage, seed=wanted.seed
    )
    known, asked = {e.id for e in whole.examples}, [e.id for e in limited.split(Split.TEST)]
    for arm in wanted.arm_specs:
        if arm.kind == "prompt":
            parse_prompt_template(files[arm.source], arm.source)
        elif arm.kind == "answers":
            parse_answers(files[arm.source], arm.source, known, asked)


def sent_settings(request: ComparisonRequest) -> dict[str, Any]:
    """What a caller sent, as plain data by today's names."""
    sent = request.sent()
    older = sent.pop("pipelines", None)
    return sent if older is None else {"arms": older, **sent}


def check_spec(field: str, spec: str, builtin: Sequence[str], guard: EndpointGuard, allowed: AllowedModels) -> None:
    """Refuse a model that a caller of the API may not name.

    Args:
        builtin: Those that need no more than their name.

    Raises:
        ConfigError: it is one of the server's own files, or at an address that is not reached.
        ModelNotAllowedError: the operator does not let callers name it.
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
    allowed.check(field, spec, guard)
