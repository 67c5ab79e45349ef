"""Tuning as a provider's service on the training questions of a dataset."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from advisor.data.dataset import Example, Split
from advisor.data.prompt import question_turn, reference_text
from advisor.money.prices import load_prices
from lm.errors import ConfigError
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.store.stages.stage_key import stage_key

if TYPE_CHECKING:
    from finetune.hosted.provider import HostedJob, Provider
    from finetune.hosted.tuning import Estimate, Tuned


def _openai(url: str | None) -> "Provider":
    from finetune.hosted.openai_jobs import OpenAIJobs

    return OpenAIJobs(url) if url else OpenAIJobs()


def _azure(url: str | None) -> "Provider":
    if not url:
        raise ConfigError(
            "azure and foundry need the address of your resource: --url https://NAME.openai.azure.com/openai/v1"
        )
    return _openai(url)


def _together(url: str | None) -> "Provider":
    from finetune.hosted.together import Together

    return Together()


def _fireworks(url: str | None) -> "Provider":
    from finetune.hosted.fireworks import Fireworks

    return Fireworks()


PROVIDERS: Mapping[str, Callable[[str | None], "Provider"]] = {
    "openai": _openai,
    "azure": _azure,
    "foundry": _azure,
    "together": _together,
    "fireworks": _fireworks,
}
"""By name, what makes each, given the address that was typed."""


def tune_on_dataset(
    settings: ComparisonSettings,
    directory: DataDirectory,
    provider_name: str,
    *,
    url: str | None,
    max_spend_usd: float | None,
    delete_files: bool,
    on_estimate: Callable[["Estimate"], None],
    on_state: Callable[["HostedJob"], None],
) -> "Tuned":
    """Tune the settings' model at a provider on the questions that a local arm would be tuned on.

    Raises:
        ConfigError: there is no such provider, or the price list has no price of training for the model.
        HostedTuningError: see `finetune.hosted.tuning.tune_hosted`.
    """
    from finetune.hosted.provider import TuneRequest
    from finetune.hosted.training_file import check_training_file
    from finetune.hosted.tuning import estimate, forget_files, tune_hosted
    from service.run.workflow import load_limited_dataset

    if provider_name not in PROVIDERS:
        raise ConfigError(f"there is no provider {provider_name!r}; give one of {', '.join(PROVIDERS)}")
    provider = PROVIDERS[provider_name](url)
    model = settings.model.removeprefix("openai:")
    dataset = load_limited_dataset(settings)
    train = check_training_file(_rows(dataset.card.instruction, dataset.split(Split.TRAIN)), "train.jsonl")
    validation = None
    if watched := dataset.split(Split.VALIDATION):
        validation = check_training_file(_rows(dataset.card.instruction, watched), "validation.jsonl", min_rows=1)
    price = load_prices(settings.prices).models.get(model)
    if price is None or price.usd_per_million_training_tokens is None:
        raise ConfigError(
            f"the price list has no usd_per_million_training_tokens for {model!r}, so nothing can be estimated; add "
            f'[models."{model}"] to a price file and give it with --prices'
        )
    usd = price.usd_per_million_training_tokens
    recipe, epochs = settings.tuning, settings.epochs(dataset.card.task, "questions")
    request = TuneRequest(model, epochs, settings.seed, recipe.r, recipe.learning_rate)
    on_estimate(estimate(train, request.epochs, usd))
    key = stage_key(provider.name, url, request, train.content.decode(), (validation or train).content.decode())
    journal = directory.stage("hosted", key) / "journal.json"
    tuned = tune_hosted(
        provider,
        request,
        train,
        validation,
        journal,
        usd_per_million_tokens=usd,
        max_spend_usd=max_spend_usd,
        on_state=on_state,
    )
    if delete_files:
        forget_files(provider, journal)
    return tuned


def _rows(instruction: str, examples: tuple[Example, ...]) -> bytes:
    from finetune.hosted.training_file import chat_rows

    asked = [question_turn(instruction, example.asked) for example in examples]
    return chat_rows([([(str(t.role), t.content)], reference_text(e)) for t, e in zip(asked, examples, strict=True)])
