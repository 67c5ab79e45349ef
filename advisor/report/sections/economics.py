"""Cost, waiting time and tokens as tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import commonprefix

from advisor.report.arms import arm_name, candidates, row_kind, shown_arms
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import Comparison, CostEstimate, Interval
from advisor.results.quantities import MISSING, count, percent, seconds, significant, usd, usd_range
from lm.completion import Usage


def cost_table(comparison: Comparison) -> Table:
    """Money per arm, per 1,000 queries rather than per query so that the digits can be read."""
    costs = [arm.cost for arm in comparison.arms if arm.cost is not None]
    columns = [column for column in _COLUMNS if column.always or any(column.cell(cost) != _NOTHING for cost in costs)]
    shared, own = _bases(costs)
    rows = []
    for arm in shown_arms(comparison):
        cells = [_NOTHING if arm.cost is None else column.cell(arm.cost) for column in columns]
        name = Cell(arm_name(comparison, arm), own.get(arm.cost.basis, "") if arm.cost is not None else "")
        rows.append(Row((name, *cells), row_kind(comparison, arm)))
    return Table(
        caption="Cost, in US dollars",
        columns=("Arm", *(column.name for column in columns)),
        rows=tuple(rows),
        note="Computed from measured tokens and seconds and a dated price list. The monthly total spreads the build "
        "over its life and adds refreshing and serving at the declared volume. Ranges in brackets come from the spread "
        "of tokens and seconds between questions; what is built is measured once and has none. "
        f"{_EVALUATION_NOTE if any(cost.evaluation_usd is not None for cost in costs) else ''}"
        f"A dash means not computed, or that no answer was right.{f' Basis: {shared}.' if shared else ''}",
    )


def net_value_table(comparison: Comparison) -> Table | None:
    """What each candidate brings at the declared worth of answers; None where none was declared."""
    if not comparison.net_values:
        return None
    values = {value.arm: value for value in comparison.net_values}
    rows = []
    for arm in candidates(comparison):
        value = values.get(arm.id)
        cells = (_NOTHING, _NOTHING, _NOTHING)
        if value is not None:
            cells = (
                _per_thousand(value.usd_per_question.estimate, value.usd_per_question),
                Cell(usd(arm.cost.monthly_usd if arm.cost else None)),
                Cell(usd(value.usd_per_month.estimate), usd_range(value.usd_per_month)),
            )
        rows.append(Row((Cell(arm_name(comparison, arm)), *cells), row_kind(comparison, arm)))
    return Table(
        caption="Net value, in US dollars",
        columns=("Arm", "Worth of 1,000 answers", "Costs a month", "Brings a month, costs taken off"),
        rows=tuple(rows),
        note="The declared worth of right answers, minus what wrong ones and refusals do harm, over all that users "
        "ask. Answers that could not be scored count as the worst there is. Below zero the arm costs more than it "
        "brings.",
    )


def _build(cost: CostEstimate) -> Cell:
    parts = [(cost.index_usd, "index"), (cost.training_usd, "training")]
    spent = [(amount, name) for amount, name in parts if amount]
    if len(spent) == 1:
        return Cell(usd(cost.build_usd), f"all {spent[0][1]}")
    return Cell(usd(cost.build_usd), " + ".join(f"{name} {usd(amount)}" for amount, name in spent))


def _per_thousand(usd_per_query: float | None, interval: Interval | None = None) -> Cell:
    return Cell(usd(None if usd_per_query is None else usd_per_query * 1000), usd_range(interval, 1000))


def _merged(cost: CostEstimate) -> Cell:
    """Nothing where merging was not seen to change the price."""
    same = cost.merged_serve_usd_per_query == cost.serve_usd_per_query
    return _NOTHING if same else _per_thousand(cost.merged_serve_usd_per_query)


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure of an arm's cost; `always`: shown even where no arm has it."""

    name: str
    cell: Callable[[CostEstimate], Cell]
    always: bool = True


_NOTHING = Cell(MISSING)
_CACHED_NOTE = (
    " Tokens in are those of the whole prompt; 'cached' is the part of them that was not read again, because an "
    "earlier prompt began alike. It costs less only where a provider prices it apart."
)
_EVALUATION_NOTE = "What this comparison itself spent on asking and judging is in no other figure. "
_COLUMNS = (
    _Column("Build, once", _build),
    _Column("Serve 1,000 queries", lambda cost: _per_thousand(cost.serve_usd_per_query, cost.serve_interval)),
    _Column("Serve 1,000, adapter merged", _merged, always=False),
    _Column("1,000 correct answers", lambda cost: _per_thousand(cost.usd_per_correct_answer)),
    _Column("Keep fresh, a month", lambda cost: Cell(usd(cost.refresh_usd_per_month))),
    _Column("Total, a month", lambda cost: Cell(usd(cost.monthly_usd), usd_range(cost.monthly_interval))),
    _Column("This evaluation, once", lambda cost: Cell(usd(cost.evaluation_usd)), always=False),
)


def _bases(costs: Sequence[CostEstimate]) -> tuple[str, dict[str, str]]:
    """How costs were computed: what all arms share, and by whole basis what remains of it for one arm."""
    bases = list(dict.fromkeys(cost.basis for cost in costs))
    if len(bases) < 2:
        return "".join(bases), {}
    parts = [basis.split(", ") for basis in bases]
    n_shared = len(commonprefix(parts))
    return ", ".join(parts[0][:n_shared]), {
        basis: ", ".join(own[n_shared:]) for basis, own in zip(bases, parts, strict=True)
    }


def speed_table(comparison: Comparison) -> Table:
    """Latency for one caller and what a question uses."""
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
                    Cell(_rate(arm.questions_per_s), f"batching changed {batching}" if batching else ""),
                    Cell(count(arm.input_tokens), _reading(usage)),
                    Cell(
                        count(arm.output_tokens),
                        f"{arm.n_length_stopped:,} cut off" if arm.n_length_stopped else "",
                    ),
                    Cell(seconds(arm.build_s), _build_detail(build.device_s, build.device)),
                ),
                row_kind(comparison, arm),
            )
        )
    cached_note = _CACHED_NOTE if any(arm.usage_per_question.cached_tokens for arm in comparison.arms) else ""
    unknown = [f"{arm.id} ({', '.join(arm.unknown)})" for arm in comparison.arms if arm.unknown]
    unknown_note = f" Not known of arms made elsewhere: {'; '.join(unknown)}." if unknown else ""
    return Table(
        caption="Latency, tokens and build time",
        columns=(
            "Arm",
            "p50 latency",
            "p95 latency",
            "Throughput, questions",
            "Tokens in, a question",
            "Tokens out, a question",
            "Build time",
        ),
        rows=tuple(rows),
        note="Latency is measured one question at a time on a warm model: half of the callers wait less than p50, "
        "one in twenty longer than p95. Throughput is measured in batches. 'Cut off' counts answers that met the "
        f"length limit; 'batching changed' counts answers that differ when asked alone.{cached_note}{unknown_note}",
    )


def _rate(questions_per_s: float | None) -> str:
    return MISSING if questions_per_s is None else f"{significant(questions_per_s)}/s"


def _reading(usage: Usage) -> str:
    """What of a prompt was read before, and what was embedded beside it."""
    cached = ""
    if usage.cached_tokens and usage.input_tokens:
        cached = f"{count(usage.cached_tokens)} cached ({percent(usage.cached_tokens / usage.input_tokens)})"
    embedded = f"and {count(usage.embedding_tokens)} embedded" if usage.embedding_tokens else ""
    return ", ".join(filter(None, (cached, embedded)))


def _build_detail(device_s: float, device: str) -> str:
    return f"{seconds(device_s)} on {device}" if device_s else ""
