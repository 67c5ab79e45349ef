"""The table of README.md and docs/results.md from stored reports.

    python benchmarks/results_table.py docs/runs/ticket-triage/report.json [more report.json ...]

The README's table stands between its `results` marks; a test compares it with what this prints.
"""

import sys
from pathlib import Path

from advisor.data.dataset import Slice
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, MetricSummary
from advisor.results.json_report import read_comparison


def results_table(comparison: Comparison) -> str:
    """Markdown: the verdict, then an arm a line."""
    metric = comparison.recommendation.metric
    slices = [Slice(name) for name in comparison.slice_sizes]
    weighted = len(slices) > 1
    head = ["arm", f"{metric} %, 95 % interval" + (", by traffic" if weighted else "")]
    head += [part.replace("-", " ") for part in slices if weighted]
    head += ["tokens in / out", "p50 / p95 s", "build s", "USD per 1,000"]
    rows = [_row(arm, metric, slices if weighted else []) for arm in comparison.arms]
    lines = [" | ".join(head), " | ".join(["---", *["--:"] * (len(head) - 1)]), *(" | ".join(row) for row in rows)]
    n_test = comparison.split_sizes["test"]
    n_train = comparison.split_sizes["train"]
    caption = (
        f"`{comparison.card.name}`, model `{comparison.model}`: {comparison.n_documents} documents, {n_test} test and "
        f"{n_train} training questions. **{comparison.recommendation.headline}**"
    )
    return "\n".join([caption, "", *(f"| {line} |" for line in lines)])


def _row(arm: ArmSummary, metric: str, slices: list[Slice]) -> list[str]:
    is_candidate = arm.role is ArmRole.CANDIDATE
    name = f"`{arm.id}`" if is_candidate else f"*{arm.id}* (reference)"
    shares = [_share(arm.metric(metric), interval=True), *(_share(arm.metric(metric, part)) for part in slices)]
    if not is_candidate:
        return [name, *shares, "", "", "", ""]
    usage, latency = arm.usage_per_question, arm.latency
    return [
        name,
        *shares,
        f"{usage.input_tokens:,} / {usage.output_tokens:,}",
        f"{latency.p50_s:.2f} / {latency.p95_s:.2f}" if latency else "–",
        f"{arm.build_usage.wall_s:.0f}",
        f"{1000 * arm.cost.serve_usd_per_query:.4f}" if arm.cost else "no price",
    ]


def _share(summary: MetricSummary | None, *, interval: bool = False) -> str:
    if summary is None or summary.interval is None:
        return "–"
    found = summary.interval
    text = f"{100 * found.estimate:.1f}"
    return f"{text} [{100 * found.low:.1f}, {100 * found.high:.1f}]" if interval else text


def main() -> None:
    """Print the table of each report named on the command line."""
    for name in sys.argv[1:]:
        print(results_table(read_comparison(Path(name).read_text(encoding="utf-8"), name)))
        print()


if __name__ == "__main__":
    main()
