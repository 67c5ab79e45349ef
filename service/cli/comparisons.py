"""`tuningfork comparisons`: what was compared, wherever it was started; renamed and deleted here too."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from advisor.errors import EvaluationError
from service.cli.options import ComparisonArgument, Home
from service.cli.terminal import plain_console, printable, show
from service.store.data_directory import REPORT_FILE, DataDirectory

if TYPE_CHECKING:
    from sqlalchemy import Engine

comparisons = typer.Typer(name="comparisons", help="List, rename and delete comparisons.", invoke_without_command=True)


@comparisons.callback()
def list_all(context: typer.Context, home: Home = None) -> None:
    """List comparisons, the newest first, wherever they were started."""
    if context.invoked_subcommand is not None:
        return
    directory = DataDirectory.from_environment(home)
    table = Table(Column("comparison", no_wrap=True), "name", "started", "dataset", "state", "verdict", "score")
    if directory.root.is_dir():
        for row in _rows(directory):
            table.add_row(*(Text(printable(cell)) for cell in row))
    plain_console().print(table)


@comparisons.command()
def rename(
    comparison: ComparisonArgument, name: Annotated[str, typer.Argument(help="The new name.")], home: Home = None
) -> None:
    """Give a comparison another name; its id stays."""
    from service.store.comparison_store import rename_comparison
    from service.store.runs import home_database, matching_id

    directory = DataDirectory.from_environment(home)
    with home_database(directory) as engine:
        found = rename_comparison(engine, matching_id(engine, comparison), name)
    show(f"{found.id} is now called {found.name}.")


@comparisons.command()
def delete(comparison: ComparisonArgument, home: Home = None) -> None:
    """Delete a comparison, with the indexes, adapters and answers that no other comparison uses."""
    from service.store.comparison_store import delete_comparison
    from service.store.run_folder import own_run, remove_run
    from service.store.runs import home_database, matching_id

    directory = DataDirectory.from_environment(home)
    with home_database(directory) as engine:
        found = matching_id(engine, comparison)
        run_id = own_run(engine, found)
        delete_comparison(engine, found)
        remove_run(directory, run_id)
    show(f"{found} is deleted.")


def _rows(directory: DataDirectory) -> list[tuple[str, ...]]:
    from service.store.adoption import adopt_folders
    from service.store.comparison_store import list_comparisons
    from service.store.dataset_store import DatasetNotFoundError, find_dataset
    from service.store.runs import home_database

    rows: list[tuple[str, ...]] = []
    with home_database(directory) as engine:
        adopt_folders(engine, directory)
        for stored in list_comparisons(engine, limit=200)[0]:
            try:
                dataset = find_dataset(engine, stored.dataset)
                named = dataset.card.name + ("" if dataset.bundled else f" {stored.dataset[:8]}")
            except DatasetNotFoundError:
                named = stored.dataset[:8]
            started = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.created_at))
            rows.append((stored.id, stored.name, started, named, stored.state, *_verdict(engine, stored.id)))
    return rows


def _verdict(engine: "Engine", comparison_id: str) -> tuple[str, str]:
    """Verdict and score of its arm; empty before there is one."""
    from advisor.report.arms import pivot_arm
    from advisor.results.json_report import read_comparison
    from advisor.results.quantities import scale_of
    from service.store.reports.stored_reports import read_report_files

    report = read_report_files(engine, comparison_id, REPORT_FILE).get(REPORT_FILE)
    try:
        made = read_comparison((report or b"").decode("utf-8"))
    except (EvaluationError, UnicodeDecodeError):
        return "", ""
    metric, arm = made.recommendation.metric, made.recommendation.arm
    best = next((one.metric(metric) for one in made.arms if one.id == pivot_arm(made)), None)
    score = scale_of(made, metric).interval(best.interval) if best and best.interval else ""
    return f"{made.recommendation.verdict}{f': {arm}' if arm else ''}", score
