"""`tuningfork datasets`: those that come with the program; stored ones are erased here."""

from typing import Annotated

import typer
from rich.table import Table

from lm.errors import ConfigError
from service.cli.options import Home, Workspace
from service.cli.terminal import plain_console, show
from service.contract.scope import DEFAULT_WORKSPACE
from service.store.bundled_datasets import BUNDLED_DATASETS, bundled_datasets
from service.store.data_directory import DataDirectory, ServiceHoldsError

datasets = typer.Typer(
    name="datasets", help="List the bundled datasets; erase stored ones.", invoke_without_command=True
)


@datasets.callback()
def list_bundled(context: typer.Context) -> None:
    """List the bundled datasets; erase stored ones."""
    if context.invoked_subcommand is not None:
        return
    from advisor.data.files import load_dataset

    table = Table("dataset", "task", "documents", "questions", "licence")
    for name in bundled_datasets():
        loaded = load_dataset(BUNDLED_DATASETS / name)
        counts = (str(len(loaded.documents)), str(len(loaded.examples)))
        table.add_row(name, loaded.card.task, *counts, loaded.card.licence)
    plain_console().print(table)


@datasets.command()
def erase(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of a stored dataset, all its versions; or one version.", show_default=False
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Otherwise only tells what would go.")] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    home: Home = None,
) -> None:
    """Erase a stored dataset with everything that was made of it.

    Versions, comparisons, answers, reports, labels, votes, links, indexes, adapters, baselines, deployments and logs,
    frozen or not; the database's files are written anew, so that no freed page holds any of it. It cannot be undone.
    """
    from service.store.comparisons.comparison_store import list_comparisons
    from service.store.comparisons.runs import home_database
    from service.store.dataset_store import DatasetNotFoundError
    from service.store.keeping.erasure import NOT_REACHED, compact, erase_datasets, versions_named

    directory = DataDirectory.from_environment(home)
    try:
        with directory.lock(), home_database(directory, workspace=workspace) as engine:
            try:
                versions = versions_named(engine, name)
            except DatasetNotFoundError:
                # An erasure may have been interrupted at its last step.
                compact(engine)
                raise
            n_comparisons = sum(list_comparisons(engine, dataset=version, limit=1)[1] for version in versions)
            what = f"{len(versions)} version(s) of {name} and {n_comparisons} comparison(s)"
            if not yes:
                show(f"Would erase {what}, with all that was made of them. Give --yes to do it; it cannot be undone.")
                return
            erased = erase_datasets(engine, directory, versions)
    except ServiceHoldsError as error:
        raise ConfigError(
            f"a service works in {directory.root} and holds some of it in memory; stop it first, or send "
            "POST /v1/datasets/VERSION/erase to it"
        ) from error
    show(f"Erased {what}, and {erased.n_answers} block(s) of answers. Not reached:")
    for line in NOT_REACHED:
        show(f"  {line}")
