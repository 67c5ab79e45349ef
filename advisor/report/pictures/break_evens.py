"""From which volume on which arm is the cheaper one, as a table and as lines of monthly cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from advisor.report.arms import arm_name, candidates_as_run, pivot_arm, row_kind
from advisor.report.pictures.drawn import break_evens, cost_curves, declared_volume, monthly_total
from advisor.report.pictures.figure import Figure
from advisor.report.pictures.svg import DASHES, INK, MUTED, arm_colours, label_line_ends, label_text, picture
from advisor.report.table import Cell, Table, row
from advisor.results.comparison import BreakEven, Comparison, CostEstimate
from advisor.results.quantities import MISSING, exact_usd, rounded, usd

_NOTE_ROWS = 4


def break_even_table(comparison: Comparison) -> Table | None:
    """Every pair of candidates, those with the arm named in the verdict first; None where no pair has prices."""
    if not comparison.break_evens:
        return None
    volume = declared_volume(comparison)
    rows = [
        row(
            f"{pair.first} and {pair.second}",
            _cheaper(pair, volume),
            _crossing(pair),
            _spread(pair),
        )
        for pair in break_evens(comparison)
    ]
    return Table(
        caption="Break-even, in questions a month",
        columns=("Arms", "Cheaper", "Cost the same at", "Within the spread"),
        rows=tuple(rows),
        note="Monthly totals are compared: builds spread over their life, keeping fresh, and serving. The spread "
        "lets the serving costs of both arms err as far as was measured, in opposite directions, so that it is rather "
        "too wide than too narrow.",
    )


def cost_curve_figure(comparison: Comparison) -> Figure | None:
    """Monthly total over volume for each candidate; None where no two candidates have prices."""
    volume = declared_volume(comparison)
    curves = cost_curves(comparison, volume)
    if curves is None or not comparison.break_evens or len(curves.costs) < 2:
        return None
    costs, volumes = curves.costs, curves.volumes
    colours = arm_colours((arm.id for arm in candidates_as_run(comparison)), comparison.recommendation.arm)
    pivot = pivot_arm(comparison)

    def draw(plot: Any) -> None:
        plot.set_xscale("log")
        plot.set_yscale("log")
        ends = []
        for position, (arm, cost) in enumerate(costs.items()):
            totals = [monthly_total(cost, at).estimate for at in volumes]
            chosen = arm == pivot
            style = "-" if chosen else DASHES[position % len(DASHES)]
            plot.plot(volumes, totals, color=colours[arm], linestyle=style, linewidth=2.2 if chosen else 1.4)
            ends.append((label_text(arm), totals[-1], colours[arm]))
        plot.set_xlim(volumes[0], volumes[-1])
        plot.set_ylim(*plot.get_ylim())
        n_named = 0
        for at, pair in curves.crossings:
            total = monthly_total(costs[pair.first], at).estimate
            named = pivot in (pair.first, pair.second)
            plot.plot(at, total, "o", markersize=6 if named else 3.5, color=INK if named else MUTED)
            if named:
                plot.plot([at, at], [plot.get_ylim()[0], total], color=INK, linewidth=0.8)
                _note(plot, rounded(at), at, 0.04 + 0.08 * (n_named % _NOTE_ROWS), INK, side="left")
                n_named += 1
        if volume is not None and volume > 0:
            plot.axvline(volume, color=MUTED, linewidth=1, linestyle=":")
            _note(plot, f"now: {rounded(volume)}", volume, 0.96, MUTED, side="right")
        plot.xaxis.set_major_formatter(lambda value, _: rounded(value))
        plot.yaxis.set_major_formatter(lambda value, _: exact_usd(value))
        plot.minorticks_off()
        plot.set_xlabel("questions a month")
        plot.set_ylabel("US dollars a month")
        label_line_ends(plot, ends)

    title = "What a month costs, by volume"
    return Figure(
        name="cost-curves",
        title=title,
        description="Lower is cheaper. Lines start flat where building and keeping fresh weigh most, and rise where "
        "serving does. A dot is a break-even; those of the arm named in the verdict (solid line) carry their volume.",
        svg=picture("cost-curves", title, draw, height=3.4, grid="both"),
        table=_curve_table(comparison, costs, volumes),
    )


def _curve_table(comparison: Comparison, costs: Mapping[str, CostEstimate], volumes: Sequence[float]) -> Table:
    """The lines at whole decades, and what they are made of."""
    decades = [10.0**power for power in range(-6, 12) if volumes[0] <= 10.0**power <= volumes[-1]]
    return Table(
        caption="What a month costs, by volume",
        columns=("Arm", "At any volume", "Each 1,000 questions", *(f"{rounded(at)} questions" for at in decades)),
        rows=tuple(
            row(
                arm_name(comparison, comparison.arm(arm)),
                usd(cost.fixed_usd_per_month),
                usd(cost.serve_usd_per_query * 1000),
                *(usd(monthly_total(cost, at).estimate) for at in decades),
                kind=row_kind(comparison, comparison.arm(arm)),
            )
            for arm, cost in costs.items()
        ),
    )


def _note(plot: Any, text: str, at: float, height: float, colour: str, *, side: str) -> None:
    """Text at the foot or head of a vertical line, where lines that rise to the right seldom pass.

    Args:
        height: Share of the height of the axes.
        side: Which end of the text is at the line.
    """
    plot.annotate(
        text,
        (at, height),
        xycoords=("data", "axes fraction"),
        xytext=(4 if side == "left" else -4, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=8,
        color=colour,
    )


def _crossing(pair: BreakEven) -> str:
    if pair.queries_per_month is not None:
        return rounded(pair.queries_per_month)
    return "at every volume" if pair.cheaper_above is None else "never"


def _spread(pair: BreakEven) -> str:
    if pair.queries_per_month is None:
        if pair.low is None:
            return MISSING
        return f"perhaps from {rounded(pair.low)} on"
    if pair.low is None:
        return "not measured"
    return f"{rounded(pair.low)} or more, perhaps never" if pair.high is None else f"{_range(pair.low, pair.high)}"


def _range(low: float, high: float) -> str:
    return f"{rounded(low)} to {rounded(high)}"


def _cheaper(pair: BreakEven, volume: float | None) -> Cell:
    if pair.cheaper_below is None or pair.cheaper_above is None:
        return Cell("neither")
    if pair.queries_per_month is None:
        return Cell(f"always {pair.cheaper_below}")
    at_volume = ""
    if volume is not None:
        below = volume < pair.queries_per_month
        at_volume = f"at {rounded(volume)}: {pair.cheaper_below if below else pair.cheaper_above}"
    return Cell(f"{pair.cheaper_below} below, {pair.cheaper_above} above", at_volume)
