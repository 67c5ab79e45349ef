"""The base model of a finished comparison: as its settings name it, or a folder in its place."""

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


def is_measured_model(settings: ComparisonSettings, identity: str | None) -> bool:
    """Whether the files of a model, or its endpoint, are those that a comparison was measured with.

    Libraries, the number type and the kind of device may be others: answers then differ by rounding alone.

    Args:
        identity: As the comparison's decision has it; None where there is none.
    """
    if identity is None:
        return False
    return model_identity(settings.model, settings.revision) == identity


def check_base_model(
    model: LanguageModel, settings: ComparisonSettings, comparison: Comparison, identity: str | None
) -> None:
    """Refuse a model that is not the one measured, before anything is built of it.

    Raises:
        ConfigError: weights or tokenizer are others.
    """
    if model.fingerprint != comparison.hashes.get("model") and not is_measured_model(settings, identity):
        raise ConfigError(
            f"{model.name} is not the model that the comparison {comparison.id} was measured with: its weights or "
            "tokenizer are others; give `--base-model DIR` with the files of that model, or compare again"
        )
