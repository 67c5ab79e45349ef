"""`tuningfork tune`: tuning as a provider's service, on the training questions of a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lm.errors import ConfigError
from service.cli.options import DatasetArgument, Home
from service.cli.terminal import show
from service.run.hosted_tuning import ANSWERING, PROVIDERS, tune_on_dataset
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from finetune.hosted.provider import HostedJob


def tune(
    dataset: DatasetArgument,
    provider: Annotated[str, typer.Option(metavar="PROVIDER", help=f"{', '.join(PROVIDERS)}.", show_default=False)],
    model: Annotated[str, typer.Option(help="The provider's name of the base model.", show_default=False)],
    max_spend_usd: Annotated[
        float | None,
        typer.Option(
            min=0, help="Most that the tuning may cost; without it only the estimate is shown.", show_default=False
        ),
    ] = None,
    epochs: Annotated[int, typer.Option("--max-epochs", min=1, max=50, help="Passes over the questions.")] = 3,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of the resource, up to /v1, for azure and foundry.", show_default=False),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price list with the model's price of training.", show_default=False)
    ] = None,
    train_limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of training questions.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the provider's training.")] = 0,
    delete_files: Annotated[bool, typer.Option("--delete-files", help="Delete the uploaded rows at the end.")] = False,
    home: Home = None,
) -> None:
    """Tune a hosted model on a dataset's questions.

    The files are checked, the cost is estimated, one job is started and watched. If interrupted, run the same command
    to go on with that job: it is never started twice.
    """
    settings = ComparisonSettings(
        dataset, model=f"openai:{model}", prices=prices, train_limit=train_limit, seed=seed, max_epochs=epochs
    )
    tuned = tune_on_dataset(
        settings,
        DataDirectory.from_environment(home),
        provider,
        url=url,
        max_spend_usd=max_spend_usd,
        delete_files=delete_files,
        on_estimate=lambda cost: show(f"It costs about ${cost.likely_usd:.2f}, and at most ${cost.most_usd:.2f}."),
        on_state=_tell,
    )
    spent = f" It cost ${tuned.usd:.2f} ({tuned.trained_tokens} tokens)." if tuned.usd is not None else ""
    show(f"Tuned: {tuned.model}, by job {tuned.job_id}.{spent}")
    if tuned.refusal:
        raise ConfigError(f"{tuned.model} does not answer yet: {tuned.refusal}")
    base = f"openai:{model}@{at}" if (at := ANSWERING.get(provider, url)) else f"openai:{model}"
    limit = f" --train-limit {train_limit}" if train_limit else ""
    show(f"Compare it with its base: tuningfork compare {dataset} --model '{base}' --arms base,fine-tuned{limit}")


def _tell(job: "HostedJob") -> None:
    show(f"{job.id}: {job.state} ({job.detail})")
