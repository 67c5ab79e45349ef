"""Tuning as a provider's service on the training questions of a dataset."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from advisor.data.dataset import Dataset, Example, Split
from advisor.data.prompt import question_turn, reference_text
from advisor.money.prices import load_prices, priced_name, tuned_name
from lm.errors import ConfigError
from lm.files import sha256, write_whole
from lm.registry import is_tunable
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.store.stages.stage_key import stage_key

if TYPE_CHECKING:
    from finetune.hosted.provider import HostedJob, Provider
    from finetune.hosted.tuning import Estimate, Tuned


RECORD = "tuned.json"
"""Beside the journal of a tuning: what it made, by which a comparison finds it."""
ANSWERING: Mapping[str, str] = {
    "together": "https://api.together.ai/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
}
"""Where models are asked, of providers that tune at another address."""


@dataclass(frozen=True, slots=True)
class ProviderTuning:
    """A model that was tuned at its provider.

    Attributes:
        base, model: The provider's names before and after; url: where both are asked, None at OpenAI.
        rows: SHA-256 of the training rows.
        trained_tokens: As billed; None where the provider does not tell.
    """

    base: str
    url: str | None
    rows: str
    epochs: int
    seed: int
    model: str
    trained_tokens: int | None

    @property
    def spec(self) -> str:
        """By which the tuned model is loaded."""
        return f"openai:{self.model}" + (f"@{self.url}" if self.url else "")


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
    listed = load_prices(settings.prices).models
    price = listed.get(tuned_name(model)) or listed.get(model)
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
    at = ANSWERING.get(provider_name, url)
    found = ProviderTuning(
        model, at, sha256(train.content.decode()), epochs, settings.seed, tuned.model, tuned.trained_tokens
    )
    write_whole(journal.parent / RECORD, json.dumps(asdict(found)))
    return tuned


def can_be_tuned(directory: DataDirectory, spec: str) -> bool:
    """Whether there are weights here to tune, or the model was tuned at its provider."""
    return is_tunable(spec) or was_tuned(directory, spec)


def was_tuned(directory: DataDirectory, spec: str) -> bool:
    """Whether the model was tuned at its provider by `tuningfork tune`."""
    return bool(_tunings(directory, spec))


def find_tuning(settings: ComparisonSettings, directory: DataDirectory, spec: str, dataset: Dataset) -> ProviderTuning:
    """The tuning of a hosted model on the training questions of a dataset, limits applied.

    Raises:
        ConfigError: there is none, or several and none by these settings.
    """
    rows = sha256(_rows(dataset.card.instruction, dataset.split(Split.TRAIN)).decode())
    found = [one for one in _tunings(directory, spec) if one.rows == rows]
    epochs = settings.epochs(dataset.card.task, "questions")
    asked = [one for one in found if (one.epochs, one.seed) == (epochs, settings.seed)]
    if len(asked or found) == 1:
        return (asked or found)[0]
    name = priced_name(spec)
    if found:
        known = " or ".join(f"--max-epochs {one.epochs} --seed {one.seed}" for one in found)
        raise ConfigError(f"{name} was tuned {len(found)} times on these questions; choose by {known}")
    raise ConfigError(
        f"{name} is not tuned on these {len(dataset.split(Split.TRAIN))} training questions; `tuningfork tune "
        f"{settings.dataset} --provider … --model {name} --max-spend-usd USD` does that, then compare again"
    )


def tuning_records(directory: DataDirectory) -> dict[str, str]:
    """What was noted of all tunings, by its path below the directory."""
    noted = sorted((directory.root / "stages" / "hosted").glob(f"*/{RECORD}"))
    return {path.relative_to(directory.root).as_posix(): path.read_text(encoding="utf-8") for path in noted}


def _tunings(directory: DataDirectory, spec: str) -> list[ProviderTuning]:
    if not spec.startswith("openai:"):
        return []
    name, _, url = spec.removeprefix("openai:").partition("@")
    read = [ProviderTuning(**json.loads(text)) for text in tuning_records(directory).values()]
    return [one for one in read if (one.base, one.url or "") == (name, url.rstrip("/"))]


def _rows(instruction: str, examples: tuple[Example, ...]) -> bytes:
    from finetune.hosted.training_file import chat_rows

    asked = [question_turn(instruction, example.asked) for example in examples]
    return chat_rows([([(str(t.role), t.content)], reference_text(e)) for t, e in zip(asked, examples, strict=True)])
