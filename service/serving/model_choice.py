"""Models that a comparison can be started with here: what is on this machine, what the catalogue lists, endpoints."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from advisor.money.catalogue import load_catalogue
from advisor.money.prices import load_prices
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.run.remote_settings import OFFERED
from service.safety.offered_models import offered_models
from service.serving.model_trial import model_facts

_OPENAI = "gpt-"
"""How the names of models begin that OpenAI's own address answers."""


class ModelPlace(StrEnum):
    """Where a model is."""

    EMBEDDED = "embedded"
    FOLDER = "folder"
    ADAPTER = "adapter"
    HUB = "hub"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One of them.

    Attributes:
        spec: What a request names it by; of an adapter the name after `adapter:`.
        is_ready: Whether it can be asked now: its weights are here, or its endpoint has the key that it needs.
        parameters: As counted here, else as the catalogue has it. n_bytes: of weights here.
        message: What it is, and what is missing.
    """

    spec: str
    place: ModelPlace
    is_ready: bool
    parameters: int | None
    n_bytes: int | None
    message: str


def model_choices(offered: Path | None) -> list[ModelChoice]:
    """All of them, those on this machine first; nothing is loaded, asked or downloaded.

    Args:
        offered: Folder whose models and adapters callers may name.
    """
    return [_of_spec(EMBEDDED_MODEL, ModelPlace.EMBEDDED), *_offered(offered), *_of_hub(), *_of_endpoints()]


def _of_spec(spec: str, place: ModelPlace, parameters: int | None = None) -> ModelChoice:
    facts = model_facts(spec)
    return ModelChoice(spec, place, facts.is_ready, facts.parameters or parameters, facts.n_bytes, facts.message)


def _offered(offered: Path | None) -> list[ModelChoice]:
    choices = []
    for one in offered_models(offered):
        place = ModelPlace.ADAPTER if one.is_adapter else ModelPlace.FOLDER
        of_base = f"an adapter of {one.base}" if one.base else "an adapter"
        message = one.problem or (of_base if one.is_adapter else "a folder of the service")
        spec = one.name if one.is_adapter else f"{OFFERED}{one.name}"
        choices.append(ModelChoice(spec, place, not one.problem, one.parameters, one.n_bytes, message))
    return choices


def _of_hub() -> list[ModelChoice]:
    listed = [one for one in load_catalogue(load_prices()) if one.hub_id]
    found = [_of_spec(f"hf:{one.hub_id}", ModelPlace.HUB, one.parameters) for one in listed]
    return sorted(found, key=lambda one: (not one.is_ready, one.parameters or 0))


def _of_endpoints() -> list[ModelChoice]:
    names = sorted(name for name in load_prices().models if name.startswith(_OPENAI))
    return [_of_spec(f"openai:{name}", ModelPlace.ENDPOINT) for name in names]
