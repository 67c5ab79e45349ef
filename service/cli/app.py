"""The command line. Exit codes: 0 good, 2 something the user must fix, 130 stopped by Ctrl-C."""

import errno
import os
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from advisor.data.dataset import Task
from lm.errors import ConfigError, TuningForkError
from service.cli.ci.command import ci
from service.cli.commands.advise import advise
from service.cli.commands.ask import ask
from service.cli.commands.catalogue import catalogue
from service.cli.commands.compare import compare
from service.cli.commands.comparisons import comparisons
from service.cli.commands.datasets import datasets
from service.cli.commands.estimate import estimate
from service.cli.commands.freshness import freshness
from service.cli.commands.generate_questions import anchor_questions, generate_questions
from service.cli.commands.handover import handover
from service.cli.commands.keeping import backup, prune, restore
from service.cli.commands.keys import keys
from service.cli.commands.models import models
from service.cli.commands.prices import prices
from service.cli.commands.recheck import recheck
from service.cli.commands.serve import serve
from service.cli.commands.tune import tune
from service.cli.commands.ui import ui
from service.cli.export.command import export
from service.cli.options import ComparisonArgument, DatasetArgument, Home, TaskOption
from service.cli.terminal import plain_console, replace_unreadable, show, show_error
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.telemetry import switch_off_telemetry

app = typer.Typer(
    name="tuningfork",
    help="Measure prompting, RAG and fine-tuning on your own documents and questions, and decide what to ship.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_ERRORS = plain_console(stderr=True)

_MENDABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
    }
)


class ReportFormat(StrEnum):
    """What `report` can write."""

    JSON = "json"
    MD = "md"
    HTML = "html"
    XML = "xml"


app.command()(compare)
app.command()(estimate)


@app.command()
def validate(dataset: DatasetArgument, task: TaskOption = None) -> None:
    """List everything wrong with a dataset, by line."""
    from advisor.audit.dataset.audit import audit_dataset
    from advisor.data.dataset import Split
    from advisor.data.files import Problem, read_dataset
    from advisor.errors import DatasetError
    from advisor.evidence.human_labels import load_human_labels
    from advisor.metrics.registry import metrics_for

    problems: list[Problem] = []
    folder = ComparisonSettings(dataset).dataset_folder
    loaded = read_dataset(folder, problems, task=task)
    if problems or loaded is None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise DatasetError(f"{folder}: {len(problems)} problem{'s' if len(problems) != 1 else ''}:\n{lines}")
    metrics_for(loaded.card, has_embedder=True, has_judge=True)
    load_human_labels(folder, loaded.examples)
    sizes = ", ".join(f"{len(loaded.split(split))} {split}" for split in Split)
    show(f"{loaded.card.name}: {len(loaded.documents)} documents; questions: {sizes}")
    findings = audit_dataset(loaded)
    for finding in findings:
        show(f"{finding.severity}: {finding.message} {finding.remedy}")
        for item in finding.items:
            show(f"  {item}")
    show("Usable, with the findings above." if findings else "No problem found.")


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="File or folder in one of the formats of docs/data-format.md.", show_default=False
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="New folder for the dataset.", show_default=False)
    ],
    task: Annotated[
        Task, typer.Option(metavar="TASK", help=f"What the answers are: {', '.join(Task)}.")
    ] = Task.QUESTION_ANSWERING,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=THEIRS",
            help="Name of a column in the source, as in question=Frage; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a dataset of data as you have it.

    Rows of other tools, or documents with a table of questions. Documents: PDF, Word, PowerPoint, Excel, OpenDocument,
    HTML, EPUB, RTF, e-mail, CSV, JSON, Markdown and text. A file that cannot be read is named with the reason, and the
    others are imported.

    The format is recognised by content and told before anything is written. Columns of a table: question, answer; if
    you like also document, group, split, answerable, id. Several accepted answers, or several documents, are separated
    by |; a | within an answer is written \\|.
    """
    from advisor.data.folder_import import FileOutcome
    from advisor.data.formats.reading import import_data, read_columns

    columns = read_columns(column or [])
    files: list[FileOutcome] = []
    folder = import_data(
        source.expanduser(), destination.expanduser(), task=task, columns=columns, tell=show, files=files
    )
    for file in files:
        show(str(file))
    counts = Counter(file.fate for file in files)
    show(f"Files: {', '.join(f'{n} {fate}' for fate, n in sorted(counts.items()))}.")
    show(f"Written: {folder}. Complete its dataset.toml, then: tuningfork validate {folder}")


app.command("generate-questions")(generate_questions)
app.command("anchor-questions")(anchor_questions)
app.command()(ask)


@app.command()
def report(
    comparison: ComparisonArgument,
    format_: Annotated[ReportFormat, typer.Option("--format", help="xml is JUnit's, for CI.")] = ReportFormat.MD,
    home: Home = None,
) -> None:
    """Print the report of a finished comparison."""
    from advisor.report.formats import REPORT_FILES
    from service.store.comparisons.runs import find_run

    folder = find_run(DataDirectory.from_environment(home), comparison)
    path = folder / REPORT_FILES[format_]
    if not path.is_file():
        raise ConfigError(f"{path} is missing; run the same `tuningfork compare` again to write it")
    typer.echo(path.read_bytes(), nl=False)


app.add_typer(models)


app.add_typer(datasets)
app.add_typer(comparisons)
app.command()(freshness)
app.command()(advise)
app.command()(catalogue)
app.add_typer(prices)
app.command()(recheck)
app.command()(ci)
app.command()(export)
app.command()(handover)
app.command()(tune)
app.add_typer(keys)
app.command()(serve)
app.command()(backup)
app.command()(restore)
app.command()(prune)
app.command()(ui)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors a user can fix are shown in one message, without a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Idle OpenMP threads must sleep: spinning ones slow a contended machine a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    switch_off_telemetry()
    replace_unreadable(sys.stdout)
    try:
        typed = sys.argv[1:] if arguments is None else arguments
        code: Any = app(typed or ["--help"], prog_name="tuningfork", standalone_mode=False)
    except TuningForkError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _stopped()
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        _fail(f"{error.filename or 'the data directory'}: {error.strerror}; make room or give access, then run again")
    except Exception as error:
        usage = _usage_message(error)
        if usage is None:
            raise
        _fail(usage)
    # The option parser turns Ctrl-C into this code and says nothing.
    if code == 130:
        _stopped()
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    show_error(message)
    sys.exit(2)


def _stopped() -> None:
    _ERRORS.print("Stopped. Measured answers are kept; run the same command to resume.", soft_wrap=True)
    sys.exit(130)


def _usage_message(error: Exception) -> str | None:
    """What the option parser complains of, or None for any other exception."""
    formatted = getattr(error, "format_message", None)
    if formatted is None:
        return None
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"{formatted().rstrip('.')}{hint}"
