"""The base model of a finished comparison: as its settings name it, or a folder in its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from advisor.results.comparison import Comparison
from lm.errors import ConfigError
from lm.language_model import LanguageModel
from lm.model_identity import model_identity
from lm.registry import RetiredModelError, parse_spec
from service.run.settings import ComparisonSettings


def with_base_model(settings: ComparisonSettings, folder: Path | None) -> ComparisonSettings:
    """Settings whose model can be loaded: the one in a folder, if one is given.

    Raises:
        ConfigError: no folder is given, and the model no longer comes with the program.
    """
    if folder is not None:
        return replace(settings, model=f"hf:{folder.expanduser().resolve()}", revision=None)
    try:
        parse_spec(settings.model)
    except RetiredModelError as error:
        raise ConfigError(
            f"the base model is no longer shipped; give `--base-model DIR`, a folder with a copy of {settings.model!r}"
        ) from error
    return settings


def models_identity(settings: ComparisonSettings, identify: Callable[[str, str | None], str]) -> str:
    """What tells the models of a comparison from others: a line for each, in the order of `settings.models`.

    Args:
        identify: Identity of a model by its spec and revision (`lm.model_identity`).
    """
    each = [settings.with_model(model) for model in settings.models]
    return "\n".join(identify(one.model, one.revision) for one in each)


def is_measured_model(settings: ComparisonSettings, identity: str | None, model: str | None = None) -> bool:
    """Whether the files of a model, or its endpoint, are those that a comparison was measured with.

    Libraries, the number type and the kind of device may be others: answers then differ by rounding alone.

    Args:
        identity: As the comparison's decision has it (`models_identity`); None where there is none.
        model: One of its models; its first if not given.
    """
    if identity is None:
        return False
    model = model or settings.main_model
    known = dict(zip(settings.models, identity.split("\n"), strict=False))
    one = settings.with_model(model)
    return model_identity(one.model, one.revision) == known.get(model)


def check_base_model(
    model: LanguageModel, spec: str, settings: ComparisonSettings, comparison: Comparison, identity: str | None
) -> None:
    """Refuse a model that is not the one measured, before anything is built of it.

    Args:
        spec: As the settings name it.

    Raises:
        ConfigError: weights or tokenizer are others.
    """
    measured = comparison.hashes.get("model" if spec == settings.main_model else f"model {spec}")
    if model.fingerprint != measured and not is_measured_model(settings, identity, spec):
        raise ConfigError(
            f"{model.name} is not the model that the comparison {comparison.id} was measured with: its weights or "
            "tokenizer are others; give `--base-model DIR` with the files of that model, or compare again"
        )
