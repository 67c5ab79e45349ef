"""From which volume on which arm is the cheaper one, as a table and as lines of monthly cost."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from advisor.decision.inputs import Axis
from advisor.report.arms import arm_name, candidates_as_run, pivot_arm, row_kind
from advisor.report.pictures.figure import Figure
from advisor.report.pictures.svg import DASHES, INK, MUTED, arm_colours, label_line_ends, label_text, picture
from advisor.report.table import Cell, Table, row
from advisor.results.comparison import BreakEven, Comparison, CostEstimate
from advisor.results.quantities import MISSING, exact_usd, rounded, usd

_DECADES_SHOWN = 1e3
_POINTS = 61
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
        for pair in _ordered(comparison)
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
    costs = _costs(comparison)
    if not comparison.break_evens or len(costs) < 2:
        return None
    volume = declared_volume(comparison)
    crossings = _crossings(comparison, costs, volume)
    low, high = _domain(volume, [at for at, _ in crossings])
    colours = arm_colours((arm.kind for arm in candidates_as_run(comparison)), comparison.recommendation.arm)
    pivot = pivot_arm(comparison)
    volumes = [low * (high / low) ** (step / (_POINTS - 1)) for step in range(_POINTS)]

    def draw(plot: Any) -> None:
        plot.set_xscale("log")
        plot.set_yscale("log")
        ends = []
        for position, (arm, cost) in enumerate(costs.items()):
            totals = [_total(cost, at) for at in volumes]
            chosen = arm == pivot
            style = "-" if chosen else DASHES[position % len(DASHES)]
            plot.plot(volumes, totals, color=colours[arm], linestyle=style, linewidth=2.2 if chosen else 1.4)
            ends.append((label_text(arm), totals[-1], colours[arm]))
        plot.set_xlim(low, high)
        plot.set_ylim(*plot.get_ylim())
        n_named = 0
        for at, pair in crossings:
            total = _total(costs[pair.first], at)
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
        table=_curve_table(comparison, costs, low, high),
    )


def declared_volume(comparison: Comparison) -> float | None:
    """Questions a month that the verdict was made for; None where the comparison does not say."""
    for flip in comparison.flips:
        if flip.axis == Axis.QUERIES_PER_MONTH:
            return flip.current
    traffic = comparison.settings.get("traffic")
    volume = traffic.get(str(Axis.QUERIES_PER_MONTH)) if isinstance(traffic, Mapping) else None
    return float(volume) if isinstance(volume, int | float) else None


def _curve_table(comparison: Comparison, costs: Mapping[str, CostEstimate], low: float, high: float) -> Table:
    """The lines at whole decades, and what they are made of."""
    decades = [10.0**power for power in range(-6, 12) if low <= 10.0**power <= high]
    return Table(
        caption="What a month costs, by volume",
        columns=("Arm", "At any volume", "Each 1,000 questions", *(f"{rounded(at)} questions" for at in decades)),
        rows=tuple(
            row(
                arm_name(comparison, comparison.arm(arm)),
                usd(cost.fixed_usd_per_month),
                usd(cost.serve_usd_per_query * 1000),
                *(usd(_total(cost, at)) for at in decades),
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


def _ordered(comparison: Comparison) -> list[BreakEven]:
    pivot = pivot_arm(comparison)
    return sorted(comparison.break_evens, key=lambda pair: pivot not in (pair.first, pair.second))


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


def _costs(comparison: Comparison) -> dict[str, CostEstimate]:
    """Of the candidates that can be drawn: nothing on a scale of decades is free."""
    return {
        arm.kind: arm.cost
        for arm in candidates_as_run(comparison)
        if arm.cost is not None and arm.cost.serve_usd_per_query > 0 and isfinite(arm.cost.serve_usd_per_query)
    }


def _total(cost: CostEstimate, volume: float) -> float:
    return cost.fixed_usd_per_month + cost.serve_usd_per_query * volume


def _crossings(
    comparison: Comparison, costs: Mapping[str, CostEstimate], volume: float | None
) -> list[tuple[float, BreakEven]]:
    """Break-evens near enough to the volume to be drawn; without a volume all of them."""
    found = []
    for pair in _ordered(comparison):
        at = pair.queries_per_month
        if at is None or at <= 0 or pair.first not in costs or pair.second not in costs:
            continue
        if not volume or volume / _DECADES_SHOWN <= at <= volume * _DECADES_SHOWN:
            found.append((at, pair))
    return found


def _domain(volume: float | None, crossings: list[float]) -> tuple[float, float]:
    shown = [*crossings, volume] if volume else crossings or [1e4]
    return min(shown) / 10, max(shown) * 10
