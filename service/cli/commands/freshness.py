"""`tuningfork freshness`: what goes stale when documents change, and what makes it right again."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from advisor.data.revision import EDITION_FILES
from advisor.decision.freshness import Freshness
from advisor.errors import DatasetError
from service.cli.options import BaseModel, ComparisonArgument, Home
from service.cli.terminal import plain_console, printable, show
from service.run.progress import OnProgress
from service.store.data_directory import DataDirectory

_OUT = plain_console()


def freshness(
    comparison: ComparisonArgument,
    v2: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Later editions: documents.jsonl and answers.jsonl. [default: the folder v2 of the dataset]",
            show_default=False,
        ),
    ] = None,
    base_model: BaseModel = None,
    home: Home = None,
) -> None:
    """Change the documents, and ask the arms again.

    Shows which arms still give the old answers, and what indexing or training again takes until they are right again.
    """
    from service.cli.console import progress_bars
    from service.jobs.job import run_freshness_command
    from service.run.finished.freshness import write_freshness
    from service.store.comparisons.runs import find_finished, find_run, home_database

    directory = DataDirectory.from_environment(home)
    v2 = v2.expanduser() if v2 is not None else None
    folder = find_run(directory, comparison)
    with home_database(directory) as engine:
        run = find_finished(engine, directory, comparison)
    with progress_bars(_OUT) as on_progress:
        if run.is_stored and base_model is None:
            editions = _editions(v2) if v2 is not None else {}
            found = run_freshness_command(directory, run.id, editions, on_progress=on_progress, tell=show)
        else:
            found = _measured_here(directory, folder, v2, base_model, on_progress)
    report = write_freshness(found, folder)
    _print(found)
    _OUT.print()
    _OUT.print(f"Report: {report}", soft_wrap=True)


def _measured_here(
    directory: DataDirectory, folder: Path, v2: Path | None, base_model: Path | None, on_progress: OnProgress
) -> Freshness:
    """As no run: only a folder may be left of a comparison, and no run is told where a copy of its model is."""
    from service.run.composition import LocalComposition
    from service.run.finished.asking import read_finished_folder
    from service.run.finished.base_model import with_base_model
    from service.run.finished.freshness import measure_freshness

    finished = read_finished_folder(folder)
    finished = replace(finished, settings=with_base_model(finished.settings, base_model))
    with directory.lock():
        return measure_freshness(finished, directory, LocalComposition, revision_folder=v2, on_progress=on_progress)


def _editions(folder: Path) -> dict[str, bytes]:
    found = {name: (folder / name).read_bytes() for name in EDITION_FILES if (folder / name).is_file()}
    if not found:
        raise DatasetError(f"{folder} holds neither {' nor '.join(EDITION_FILES)}; name the folder that does by --v2")
    return found


def _print(found: Freshness) -> None:
    from advisor.report.freshness import NOTE, freshness_rows, freshness_sentences

    title = f"{found.dataset}: {found.n_facts} facts changed in {found.n_documents} documents"
    table = Table(title=Text(printable(title)), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("arm")
    for heading in ("changed,\nright now", "changed,\nold answer", "unchanged,\nright now", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm, _, right, stale, unchanged, took, cost in freshness_rows(found):
        rates = [rate.replace(" [", "\n[") for rate in (right, stale, unchanged)]
        table.add_row(printable(arm.replace(", ", "\n  ")), *rates, f"{took}\n{cost}".rstrip())
    _OUT.print()
    _OUT.print(table)
    _OUT.print(NOTE, style="dim")
    _OUT.print()
    for sentence in freshness_sentences(found):
        _OUT.print(Padding(Text(printable(sentence)), (0, 0, 0, 2), expand=False))
