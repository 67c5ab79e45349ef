"""`tuningfork freshness`: what goes stale when documents change, and what makes it right again."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from advisor.decision.freshness import Freshness
from service.cli.options import BaseModel, ComparisonArgument, Home
from service.cli.terminal import plain_console, printable
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
    from service.run.composition import LocalComposition
    from service.run.finished.asking import read_finished
    from service.run.finished.base_model import with_base_model
    from service.run.finished.freshness import measure_freshness, write_freshness

    directory = DataDirectory.from_environment(home)
    finished = read_finished(directory, comparison)
    finished = replace(finished, settings=with_base_model(finished.settings, base_model))
    with directory.lock(), progress_bars(_OUT) as on_progress:
        found = measure_freshness(
            finished,
            directory,
            LocalComposition,
            revision_folder=v2.expanduser() if v2 is not None else None,
            on_progress=on_progress,
        )
        report = write_freshness(found, directory)
    _print(found)
    _OUT.print()
    _OUT.print(f"Report: {report}", soft_wrap=True)


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
