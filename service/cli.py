"""The command line. Exit codes: 0 good, 2 something the user must mend, 130 stopped by Ctrl-C."""

import errno
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.table import Table
from rich.text import Text

from advisor.answer_values import AnswerValues
from advisor.constraints import Constraints
from advisor.cost import Traffic
from advisor.dataset import Task
from lm.errors import ConfigError, TuningForkError
from service.cli_advise import advise
from service.cli_catalogue import catalogue
from service.cli_recheck import recheck
from service.data_directory import DataDirectory
from service.settings import CANDIDATES, ComparisonSettings, bundled_datasets
from service.terminal import plain_console, printable

if TYPE_CHECKING:
    from advisor.answer import Pipeline

app = typer.Typer(
    name="tuningfork",
    help="Measure prompting, RAG and fine-tuning on your own documents and questions, and decide what to ship.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_out = plain_console()
_errors = plain_console(stderr=True)

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


DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Name of a bundled data set, or a folder.", show_default=False)
]
ComparisonArgument = Annotated[
    str,
    typer.Argument(
        metavar="COMPARISON", help="Id of a comparison, the beginning of one, or: latest.", show_default=False
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(metavar="TASK", help=f"For a folder without dataset.toml: {', '.join(Task)}.", show_default=False),
]
Home = Annotated[
    Path | None,
    typer.Option("--home", help="Data directory. [default: $TUNING_FORK_HOME, else ./var]", show_default=False),
]


@app.command()
def compare(
    dataset: DatasetArgument,
    model: Annotated[
        str, typer.Option(help="Model that all arms start from: pocket, hf:ID_OR_PATH, or openai:MODEL[@URL].")
    ] = "pocket",
    pipelines: Annotated[str, typer.Option(help="Arms to compare, separated by commas.")] = ",".join(CANDIDATES),
    limit: Annotated[
        int | None, typer.Option(help="Most test questions to ask. [default: all]", show_default=False)
    ] = None,
    train_limit: Annotated[
        int | None, typer.Option(help="Most training questions to use. [default: all]", show_default=False)
    ] = None,
    task: TaskOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder into which the reports are copied as well.", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Decides everything drawn by lot: splits, samples, tuning, resampling.")
    ] = 0,
    embedder: Annotated[
        str, typer.Option(help="What finds passages: minilm, hf:ID_OR_PATH, or openai:MODEL[@URL].")
    ] = "minilm",
    top_k: Annotated[int, typer.Option(help="Passages retrieved for a question.")] = 3,
    chunk_tokens: Annotated[int, typer.Option(help="Longest passage, in the embedder's tokens.")] = 128,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that neighbouring passages share.")] = 0,
    shots: Annotated[int, typer.Option(help="Worked examples in the prompt of the few-shot arm.")] = 6,
    method: Annotated[str, typer.Option(help="Tuning method: lora, rslora, dora, pissa or olora.")] = "lora",
    max_epochs: Annotated[
        int | None,
        typer.Option(help="Most passes of tuning over the training questions. [default: 20]", show_default=False),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Questions answered at a time, the same for all arms.")] = 16,
    margin: Annotated[float, typer.Option(help="Smallest difference that matters to you; 0.02 is two points.")] = 0.02,
    coverage: Annotated[
        float, typer.Option(help="Share of your users' questions whose fact the training questions cover.")
    ] = 0.5,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model that grades answers, for metrics that need one; named as for --model.", show_default=False
        ),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the one that ships]", show_default=False)
    ] = None,
    queries_per_month: Annotated[float, typer.Option(help="Questions you expect a month, for the costs.")] = 10_000,
    refreshes_per_month: Annotated[
        float, typer.Option(help="How often a month documents change enough to build again, for the costs.")
    ] = 1.0,
    retrainings_per_month: Annotated[
        float | None,
        typer.Option(
            help="How often a month tuned arms are trained anew. [default: as often as documents change]",
            show_default=False,
        ),
    ] = None,
    merge_adapter: Annotated[
        bool, typer.Option("--merge-adapter", help="Cost tuned arms with the adapter merged into the weights.")
    ] = False,
    adapter_slowdown: Annotated[
        float, typer.Option(help="How many times longer a tuned arm takes unmerged than merged, if you measured it.")
    ] = 1.0,
    must_cite_sources: Annotated[
        bool, typer.Option("--must-cite-sources", help="Only arms whose answers come with passages may be shipped.")
    ] = False,
    max_p95_latency_s: Annotated[
        float | None,
        typer.Option(help="Longest wait of 19 in 20 callers, in seconds. [default: any]", show_default=False),
    ] = None,
    monthly_budget_usd: Annotated[
        float | None,
        typer.Option(help="Most that an arm may cost a month, in US dollars. [default: any]", show_default=False),
    ] = None,
    no_gpu_in_serving: Annotated[
        bool, typer.Option("--no-gpu-in-serving", help="Only arms that answer without a GPU may be shipped.")
    ] = False,
    facts_must_be_deletable: Annotated[
        bool, typer.Option("--facts-must-be-deletable", help="Only arms that hold no facts in weights may be shipped.")
    ] = False,
    min_abstention_recall: Annotated[
        float | None,
        typer.Option(
            help="Least share of unanswerable questions an arm must decline. [default: any]", show_default=False
        ),
    ] = None,
    right_answer_usd: Annotated[
        float | None,
        typer.Option(
            help="What a right answer brings you; arms are then compared by net value. [default: by score]",
            show_default=False,
        ),
    ] = None,
    wrong_answer_usd: Annotated[float, typer.Option(help="What a wrong answer costs you.")] = 0.0,
    abstention_usd: Annotated[
        float, typer.Option(help='What an "I don\'t know" costs you where an answer exists.')
    ] = 0.0,
    prior: Annotated[
        Path | None,
        typer.Option(help="Answers to `tuningfork advise`, to set beside the evidence.", show_default=False),
    ] = None,
    valid_days: Annotated[
        int, typer.Option(help="Days until the decision on file wants a new look; see `tuningfork recheck`.")
    ] = 90,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with a model.")
    ] = False,
    home: Home = None,
) -> None:
    """Build all arms, ask them the same questions, and decide.

    Stopped by Ctrl-C or worse, the same command goes on where it was. Once finished, it shows the result again.
    """
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
        traffic=Traffic(
            queries_per_month,
            refreshes_per_month,
            retrainings_per_month=retrainings_per_month,
            merge_adapter=merge_adapter,
        ),
        adapter_slowdown=adapter_slowdown,
        constraints=Constraints(
            must_cite_sources,
            max_p95_latency_s,
            monthly_budget_usd,
            no_gpu_in_serving,
            facts_must_be_deletable,
            min_abstention_recall,
        ),
        values=_answer_values(right_answer_usd, wrong_answer_usd, abstention_usd),
        prior=prior,
        valid_days=valid_days,
        trust_remote_code=trust_remote_code,
    )
    directory = DataDirectory.from_environment(home)
    if out is not None:
        _make_folder(out)
    from advisor.report.arms import pivot_arm
    from advisor.report.formats import REPORT_FILES
    from service.composition import LocalComposition, model_identity
    from service.console import print_comparison, progress_bars
    from service.workflow import run_comparison

    with directory.lock(), progress_bars(_out) as on_progress:
        identity = model_identity(settings.model)
        comparison = run_comparison(settings, directory, LocalComposition, identity, on_progress=on_progress)
    print_comparison(_out, comparison)
    folder = directory.comparison(comparison.id)
    if out is not None:
        for path in folder.iterdir():
            (out / path.name).write_bytes(path.read_bytes())
    arm = pivot_arm(comparison) or settings.pipelines[0]
    _out.print()
    _out.print(f"Report: {(out or folder) / REPORT_FILES['html']}", soft_wrap=True)
    _out.print(f'Ask:    tuningfork ask {comparison.id} --pipeline {arm} "your question"', soft_wrap=True)


def _answer_values(right_usd: float | None, wrong_usd: float, abstention_usd: float) -> AnswerValues | None:
    if right_usd is not None:
        return AnswerValues(right_usd, wrong_usd, abstention_usd)
    if wrong_usd or abstention_usd:
        raise ConfigError("the worth of a right answer is missing; add --right-answer-usd (0 is allowed)")
    return None


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the reports cannot be copied to {out}: {error.strerror}; choose another --out") from None


@app.command()
def validate(dataset: DatasetArgument, task: TaskOption = None) -> None:
    """List everything wrong with a data set, by file and line."""
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
    _show(f"{loaded.card.name}: {len(loaded.documents)} documents; questions: {sizes}")
    findings = audit_dataset(loaded)
    for finding in findings:
        _show(f"{finding.severity}: {finding.message} {finding.remedy}")
        for item in finding.items:
            _show(f"  {item}")
    _show("Usable, with the findings above." if findings else "No problem found.")


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Folder with .md and .txt files and one .csv of questions.", show_default=False
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="New folder for the data set.", show_default=False)
    ],
    task: Annotated[
        Task, typer.Option(metavar="TASK", help=f"What the answers are: {', '.join(Task)}.")
    ] = Task.QUESTION_ANSWERING,
) -> None:
    """Make a data set of a folder of texts and a table of questions.

    Columns of the table: question, answer; if you like also document, group, split, answerable, id. Several accepted
    answers, or several documents, are separated by |.
    """
    from advisor.folder_import import import_folder

    folder = import_folder(source.expanduser(), destination.expanduser(), task=task)
    _show(f"Written: {folder}. Complete its dataset.toml, then: tuningfork validate {folder}")


@app.command()
def ask(
    comparison: ComparisonArgument,
    question: Annotated[
        str | None,
        typer.Argument(metavar="QUESTION", help="Left out: questions are read one a line.", show_default=False),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Which arm answers. [default: the recommended one]", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Put questions to an arm of a finished comparison.

    Shows the answer, the passages it was given, its tokens and seconds.
    """
    from advisor.report.arms import pivot_arm
    from service.asking import open_arm, read_finished
    from service.console_answer import print_answer

    if question is not None:
        question = _checked_question(question)
    directory = DataDirectory.from_environment(home)
    finished = read_finished(directory, comparison)
    kind = pipeline or pivot_arm(finished.comparison) or finished.settings.pipelines[0]
    with directory.lock(), open_arm(directory, finished, kind) as arm:
        if question is not None:
            print_answer(_out, arm.answer([question])[0])
        else:
            _ask_all(arm, _typed_questions(f"{kind}> "))


def _ask_all(arm: "Pipeline", questions: Iterator[str]) -> None:
    """Answer one after the other; a question that fails costs only itself, and the exit code."""
    from service.console_answer import print_answer

    n_failed = 0
    for question in questions:
        try:
            print_answer(_out, arm.answer([question])[0])
        except TuningForkError as error:
            _show_error(str(error))
            n_failed += 1
    if n_failed and not sys.stdin.isatty():
        raise typer.Exit(2)


def _typed_questions(prompt: str) -> Iterator[str]:
    """Lines of standard input until it ends or says exit; empty ones are passed over."""
    _replace_unreadable(sys.stdin)
    is_typed = sys.stdin.isatty()
    while True:
        try:
            line = _out.input(prompt) if is_typed else input()
        except EOFError:
            if is_typed:
                _out.print()
            return
        if line.strip() in ("exit", "quit"):
            return
        if line.strip():
            yield line.strip()


def _replace_unreadable(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _checked_question(question: str) -> str:
    if not question.strip():
        raise ConfigError("the question is empty; write one in quotes, or leave it out to type several")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise ConfigError("the question is not readable UTF-8; check the terminal's encoding") from None
    return question.strip()


@app.command()
def report(
    comparison: ComparisonArgument,
    format_: Annotated[ReportFormat, typer.Option("--format", help="xml is JUnit's, for CI.")] = ReportFormat.MD,
    home: Home = None,
) -> None:
    """Write the report of a finished comparison to standard output."""
    from advisor.report.formats import REPORT_FILES

    folder = DataDirectory.from_environment(home).find_comparison(comparison)
    path = folder / REPORT_FILES[format_]
    if not path.is_file():
        raise ConfigError(f"{path} is missing; run the same `tuningfork compare` again, which writes it anew")
    typer.echo(path.read_bytes(), nl=False)


@app.command()
def models() -> None:
    """List the kinds of models that can be compared."""
    from lm.registry import known_models

    table = Table("name", "what it is", "runs on", "parameters")
    for known in known_models():
        size = f"{known.parameters / 1e6:.1f} M" if known.parameters else "–"
        table.add_row(known.name, known.description, known.runs_on, size)
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
    directory = DataDirectory.from_environment(home)
    if ids := directory.comparison_ids():
        _out.print(_comparison_table(directory, ids))


def _comparison_table(directory: DataDirectory, ids: list[str]) -> Table:
    from service.asking import read_finished

    table = Table("comparison", "made", "model", "verdict")
    for comparison_id in ids:
        try:
            made = read_finished(directory, comparison_id).comparison
        except ConfigError:
            table.add_row(comparison_id, "", "", "damaged; compare again")
            continue
        arm = made.recommendation.arm
        verdict = f"{made.recommendation.verdict}{f': {arm}' if arm else ''}"
        table.add_row(comparison_id, made.created_at[:10], Text(printable(made.model)), verdict)
    return table


app.command()(advise)
app.command()(catalogue)
app.command()(recheck)


def _show(text: str) -> None:
    _out.print(printable(text), soft_wrap=True)


def _show_error(text: str) -> None:
    _errors.print(f"error: {printable(text)}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors a user can mend are shown in one message, without a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Idle OpenMP threads must sleep: spinning ones slow a contended machine a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _replace_unreadable(sys.stdout)
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
    _show_error(message)
    sys.exit(2)


def _stopped() -> None:
    _errors.print("Stopped. What was measured so far is kept; the same command goes on from there.", soft_wrap=True)
    sys.exit(130)


def _usage_message(error: Exception) -> str | None:
    """What the option parser complains of, or None for any other exception."""
    formatted = getattr(error, "format_message", None)
    if formatted is None:
        return None
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"{formatted().rstrip('.')}{hint}"
