"""The recommended arm over two inputs at once, as a grid of letters and as a picture."""

from collections.abc import Mapping
from typing import Any

from advisor.report.axes import axis_short, axis_value
from advisor.report.pictures.arm_letters import NO_ARM
from advisor.report.pictures.drawn import map_cells, map_letters
from advisor.report.pictures.figure import Figure
from advisor.report.pictures.svg import INK, LINE, MUTED, arm_colours, label_text, picture
from advisor.report.table import Table, row
from advisor.results.comparison import Comparison, FlipMap

_TINT = 0.3
_TICKS = 7


def flip_map_table(comparison: Comparison) -> Table | None:
    """Letters in a grid, the highest value of the second input first; None without a map."""
    grid = comparison.flip_map
    if grid is None:
        return None
    letters = map_letters(comparison)
    told = {
        (cell.column, cell.row): f"{cell.letter}{' (now)' if cell.is_here else ''}"
        for cell in map_cells(comparison, grid)
    }
    rows = [
        row(
            _value(comparison, grid.y_axis, grid.y_values[at], grid.y_current),
            *(told[column, at] for column in range(len(grid.x_values))),
        )
        for at in reversed(range(len(grid.y_values)))
    ]
    down, across = (_lower(axis_short(axis)) for axis in (grid.y_axis, grid.x_axis))
    return Table(
        caption=f"Arm to ship, by {down} (down) and {across} (across)",
        columns=("", *(_value(comparison, grid.x_axis, x, grid.x_current) for x in grid.x_values)),
        rows=tuple(rows),
        note=f"{_key(grid, letters)}. Everything else stays as it is. The map follows the rule of the verdict, so that "
        "an arm may be named for being cheap and no worse.",
    )


def flip_map_sentence(comparison: Comparison) -> str:
    """What the map says where it says the same in every cell; "" otherwise."""
    grid = comparison.flip_map
    if grid is None or len(_named(grid)) > 1:
        return ""
    arm = next(iter(_named(grid)))
    x_low, x_high = (axis_value(comparison, grid.x_axis, x) for x in (grid.x_values[0], grid.x_values[-1]))
    y_low, y_high = (axis_value(comparison, grid.y_axis, y) for y in (grid.y_values[0], grid.y_values[-1]))
    named = "No arm could be chosen" if arm is None else f"{arm} is the choice"
    return (
        f"{named} everywhere on the map of {_lower(axis_short(grid.x_axis))} ({x_low} to {x_high}) and "
        f"{_lower(axis_short(grid.y_axis))} ({y_low} to {y_high}), which is therefore not drawn."
    )


def flip_map_figure(comparison: Comparison) -> Figure | None:
    """Cells with letter and colour, the current one framed; None where every cell says the same."""
    grid, table = comparison.flip_map, flip_map_table(comparison)
    if grid is None or table is None or len(_named(grid)) < 2:
        return None
    letters = map_letters(comparison)
    colours = arm_colours(letters, comparison.recommendation.arm)
    here = (grid.x_values.index(grid.x_current), grid.y_values.index(grid.y_current))

    def draw(plot: Any) -> None:
        from matplotlib.patches import Patch, Rectangle

        for cell in map_cells(comparison, grid):
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": LINE, "hatch": "////", "linewidth": 0}
            if cell.arm is not None:
                look = {"facecolor": colours.get(cell.arm, MUTED), "alpha": _TINT, "linewidth": 0}
            plot.add_patch(Rectangle((cell.column - 0.5, cell.row - 0.5), 1, 1, **look))
            plot.text(cell.column, cell.row, cell.letter, ha="center", va="center", fontsize=8, color=INK)
        _draw_borders(plot, grid)
        plot.add_patch(Rectangle((here[0] - 0.5, here[1] - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=2.2))
        plot.set_xlim(-0.5, len(grid.x_values) - 0.5)
        plot.set_ylim(-0.5, len(grid.y_values) - 0.5)
        for setter, axis, values, current in (
            (plot.set_xticks, grid.x_axis, grid.x_values, here[0]),
            (plot.set_yticks, grid.y_axis, grid.y_values, here[1]),
        ):
            ticks = _ticks(len(values), current)
            setter(ticks, [label_text(axis_value(comparison, axis, values[tick])) for tick in ticks])
        for label in plot.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
        plot.set_xlabel(label_text(axis_short(grid.x_axis)))
        plot.set_ylabel(label_text(axis_short(grid.y_axis)))
        shown = [arm for arm in letters if arm in _named(grid)]
        plot.figure.legend(
            handles=[
                Patch(facecolor=colours[arm], alpha=_TINT, label=f"{letters[arm]}: {label_text(arm)}") for arm in shown
            ],
            loc="outside lower center",
            ncols=min(3, len(shown)),
            frameon=False,
            labelcolor=INK,
            fontsize=8.5,
        )

    title = "Which arm to ship, if two things were different"
    return Figure(
        name="flip-map",
        title=title,
        description="Each cell names the arm that the same rule would choose there. The framed cell is where you are; "
        "the nearer a border, the easier the verdict tips.",
        svg=picture("flip-map", title, draw, height=4.0, grid=None),
        table=table,
    )


def _draw_borders(plot: Any, grid: FlipMap) -> None:
    """A line wherever the choice changes from one cell to the next."""
    for y, arms in enumerate(grid.arms):
        for x, arm in enumerate(arms):
            if x and arms[x - 1] != arm:
                plot.plot([x - 0.5, x - 0.5], [y - 0.5, y + 0.5], color=INK, linewidth=1)
            if y and grid.arms[y - 1][x] != arm:
                plot.plot([x - 0.5, x + 0.5], [y - 0.5, y - 0.5], color=INK, linewidth=1)


def _ticks(n_values: int, current: int) -> list[int]:
    """Evenly spaced positions, the current one among them."""
    step = max(1, -(-n_values // _TICKS))
    return list(range(current % step, n_values, step))


def _named(grid: FlipMap) -> set[str | None]:
    return {arm for arms in grid.arms for arm in arms}


def _key(grid: FlipMap, letters: Mapping[str, str]) -> str:
    named = _named(grid)
    key = [f"{letter} is {arm}" for arm, letter in letters.items() if arm in named]
    return ", ".join([*key, f"{NO_ARM} is no arm"] if None in named else key)


def _value(comparison: Comparison, axis: str, value: float, current: float) -> str:
    return f"{axis_value(comparison, axis, value)}{' (now)' if value == current else ''}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
