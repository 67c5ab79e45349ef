"""`tuningfork comparisons`: what was compared, wherever it was started; renamed and deleted here too."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from service.cli.options import ComparisonArgument, Home
from service.cli.terminal import plain_console, printable, show
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from service.store.comparisons.comparison_store import StoredComparison

comparisons = typer.Typer(name="comparisons", help="List, rename and delete comparisons.", invoke_without_command=True)


@comparisons.callback()
def list_all(context: typer.Context, home: Home = None) -> None:
    """List comparisons, the newest first, wherever they were started."""
    if context.invoked_subcommand is not None:
        return
    directory = DataDirectory.from_environment(home)
    table = Table(Column("comparison", no_wrap=True), Column("started", no_wrap=True), "verdict", box=SIMPLE_HEAD)
    if directory.root.is_dir():
        for stored, dataset, outcome in _found(directory):
            started = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.created_at))
            named = stored.name if stored.name == dataset else f"{stored.name} · {dataset}"
            cells = (f"{stored.id}\n{named}", f"{started}\n{stored.state}", outcome)
            table.add_row(*(Text(printable(cell)) for cell in cells))
    plain_console().print(table)


@comparisons.command()
def rename(
    comparison: ComparisonArgument, name: Annotated[str, typer.Argument(help="The new name.")], home: Home = None
) -> None:
    """Give a comparison another name; its id stays."""
    from service.store.comparisons.comparison_store import rename_comparison
    from service.store.comparisons.runs import home_database, matching_id

    directory = DataDirectory.from_environment(home)
    with home_database(directory) as engine:
        found = rename_comparison(engine, matching_id(engine, comparison), name)
    show(f"{found.id} is now called {found.name}.")


@comparisons.command()
def delete(comparison: ComparisonArgument, home: Home = None) -> None:
    """Delete a comparison, with the indexes, adapters and answers that no other comparison uses."""
    from service.store.comparisons.run_folder import remove_comparison
    from service.store.comparisons.runs import home_database, matching_id

    directory = DataDirectory.from_environment(home)
    with home_database(directory) as engine:
        found = matching_id(engine, comparison)
        remove_comparison(engine, directory, found)
    show(f"{found} is deleted.")


def _found(directory: DataDirectory) -> Iterator[tuple["StoredComparison", str, str]]:
    """Each comparison with the name of its dataset, and what came out."""
    from advisor.results.quantities import scale_of_scores
    from service.store.comparisons.adoption import adopt_folders
    from service.store.comparisons.comparison_store import list_comparisons
    from service.store.comparisons.runs import home_database
    from service.store.dataset_store import DatasetNotFoundError, find_dataset
    from service.store.reports.outcomes import read_outcome

    with home_database(directory) as engine:
        adopt_folders(engine, directory)
        for stored in list_comparisons(engine, limit=200)[0]:
            try:
                dataset = find_dataset(engine, stored.dataset)
                named = dataset.card.name + ("" if dataset.bundled else f" {stored.dataset[:8]}")
            except DatasetNotFoundError:
                named = stored.dataset[:8]
            found = read_outcome(engine, stored.id)
            verdict = ": ".join(filter(None, (found.verdict, found.recommended_arm)))
            score = scale_of_scores([found.score.estimate]).interval(found.score) if found.score else ""
            yield stored, named, f"{verdict}\n{score}".strip()
