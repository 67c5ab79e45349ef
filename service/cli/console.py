"""What the command line shows: progress bars and the final tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from advisor.data.dataset import Slice
from advisor.metrics.registry import METRICS
from advisor.report.arms import shown_arms
from advisor.report.sections.form_gains import form_sentences
from advisor.report.sections.sensitivity import change_sentences
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Severity
from advisor.results.quantities import MISSING, count, scale_of, seconds, unscored, usd
from service.cli.terminal import printable
from service.run.progress import OnProgress, Progress

_STAGES = {
    "sweep": "choosing settings of retrieval",
    "index": "building the index",
    "tune": "tuning the adapter",
    "answer": "answering",
    "form": "answering within labels or schema and freely",
    "latency": "measuring latency",
    "score": "scoring",
    "report": "writing the report",
}
_SLICE_HEADINGS = {
    Slice.SEEN_FACT: "seen\nfact",
    Slice.UNSEEN_FACT: "unseen\nfact",
    Slice.UNANSWERABLE: "unan-\nswerable",
    Slice.NEW_CASE: "new\ncase",
}
_LOG_STEPS = 4
_CHANGES_SHOWN = 3
_TIME = Column(no_wrap=True, min_width=7)


@contextmanager
def progress_bars(console: Console) -> Iterator[OnProgress]:
    """A bar a stage and arm, with the time that is left; a line for each quarter where output is no terminal."""
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=24)),
        BarColumn(bar_width=20),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TimeElapsedColumn(table_column=_TIME),
        TextColumn("left"),
        TimeRemainingColumn(table_column=_TIME),
        TextColumn("{task.fields[detail]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console) as bars:

        def show(progress: Progress) -> None:
            what = _describe(progress)
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=progress.total, detail="")
            bars.update(tasks[what], completed=progress.done, total=progress.total, detail=progress.detail)

        yield show


def _describe(progress: Progress) -> str:
    if progress.stage in ("answer", "form"):
        return f"{_STAGES[progress.stage]} {progress.arm}"
    named = progress.arm and progress.stage in ("index", "tune")
    return f"{_STAGES[progress.stage]} ({progress.arm})" if named else _STAGES[progress.stage]


def _plain_lines(console: Console) -> OnProgress:
    """Whole quarters only: a log is read, not watched."""
    shown: dict[str, int] = {}

    def show(progress: Progress) -> None:
        what = _describe(progress)
        step = _LOG_STEPS * progress.done // max(1, progress.total)
        if shown.get(what, -1) < step:
            shown[what] = step
            detail = f", {progress.detail}" if progress.detail else ""
            line = f"{what}: {progress.done} of {progress.total}{detail}"
            console.print(line, soft_wrap=True)

    return show


def print_comparison(console: Console, comparison: Comparison) -> None:
    """The arms side by side, quality first and then what they cost; the audit; the verdict and its nearest changes."""
    console.print()
    console.print(_quality_table(comparison))
    if any(arm.role is ArmRole.REFERENCE for arm in comparison.arms):
        console.print("Arms in brackets are references: they give scale and cannot win.", style="dim")
    console.print()
    console.print(_cost_table(comparison))
    console.print(
        "p50 and p95: latency of one question alone. Costs: of a million questions, by a machine in full use or by the "
        "token.",
        style="dim",
    )
    console.print()
    shown = [finding for finding in comparison.findings if finding.severity is not Severity.NOTE]
    for finding in shown:
        console.print(printable(f"{finding.severity}: {finding.message} {finding.remedy}"))
    if shown:
        console.print()
    console.print(printable(comparison.recommendation.headline), style="bold")
    for reason in comparison.recommendation.reasons:
        console.print(Padding(Text(printable(reason)), (0, 0, 0, 2), expand=False))
    for sentence in form_sentences(comparison)[:1]:
        console.print(Padding(Text(printable(sentence)), (0, 0, 0, 2), expand=False))
    if changes := change_sentences(comparison, _CHANGES_SHOWN):
        console.print("What would change it:", style="bold")
    for sentence in changes:
        console.print(Padding(Text(printable(sentence)), (0, 0, 0, 2), expand=False))


def _quality_table(comparison: Comparison) -> Table:
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    slices = [Slice(name) for name in comparison.slice_sizes]
    name = METRICS[metric].title if metric in METRICS else metric
    unit = f" in {scale.unit}" if scale.unit else ""
    title = Text(printable(f"{comparison.card.name}: {name}{unit}, with 95 % intervals"))
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("arm", no_wrap=True)
    table.add_column("all questions,\nweighted", justify="right", no_wrap=True)
    for part in slices:
        # In a race arms are asked different numbers of questions.
        size = f"\nn={comparison.slice_sizes[part]}" if comparison.race is None else ""
        table.add_column(f"{_SLICE_HEADINGS[part]}{size}", justify="right", no_wrap=True)
    for arm in shown_arms(comparison):
        overall = arm.metric(metric)
        cell = scale.interval(overall.interval if overall else None)
        if overall and overall.n_unscored:
            cell += "\n" + unscored(overall.n_unscored)
        parts = [arm.metric(metric, part) for part in slices]
        points = [scale.value(part.interval.estimate) if part and part.interval else MISSING for part in parts]
        table.add_row(_name(arm), Text(cell), *points, style=_style(arm, comparison))
    return table


def _cost_table(comparison: Comparison) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("arm", no_wrap=True)
    for heading in ("tokens\nin", "tokens\nout", "p50", "p95", "build", "per\nmillion"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in shown_arms(comparison):
        if arm.role is ArmRole.CANDIDATE:
            latency = arm.latency
            table.add_row(
                arm.id,
                count(arm.input_tokens),
                count(arm.output_tokens),
                seconds(latency.p50_s if latency else None),
                seconds(latency.p95_s if latency else None),
                seconds(arm.build_s),
                usd(1_000_000 * arm.cost.serve_usd_per_query) if arm.cost else "no price",
                style=_style(arm, comparison),
            )
    return table


def _name(arm: ArmSummary) -> str:
    return arm.id if arm.role is ArmRole.CANDIDATE else f"({arm.id})"


def _style(arm: ArmSummary, comparison: Comparison) -> str | None:
    return "bold" if arm.id == comparison.recommendation.arm else None
