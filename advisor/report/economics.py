"""Cost, waiting time and tokens as tables."""

from advisor.comparison import Comparison
from advisor.report.arms import arm_name, row_kind, shown_arms
from advisor.report.quantities import MISSING, count, seconds, significant, usd
from advisor.report.table import Cell, Row, Table


def cost_table(comparison: Comparison) -> Table:
    """Money per arm, per 1,000 queries rather than per query so that the digits can be read."""
    bases = dict.fromkeys(arm.cost.basis for arm in comparison.arms if arm.cost is not None)
    rows = []
    for arm in shown_arms(comparison):
        cost = arm.cost
        if cost is None:
            cells = tuple(Cell(MISSING) for _ in range(5))
        else:
            per_correct = cost.usd_per_correct_answer
            cells = (
                Cell(usd(cost.build_usd)),
                Cell(usd(cost.serve_usd_per_query * 1000), cost.basis if len(bases) > 1 else ""),
                Cell(usd(None if per_correct is None else per_correct * 1000)),
                Cell(usd(cost.refresh_usd_per_month)),
                Cell(usd(cost.monthly_usd)),
            )
        rows.append(Row((Cell(arm_name(comparison, arm)), *cells), row_kind(comparison, arm)))
    basis = f" Basis: {next(iter(bases))}." if len(bases) == 1 else ""
    return Table(
        caption="Cost, in US dollars",
        columns=(
            "Arm",
            "Build, once",
            "Serve 1,000 queries",
            "1,000 correct answers",
            "Keep fresh, a month",
            "Total, a month",
        ),
        rows=tuple(rows),
        note="Computed from measured tokens and seconds and a dated price list. The monthly total spreads the build "
        "over its life and adds refreshing and serving at the declared volume. A dash means not computed, or that no "
        f"answer was right.{basis}",
    )


def speed_table(comparison: Comparison) -> Table:
    """What one caller waits and what a question uses."""
    rows = []
    for arm in shown_arms(comparison):
        waiting = arm.latency
        usage, build = arm.usage_per_question, arm.build_usage
        batching = waiting.n_changed_by_batching if waiting else 0
        rows.append(
            Row(
                (
                    Cell(arm_name(comparison, arm)),
                    Cell(seconds(waiting.p50_s) if waiting else MISSING, f"n {count(waiting.n)}" if waiting else ""),
                    Cell(seconds(waiting.p95_s) if waiting else MISSING),
                    Cell(f"{significant(arm.throughput_per_s)}/s", f"batching changed {batching}" if batching else ""),
                    Cell(count(usage.input_tokens), _embedding(usage.embedding_tokens)),
                    Cell(
                        count(usage.output_tokens), f"{arm.n_length_stopped:,} cut off" if arm.n_length_stopped else ""
                    ),
                    Cell(seconds(build.wall_s), _build_detail(build.device_s, build.device)),
                ),
                row_kind(comparison, arm),
            )
        )
    return Table(
        caption="Waiting time, tokens and build time",
        columns=(
            "Arm",
            "Wait, median (p50)",
            "Wait, slowest 5 % (p95)",
            "Throughput, questions",
            "Tokens in, a question",
            "Tokens out, a question",
            "Build time",
        ),
        rows=tuple(rows),
        note="Waiting time is measured one question at a time on a warm model: half of the callers wait less than p50, "
        "one in twenty longer than p95. Throughput is measured in batches. 'Cut off' counts answers that met the "
        "length limit; 'batching changed' counts answers that differ when asked alone.",
    )


def _embedding(embedding_tokens: float) -> str:
    return f"and {count(embedding_tokens)} embedded" if embedding_tokens else ""


def _build_detail(device_s: float, device: str) -> str:
    return f"{seconds(device_s)} on {device}" if device_s else ""
