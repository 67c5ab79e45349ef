"""What the command line shows: progress bars and the final table."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from advisor.comparison import ArmRole, ArmSummary, Comparison, MetricSummary, Severity
from advisor.dataset import Slice
from service.progress import OnProgress, Progress

_STAGES = {
    "index": "building the index",
    "tune": "tuning the adapter",
    "answer": "answering",
    "latency": "measuring latency",
    "score": "scoring",
    "report": "writing the report",
}


_SHORT_SLICES = {
    Slice.SEEN_FACT: "seen\nfact",
    Slice.UNSEEN_FACT: "unseen\nfact",
    Slice.UNANSWERABLE: "unan-\nswerable",
    Slice.NEW_CASE: "new\ncase",
}


@contextmanager
def progress_bars(console: Console) -> Iterator[OnProgress]:
    """A bar a stage and arm, with the time that is left; a line for each tenth where output is no terminal."""
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (
        TextColumn("{task.description:34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    tasks: dict[tuple[str, str], TaskID] = {}
    with Bars(*columns, console=console) as bars:

        def show(progress: Progress) -> None:
            key = (progress.stage, progress.arm if progress.stage == "answer" else "")
            if key not in tasks:
                tasks[key] = bars.add_task(_describe(progress), total=progress.total, detail="")
            bars.update(tasks[key], completed=progress.done, total=progress.total, detail=progress.detail)

        yield show


def _describe(progress: Progress) -> str:
    return " ".join(
        part for part in (_STAGES[progress.stage], progress.arm if progress.stage == "answer" else "") if part
    )


def _plain_lines(console: Console) -> OnProgress:
    """Whole tenths only: a log is read, not watched."""
    shown: dict[str, int] = {}

    def show(progress: Progress) -> None:
        what = _describe(progress)
        tenth = 10 * progress.done // max(1, progress.total)
        if shown.get(what, -1) < tenth:
            shown[what] = tenth
            detail = f", {progress.detail}" if progress.detail else ""
            console.print(f"{what}: {progress.done} of {progress.total}{detail}", highlight=False, markup=False)

    return show


def print_comparison(console: Console, comparison: Comparison) -> None:
    """The verdict, the arms side by side, and where the report lies."""
    metric = comparison.recommendation.metric
    slices = [Slice(name) for name in comparison.slice_sizes]
    table = Table(title=f"{escape(comparison.card.name)}: {metric} in %, with 95 % intervals", title_justify="left")
    table.add_column("arm", no_wrap=True)
    table.add_column("weighted", justify="right", no_wrap=True)
    for part in slices:
        table.add_column(_SHORT_SLICES[part], justify="right", no_wrap=True)
    table.add_column("tokens\nin/out", justify="right", no_wrap=True)
    table.add_column("p50/p95\ns", justify="right", no_wrap=True)
    table.add_column("build\ns", justify="right", no_wrap=True)
    table.add_column("USD/\n1,000", justify="right", no_wrap=True)
    for arm in comparison.arms:
        name = arm.kind if arm.role is ArmRole.CANDIDATE else f"({arm.kind})"
        style = "bold" if arm.kind == comparison.recommendation.arm else None
        shares = [_share(arm.metric(metric)), *(_point(arm.metric(metric, part)) for part in slices)]
        table.add_row(name, *shares, *_resources(arm), style=style)
    console.print(table)
    console.print("Arms in brackets are references and cannot win.", style="dim")
    for finding in comparison.findings:
        if finding.severity is not Severity.NOTE:
            console.print(f"{finding.severity.upper()}: {escape(finding.message)} {escape(finding.remedy)}")
    console.print()
    console.print(escape(comparison.recommendation.headline), style="bold", highlight=False)
    for reason in comparison.recommendation.reasons:
        console.print(f"  {escape(reason)}", highlight=False)


def _share(summary: MetricSummary | None) -> str:
    if summary is None or summary.interval is None:
        return f"unscored {summary.n_unscored}" if summary and summary.n_unscored else "–"
    interval = summary.interval
    text = f"{100 * interval.estimate:.1f} \\[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{text}, unscored {summary.n_unscored}" if summary.n_unscored else text


def _point(summary: MetricSummary | None) -> str:
    return f"{100 * summary.interval.estimate:.1f}" if summary and summary.interval else "–"


def _resources(arm: ArmSummary) -> tuple[str, str, str, str]:
    if arm.role is ArmRole.REFERENCE:
        return "–", "–", "–", "–"
    usage, latency = arm.usage_per_question, arm.latency
    return (
        f"{usage.input_tokens:,}/{usage.output_tokens:,}",
        f"{latency.p50_s:.2f}/{latency.p95_s:.2f}" if latency else "–",
        f"{arm.build_usage.wall_s:.1f}",
        f"{1000 * arm.cost.serve_usd_per_query:.4f}" if arm.cost else "no price",
    )
