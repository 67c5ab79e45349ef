"""The command line. Exit codes: 0 good, 2 bad usage or nothing to compare, 130 stopped by Ctrl-C."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from advisor.cost import Traffic
from advisor.dataset import Task
from advisor.report.formats import REPORT_FILES
from lm.errors import ConfigError, TuningForkError
from service.data_directory import DataDirectory
from service.settings import CANDIDATES, ComparisonSettings, bundled_datasets

app = typer.Typer(
    help="Measure prompting, RAG and fine-tuning on your own documents and questions, and decide what to ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_out = Console()
_errors = Console(stderr=True)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Data directory. [default: $TUNING_FORK_HOME or ./var]", show_default=False),
]


@app.command()
def compare(
    dataset: Annotated[str, typer.Argument(help="Name of a bundled data set, or a folder.")],
    model: Annotated[str, typer.Option(help="pocket, hf:ID_OR_PATH, or openai:MODEL[@URL].")] = "pocket",
    pipelines: Annotated[str, typer.Option(help="Arms to compare, separated by commas.")] = ",".join(CANDIDATES),
    seed: Annotated[int, typer.Option(help="Of splits, samples, tuning and resampling.")] = 0,
    limit: Annotated[int | None, typer.Option(help="At most so many test questions.")] = None,
    train_limit: Annotated[int | None, typer.Option(help="At most so many training questions.")] = None,
    task: Annotated[Task | None, typer.Option(help="For folders without dataset.toml.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also copy the reports into this folder.")] = None,
    top_k: Annotated[int, typer.Option(help="Retrieved passages.")] = 3,
    chunk_tokens: Annotated[int, typer.Option(help="Longest chunk, in the embedder's tokens.")] = 200,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that neighbouring chunks share.")] = 40,
    embedder: Annotated[str, typer.Option(help="minilm, hf:ID_OR_PATH, or openai:MODEL[@URL].")] = "minilm",
    shots: Annotated[int, typer.Option(help="Worked examples of the few-shot arm.")] = 6,
    method: Annotated[str, typer.Option(help="How to tune; docs/fine-tuning.md lists the methods.")] = "lora",
    max_epochs: Annotated[
        int | None, typer.Option(help="Of tuning. [default: the recipe's]", show_default=False)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Questions a forward pass, the same for all arms.")] = 16,
    margin: Annotated[float, typer.Option(help="Smallest difference that matters, in score units.")] = 0.02,
    coverage: Annotated[float, typer.Option(help="Share of production questions whose fact training covers.")] = 0.5,
    judge: Annotated[str | None, typer.Option(help="Model for judge-based metrics.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the one that ships]", show_default=False)
    ] = None,
    queries_per_month: Annotated[float, typer.Option(help="Expected traffic.")] = 10_000,
    refreshes_per_month: Annotated[float, typer.Option(help="How often documents change enough to rebuild.")] = 1.0,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with a model.")
    ] = False,
    home: Home = None,
) -> None:
    """Build all arms, measure them on the same questions, and decide. After Ctrl-C the same command resumes."""
    settings = ComparisonSettings(
        dataset=dataset,
        task=task,
        model=model,
        pipelines=tuple(name.strip() for name in pipelines.split(",") if name.strip()),
        seed=seed,
        limit=limit,
        train_limit=train_limit,
        embedder=embedder,
        top_k=top_k,
        chunk_tokens=chunk_tokens,
        overlap_tokens=overlap_tokens,
        n_shots=shots,
        method=method,
        max_epochs=max_epochs,
        batch_size=batch_size,
        margin=margin,
        coverage=coverage,
        judge=judge,
        prices=prices,
        traffic=Traffic(queries_per_month, refreshes_per_month),
        trust_remote_code=trust_remote_code,
    )
    directory = DataDirectory.from_environment(home)
    from service.composition import LocalComposition, model_identity
    from service.console import print_comparison, progress_bars
    from service.workflow import run_comparison

    with directory.lock(), progress_bars(_out) as on_progress:
        identity = model_identity(settings.model)
        comparison = run_comparison(settings, directory, LocalComposition, identity, on_progress=on_progress)
    print_comparison(_out, comparison)
    folder = directory.comparison(comparison.id)
    if out is not None:
        _copy_reports(folder, out)
    _out.print()
    _out.print(f"Report: {folder / REPORT_FILES['html']}", highlight=False, markup=False, soft_wrap=True)
    _out.print(
        f'Ask an arm: tuningfork ask {comparison.id} --pipeline rag "your question"', highlight=False, markup=False
    )


def _copy_reports(folder: Path, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            (out / path.name).write_bytes(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the reports cannot be copied to {out}: {error.strerror}; choose another --out") from None


@app.command()
def validate(
    dataset: Annotated[str, typer.Argument(help="Name of a bundled data set, or a folder.")],
    task: Annotated[Task | None, typer.Option(help="For folders without dataset.toml.")] = None,
) -> None:
    """Check a data set and list everything wrong with it, by file and line."""
    from advisor.audit import audit_dataset
    from advisor.dataset import Split
    from advisor.dataset_files import Problem, read_dataset
    from advisor.errors import DatasetError
    from advisor.metrics.registry import metrics_for

    problems: list[Problem] = []
    folder = ComparisonSettings(dataset).dataset_folder
    loaded = read_dataset(folder, problems, task=task)
    if problems or loaded is None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise DatasetError(f"{folder}: {len(problems)} problem{'s' if len(problems) != 1 else ''}:\n{lines}")
    metrics_for(loaded.card, has_embedder=True, has_judge=True)
    sizes = ", ".join(f"{len(loaded.split(split))} {split}" for split in Split)
    _out.print(
        f"{loaded.card.name}: {len(loaded.documents)} documents; questions: {sizes}", highlight=False, markup=False
    )
    for finding in audit_dataset(loaded):
        _out.print(f"{finding.severity}: {finding.message} {finding.remedy}", highlight=False, markup=False)
        for item in finding.items:
            _out.print(f"  {item}", highlight=False, markup=False)
    _out.print("No problem found." if not audit_dataset(loaded) else "Usable, with the findings above.")


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder with .md and .txt files and one .csv of questions.")],
    destination: Annotated[Path, typer.Argument(help="New folder for the data set.")],
    task: Annotated[Task, typer.Option(help="What kind of answers the questions want.")] = Task.QUESTION_ANSWERING,
) -> None:
    """Make a data set of a plain folder. Columns: question, answer (alternatives by |), document, group, split."""
    from advisor.folder_import import import_folder

    folder = import_folder(source.expanduser(), destination.expanduser(), task=task)
    _out.print(f"Written: {folder}. Complete its dataset.toml, then: tuningfork validate {folder}", markup=False)


@app.command()
def ask(
    comparison: Annotated[str, typer.Argument(help="Id of a comparison, the beginning of one, or `latest`.")],
    question: Annotated[str | None, typer.Argument(help="Left out: questions are read one a line.")] = None,
    pipeline: Annotated[str, typer.Option(help="Which arm answers.")] = "rag",
    home: Home = None,
) -> None:
    """Ask an arm of a finished comparison; shows its passages, tokens and seconds."""
    from service.asking import open_arm
    from service.console_answer import print_answer

    directory = DataDirectory.from_environment(home)
    with directory.lock(), open_arm(directory, comparison, pipeline) as arm:
        if question is not None:
            print_answer(_out, arm.answer([_non_empty(question)])[0])
            return
        while True:
            try:
                line = _out.input(f"{pipeline}> ") if sys.stdin.isatty() else input()
            except EOFError:
                return
            if line.strip() in ("exit", "quit"):
                return
            if line.strip():
                print_answer(_out, arm.answer([line.strip()])[0])


def _non_empty(question: str) -> str:
    if not question.strip():
        raise ConfigError("the question is empty; write one in quotes, or leave it out to type several")
    return question.strip()


@app.command()
def report(
    comparison: Annotated[str, typer.Argument(help="Id of a comparison, the beginning of one, or `latest`.")],
    format_: Annotated[str, typer.Option("--format", help="json, md, html or xml.")] = "md",
    home: Home = None,
) -> None:
    """Write the report of a finished comparison to standard output."""
    if format_ not in REPORT_FILES:
        raise ConfigError(f"the report format {format_!r} is unknown; choose from {', '.join(REPORT_FILES)}")
    folder = DataDirectory.from_environment(home).find_comparison(comparison)
    sys.stdout.write((folder / REPORT_FILES[format_]).read_text(encoding="utf-8"))


@app.command()
def models() -> None:
    """List the kinds of models that can be compared."""
    from lm.registry import known_models

    table = Table("name", "what it is", "runs on", "parameters")
    for known in known_models():
        size = f"{known.parameters / 1e6:.1f} M" if known.parameters else "–"
        table.add_row(escape(known.name), known.description, known.runs_on, size)
    _out.print(table)


@app.command()
def datasets(home: Home = None) -> None:
    """List the bundled data sets and the finished comparisons."""
    from advisor.dataset_files import load_dataset

    table = Table("data set", "task", "documents", "questions", "licence")
    for name in bundled_datasets():
        loaded = load_dataset(ComparisonSettings(name).dataset_folder)
        counts = (str(len(loaded.documents)), str(len(loaded.examples)))
        table.add_row(name, loaded.card.task, *counts, loaded.card.licence)
    _out.print(table)
    for comparison_id in DataDirectory.from_environment(home).comparison_ids():
        _out.print(f"comparison {comparison_id}", highlight=False, markup=False)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors a user can mend are shown in one message, without a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Idle OpenMP threads must sleep: spinning ones slow a contended machine a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code: Any = app(arguments, standalone_mode=False)
    except TuningForkError as error:
        _errors.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except typer.Exit as exit_:
        sys.exit(exit_.exit_code)
    except KeyboardInterrupt:
        _stopped()
    except Exception as error:
        usage = _usage_message(error)
        if usage is None:
            raise
        _errors.print(f"error: {usage}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _stopped() -> None:
    _errors.print("Stopped. What was measured so far is kept; the same command goes on from there.")
    sys.exit(130)


def _usage_message(error: Exception) -> str | None:
    """What the option parser complains of, or None for any other exception."""
    formatted = getattr(error, "format_message", None)
    if formatted is None:
        return "stopped" if type(error).__name__ == "Abort" else None
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"{formatted()}{hint}"
