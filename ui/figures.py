"""Interactive pictures of a decision, each with the table behind it.

Colours are those of Okabe and Ito (2008), which people with a colour vision deficiency can tell apart, and every series
also has a shape or a letter of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from advisor.arms import CANDIDATES
from advisor.report.arms import candidates_as_run
from advisor.report.axes import axis_short, axis_value
from advisor.report.pictures.arm_letters import NO_ARM
from advisor.report.pictures.drawn import cost_curves as drawn_curves
from advisor.report.pictures.drawn import (
    drawn_differences,
    loss_curves,
    map_cells,
    map_letters,
    monthly_total,
    priced_scores,
)
from advisor.results.comparison import Comparison, FlipMap
from advisor.results.quantities import ScoreScale, scale_of
from service.contract.schemas import PricedQualityView
from ui.counted import counted

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
_GREY = COLOURS[-1]
SHAPES = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "triangle-down",
    "stroke",
    "triangle-left",
    "triangle-right",
)
_DASHES = [[1, 0], [6, 3], [1, 3]]
_HEIGHT = 340
_SMALL_HEIGHT = 200


@dataclass(frozen=True)
class Figure:
    """A picture, what it shows in words, and its table."""

    chart: alt.Chart | alt.LayerChart
    caption: str
    table: pd.DataFrame


def show_figure(figure: Figure, key: str) -> None:
    """The picture with its caption, and the table a click away."""
    st.altair_chart(figure.chart, width="stretch", key=key, alt=figure.caption)
    st.caption(figure.caption)
    with st.expander("The table behind this picture"):
        st.dataframe(figure.table, hide_index=True, width="stretch")


def frontier(comparison: Comparison) -> Figure | None:
    """Score against the price of serving, both with their intervals; None where no arm has both."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    points, wanting = priced_scores(comparison)
    if not points:
        return None
    quality = f"{metric} ({scale.unit})"
    frame = pd.DataFrame(
        [
            {
                "arm": point.arm,
                _PRICE: point.usd_per_1000.estimate,
                "price, low": point.usd_per_1000.low,
                "price, high": point.usd_per_1000.high,
                quality: point.score.estimate * scale.factor,
                "quality, low": point.score.low * scale.factor,
                "quality, high": point.score.high * scale.factor,
                "questions": point.n,
                "unscored": point.n_unscored,
                "best for its price": "yes" if point.on_frontier else "no",
            }
            for point in points
        ]
    )
    base = alt.Chart(frame)
    kind = _money_scale(frame["price, low"])
    x = alt.X(f"{_field(_PRICE)}:Q", title=_PRICE, scale=alt.Scale(type=kind, zero=False, padding=40))
    y = alt.Y(f"{_field(quality)}:Q", title=quality, scale=_whole(frame["quality, low"], frame["quality, high"]))
    among = [arm.id for arm in candidates_as_run(comparison)]
    drawn = [str(name) for name in frame["arm"]]
    # Each point has its name beside it.
    colour = _colour(drawn, among=among, has_legend=False)
    steps = (
        alt.Chart(frame[frame["best for its price"] == "yes"])
        .mark_line(interpolate="step-after", strokeDash=[4, 4], strokeWidth=1, color=ink())
        .encode(x=x, y=y)
    )
    bars = base.mark_rule(strokeWidth=2).encode(x=x, y=alt.Y("quality, low:Q"), y2="quality, high:Q", color=colour)
    widths = base.mark_rule(strokeWidth=2).encode(x=alt.X("price, low:Q"), x2="price, high:Q", y=y, color=colour)
    marks = base.mark_point(filled=True, size=120, opacity=1).encode(
        x=x, y=y, color=colour, shape=_shape(drawn, among=among), tooltip=list(frame.columns)
    )
    across = np.log10(frame[_PRICE]) if kind == "log" else frame[_PRICE]
    tall = frame["quality, high"].max() - frame["quality, low"].min()
    placed = alt.Chart(frame.assign(**{"name at": _names_apart(across, frame[quality], tall)}))
    at = {"x": x, "y": alt.Y("name at:Q"), "text": "arm:N"}
    # Lines that pass behind a name are taken out around it.
    halos = placed.mark_text(align="left", dx=10, stroke=_paper(), strokeWidth=5, strokeJoin="round").encode(**at)
    names = placed.mark_text(align="left", dx=10, color=ink()).encode(**at)
    caption = (
        "Up is better, left is cheaper. Lines are 95 % intervals; arms whose lines overlap widely may be equally good. "
        "Arms on the dashed line are the best for their price."
    )
    if wanting:
        caption += f" Not drawn: {', '.join(f'{arm} ({lacks})' for arm, lacks in wanting.items())}."
    layers = steps + bars + widths + marks + halos + names
    return Figure(layers.properties(height=_HEIGHT), caption, frame)


def _whole(low: "pd.Series[float]", high: "pd.Series[float]") -> alt.Scale:
    """A scale that no line reaches beyond."""
    return alt.Scale(domain=[min(0.0, float(low.min())), float(high.max()) * 1.06], nice=True)


def _names_apart(across: "pd.Series[float]", heights: "pd.Series[float]", tall: float) -> list[float]:
    """Where the name of each point stands, so that names of points beside each other are not printed over each other.

    Args:
        across: Of the points, as drawn from left to right. heights: of the points.
        tall: What the picture spans upwards.
    """
    line, near = _NAME_LINE * tall, _NAME_WIDTH * (across.max() - across.min())
    placed: list[tuple[float, float]] = []
    at: dict[int, float] = {}
    for i in heights.argsort():
        height = float(heights.iloc[i]) + line * 0.8
        for beside, taken in sorted(placed, key=lambda one: one[1]):
            if abs(beside - across.iloc[i]) <= near and abs(taken - height) < line:
                height = taken + line
        placed.append((float(across.iloc[i]), height))
        at[int(i)] = height
    return [at[i] for i in range(len(heights))]


_NAME_LINE, _NAME_WIDTH = 0.06, 0.4
"""What a name takes of a picture's height and width."""


def cost_curves(comparison: Comparison, queries_per_month: float) -> Figure | None:
    """Monthly total of each arm over the volume; where two lines cross, their order changes."""
    curves = drawn_curves(comparison, queries_per_month)
    if curves is None:
        return None
    frame = pd.DataFrame(
        [
            {
                "arm": arm,
                "questions a month": volume,
                "monthly cost (USD)": total.estimate,
                "cost, low": total.low,
                "cost, high": total.high,
            }
            for arm, cost in curves.costs.items()
            for volume in curves.volumes
            for total in [monthly_total(cost, volume)]
        ]
    )
    names, among = list(curves.costs), [arm.id for arm in candidates_as_run(comparison)]
    ends = alt.Scale(type="log", domain=[curves.volumes[0], curves.volumes[-1]], nice=False)
    x = alt.X("questions a month:Q", scale=ends, axis=alt.Axis(format="~s", labelOverlap="greedy"))
    scale = alt.Scale(type="log" if (frame["cost, low"] > 0).all() else "symlog")
    axis = alt.Axis(labelOverlap="greedy", format="$~r")
    bands = (
        alt.Chart(frame)
        .mark_area(opacity=0.18)
        .encode(
            x=x,
            y=alt.Y("cost, low:Q", title="monthly cost (USD)", scale=scale, axis=axis),
            y2="cost, high:Q",
            color=_colour(names, among=among, has_legend=False),
        )
    )
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("monthly cost (USD):Q", scale=scale, axis=axis),
            color=_colour(names, among=among),
            strokeDash=alt.StrokeDash("arm:N", scale=alt.Scale(domain=names), legend=alt.Legend(title="arm")),
            tooltip=[
                "arm",
                alt.Tooltip("questions a month:Q", format=",.0f"),
                alt.Tooltip("monthly cost (USD):Q", format=",.4f"),
                alt.Tooltip("cost, low:Q", format=",.4f"),
                alt.Tooltip("cost, high:Q", format=",.4f"),
            ],
        )
    )
    now = (
        alt.Chart(pd.DataFrame({"questions a month": [max(queries_per_month, curves.volumes[0])]}))
        .mark_rule(strokeDash=[2, 2], color=ink())
        .encode(x=x)
    )
    caption = (
        "Both axes grow by factors. The dashed line is your volume; where two arms cross, the cheaper one changes. "
        "Bands are 95 % intervals, from the spread of tokens and seconds."
    )
    if unknown := [arm for arm, cost in curves.costs.items() if cost.serve_interval is None]:
        caption += f" No spread is known of {', '.join(unknown)}."
    if curves.unpriced:
        caption += f" Not drawn: {', '.join(f'{arm} (no price)' for arm in curves.unpriced)}."
    # One legend for bands and lines would be as pale as the bands.
    layers = (bands + lines + now).resolve_scale(color="independent", strokeDash="independent")
    return Figure(layers.properties(height=_HEIGHT), caption, frame)


def decision_map(flip_map: FlipMap, comparison: Comparison) -> Figure:
    """The recommended arm over two inputs, each arm with the colour it has in the other pictures."""
    x_name, y_name = axis_short(flip_map.x_axis), axis_short(flip_map.y_axis)
    cells = list(map_cells(comparison, flip_map))
    letters = map_letters(comparison)
    named = {cell.arm for cell in cells}
    kinds = [kind for kind in letters if kind in named]
    x_told = [axis_value(comparison, flip_map.x_axis, value) for value in flip_map.x_values]
    y_told = [axis_value(comparison, flip_map.y_axis, value) for value in flip_map.y_values]
    frame = pd.DataFrame(
        [
            {
                x_name: x_told[cell.column],
                y_name: y_told[cell.row],
                "arm": cell.arm or _NO_VERDICT,
                "letter": cell.letter,
                "now": cell.is_here,
            }
            for cell in cells
        ]
    )
    has_gaps = None in named
    key = [f"{letters[kind]} {kind}" for kind in kinds] + [f"{NO_ARM} {_NO_VERDICT}"] * has_gaps
    x = alt.X(f"{_field(x_name)}:O", title=x_name, sort=x_told)
    y = alt.Y(f"{_field(y_name)}:O", title=y_name, sort=list(reversed(y_told)))
    base = alt.Chart(frame).encode(x=x, y=y)
    rects = base.mark_rect(opacity=0.55).encode(
        color=_colour(kinds + [_NO_VERDICT] * has_gaps, among=list(letters)),
        tooltip=[x_name, y_name, "arm"],
    )
    text = base.mark_text(fontWeight="bold", color=ink()).encode(text="letter:N")
    here = base.transform_filter("datum.now").mark_rect(fillOpacity=0, stroke=ink(), strokeWidth=3)
    return Figure(
        (rects + text + here).properties(height=_HEIGHT),
        f"What would be recommended ({', '.join(key)}); the frame marks where you are now.",
        frame.drop(columns=["letter"]).rename(columns={"now": "you are here"}),
    )


_NO_VERDICT = "no verdict"


def differences(comparison: Comparison) -> Figure | None:
    """What the arm of the verdict has over each of the others, with intervals and the lines that mark the margin."""
    pairs = drawn_differences(comparison)
    if not pairs:
        return None
    scale, margin = scale_of(comparison, comparison.recommendation.metric), comparison.recommendation.margin
    first = pairs[0].first
    name = f"{first} minus another arm ({scale.unit})"
    frame = pd.DataFrame(
        [
            {
                "pair": f"minus {pair.second}",
                name: pair.interval.estimate * scale.factor,
                "low": pair.interval.low * scale.factor,
                "high": pair.interval.high * scale.factor,
                "p, adjusted": pair.p_adjusted,
                "questions": pair.n,
                "unscored": pair.n_unscored,
                "test": pair.test,
            }
            for pair in pairs
        ]
    )
    base = alt.Chart(frame).encode(y=alt.Y("pair:N", sort=None, title=None, axis=alt.Axis(labelLimit=160)))
    bars = base.mark_rule(strokeWidth=2, color=COLOURS[0]).encode(x=alt.X("low:Q", title=name), x2="high:Q")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X(f"{_field(name)}:Q", title=name), tooltip=list(frame.columns)
    )
    lines = alt.Chart(pd.DataFrame({"at": [-margin * scale.factor, 0.0, margin * scale.factor]}))
    marks = lines.mark_rule(strokeDash=[3, 3], opacity=0.7, color=ink()).encode(x="at:Q")
    return Figure(
        (marks + bars + points).properties(height=max(120, 34 * len(frame) + 40)),
        f"A line that stays right of 0 shows {first} ahead by more than chance. Dashed: 0 and your margin.",
        frame,
    )


def scores_of_runs(runs: Mapping[str, Comparison], metric: str, scale: ScoreScale) -> Figure | None:
    """Each arm's score with its interval in several comparisons; None where no arm has one.

    Args:
        runs: By the name they are shown under; decided by one metric.
    """
    name = f"{metric} ({scale.unit})"
    rows = [
        {
            "arm": arm.id,
            "comparison": told,
            name: summary.interval.estimate * scale.factor,
            "low": summary.interval.low * scale.factor,
            "high": summary.interval.high * scale.factor,
            "questions": summary.n,
        }
        for told, run in runs.items()
        for arm in candidates_as_run(run)
        if (summary := arm.metric(metric)) is not None and summary.interval is not None
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    series = list(runs)
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=600)
    base = alt.Chart(frame).encode(
        y=alt.Y("arm:N", sort=None, title=None, axis=alt.Axis(labelLimit=160)),
        yOffset=alt.YOffset("comparison:N", sort=series),
        color=alt.Color("comparison:N", scale=alt.Scale(domain=series, range=_colours(series)), legend=legend),
    )
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=name), x2="high:Q")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X(f"{_field(name)}:Q", title=name),
        shape=alt.Shape(
            "comparison:N", scale=alt.Scale(domain=series, range=list(SHAPES[: len(series)])), legend=legend
        ),
        tooltip=list(frame.columns),
    )
    height = max(120, (14 * len(series) + 16) * frame["arm"].nunique() + 60 + 20 * len(series))
    caption = "Points are scores, lines their 95 % intervals."
    return Figure((bars + points).properties(height=height), caption, frame)


def training_curves(comparison: Comparison) -> Figure | None:
    """Losses by epoch of each tuned arm."""
    rows = [
        {"arm": arm, "epoch": one.epoch, "loss": loss, "of": said}
        for arm, epochs in loss_curves(comparison).items()
        for one in epochs
        for loss, said in ((one.train, _OF_EPOCH), (one.validation, _VALIDATION))
        if loss is not None
    ]
    return _loss_figure(pd.DataFrame(rows), "epoch")


def live_losses(points: Sequence[Mapping[str, float | int | str | None]]) -> Figure | None:
    """Losses by step, as a run that tunes tells them: at the end of an epoch those of the epoch."""
    arms = {str(point.get("arm") or "fine-tuned") for point in points}
    rows = [
        {"training step": point["done"], "loss": point[key], "of": said}
        | ({"arm": str(point.get("arm") or "fine-tuned")} if len(arms) > 1 else {})
        for point in points
        for of_training in [_OF_STEP if point.get("validation_loss") is None else _OF_EPOCH]
        for key, said in (("train_loss", of_training), ("validation_loss", _VALIDATION))
        if point.get(key) is not None
    ]
    return _loss_figure(pd.DataFrame(rows), "training step")


def resource_curves(
    points: Sequence[Mapping[str, float | int | str | None]], stages: Sequence[tuple[float, str]]
) -> list[Figure]:
    """Processor and memory of a comparison's processes over time, with a numbered line where each stage begins.

    Args:
        points: Events of type "resources".
        stages: When each began, as the points' "at" (seconds since 1970), and its name, in order.
    """
    if not points:
        return []
    marks = [(float(at), f"{i} {name}") for i, (at, name) in enumerate(stages, 1)]
    first_at = min([_number(point, "at") - _number(point, "interval_s") for point in points] + [at for at, _ in marks])
    unit, unit_s = _time_unit(max(_number(point, "at") for point in points) - first_at)
    time = f"{unit} since the start"
    processes = list(dict.fromkeys(str(point["process"]) for point in points))
    processor, memory = [], []
    for point in points:
        at = _number(point, "at")
        begun = [name for start, name in marks if start <= at]
        row = {time: round((at - first_at) / unit_s, 3), "stage": begun[-1] if begun else "before the first stage"}
        whose = f", process {processes.index(str(point['process'])) + 1}" if len(processes) > 1 else ""
        share = 100 * _number(point, "cores_busy") / _number(point, "n_cores")
        processor.append(row | {"of": f"processor{whose}", _PROCESSOR: round(share, 1)})
        for key, name in (("resident_bytes", "main memory"), ("gpu_bytes", "GPU memory")):
            if point.get(key) is not None:
                memory.append(row | {"of": f"{name}{whose}", _MEMORY: round(_number(point, key) / 1e9, 3)})
    span = max(_number(point, "at") for point in points) - first_at
    rules = _stage_rules([((at - first_at) / unit_s, name) for at, name in marks], time, span / unit_s)
    cores = max(int(_number(point, "n_cores")) for point in points)
    said = f"Processor time the comparison took, of {counted(cores, 'core')}."
    figures = [_over_time(processor, time, _PROCESSOR, rules, said)]
    if memory:
        figures.append(_over_time(memory, time, _MEMORY, rules, "The most memory the comparison held at a time."))
    return figures


_PROCESSOR = "processor time (%)"
_MEMORY = "memory (GB)"
_TIME_UNITS = (("seconds", 1.0), ("minutes", 60.0), ("hours", 3600.0))
_TIME_UNIT_HOLDS = 3.0
_LABEL_SHARE = 0.08
"""Of the width; labels of stages that begin nearer to each other become one."""


def _number(point: Mapping[str, float | int | str | None], key: str) -> float:
    return float(point.get(key) or 0.0)


def _time_unit(span_s: float) -> tuple[str, float]:
    """The largest unit of which the span has a few."""
    return next((one for one in reversed(_TIME_UNITS) if span_s >= _TIME_UNIT_HOLDS * one[1]), _TIME_UNITS[0])


def _over_time(rows: Sequence[Mapping[str, object]], time: str, name: str, rules: alt.LayerChart, said: str) -> Figure:
    frame = pd.DataFrame(rows)
    series = list(dict.fromkeys(str(one) for one in frame["of"]))
    scale = alt.Scale(domain=[0, max(100.0, float(frame[name].max()))]) if name == _PROCESSOR else alt.Scale(zero=True)
    legend = alt.Legend(title=None, orient="bottom") if len(series) > 1 else None
    lines = (
        alt.Chart(frame)
        # A point says what was so since the one before it.
        .mark_line(strokeWidth=2, interpolate="step-before")
        .encode(
            x=alt.X(f"{time}:Q", title=time, axis=alt.Axis(format=",~f")),
            y=alt.Y(f"{_field(name)}:Q", title=name, scale=scale, axis=alt.Axis(format=",~f")),
            color=alt.Color("of:N", scale=alt.Scale(domain=series, range=_colours(series)), legend=legend),
            strokeDash=alt.StrokeDash("of:N", scale=alt.Scale(domain=series), legend=legend),
            tooltip=list(frame.columns),
        )
    )
    caption = f"{said} A numbered line marks where a stage begins."
    return Figure((lines + rules).properties(height=_SMALL_HEIGHT), caption, frame)


def _stage_rules(starts: Sequence[tuple[float, str]], time: str, span: float) -> alt.LayerChart:
    """A line where each stage begins, with its number above; numbers without room for themselves stand as a range."""
    numbers = [""] * len(starts)
    label = 0
    for i, (at, _) in enumerate(starts):
        if at - starts[label][0] >= _LABEL_SHARE * span:
            label = i
        numbers[label] = str(i + 1) if i == label else f"{label + 1}–{i + 1}"
    rows = [{time: at, "stage": name, "number": n} for (at, name), n in zip(starts, numbers, strict=True)]
    base = alt.Chart(pd.DataFrame(rows, columns=[time, "stage", "number"])).encode(
        x=alt.X(f"{time}:Q", title=time), tooltip=["stage:N", alt.Tooltip(f"{time}:Q", format=".1f")]
    )
    rules = base.mark_rule(strokeDash=[2, 2], opacity=0.7, color=ink())
    above = base.mark_text(dy=-7, fontSize=11, color=ink()).encode(text="number:N", y=alt.value(0))
    return alt.LayerChart(layer=[rules, above])


_OF_STEP = "training, one step"
_OF_EPOCH = "training, whole epoch"
_VALIDATION = "validation"


def _loss_figure(frame: pd.DataFrame, x: str) -> Figure | None:
    if frame.empty:
        return None
    said = [one for one in (_OF_EPOCH, _VALIDATION, _OF_STEP) if (frame["of"] == one).any()]
    trainings = list(dict.fromkeys(frame["arm"])) if "arm" in frame else []
    by, series = ("arm", trainings) if len(trainings) > 1 else ("of", said)
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(series))]
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolLimit=0)
    dashes = legend if by == "of" else alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolSize=900)
    chart = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X(f"{x}:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("loss:Q", scale=alt.Scale(zero=False), title="loss (nats a token)"),
            color=alt.Color(f"{by}:N", scale=alt.Scale(domain=series, range=_colours(series)), legend=legend),
            shape=alt.Shape(f"{by}:N", scale=alt.Scale(domain=series, range=shapes), legend=legend),
            strokeDash=alt.StrokeDash("of:N", scale=alt.Scale(domain=said, range=_DASHES[: len(said)]), legend=dashes),
            tooltip=list(frame.columns),
        )
    )
    return Figure(
        chart.properties(height=_HEIGHT),
        "Falling lines: training still learns. A validation line that turns upwards: it learns by heart. "
        "Nats are natural units of surprise; 0 is certain of every token.",
        frame,
    )


def price_quality(measured: Sequence[PricedQualityView], scale: ScoreScale) -> Figure | None:
    """Measured arms of several comparisons between the price of a question and quality; None without a price.

    Args:
        measured: Of one dataset and one metric.
    """
    rows = [
        {
            "arm": one.arm,
            "model": one.model,
            _PRICE: one.usd_per_1000_queries,
            "price, low": _first_known(one.usd_per_1000_queries_low, one.usd_per_1000_queries),
            "price, high": _first_known(one.usd_per_1000_queries_high, one.usd_per_1000_queries),
            f"{one.metric} ({scale.unit})": one.score * scale.factor,
            "quality, low": one.score_low * scale.factor,
            "quality, high": one.score_high * scale.factor,
            "questions": one.n,
            "unscored": one.n_unscored,
        }
        for one in measured
        if one.usd_per_1000_queries is not None
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    quality = f"{measured[0].metric} ({scale.unit})"
    base = alt.Chart(frame)
    kind = _money_scale(frame["price, low"])
    x = alt.X(f"{_field(_PRICE)}:Q", title=_PRICE, scale=alt.Scale(type=kind, zero=False))
    y = alt.Y(f"{_field(quality)}:Q", title=quality)
    names = list(dict.fromkeys(str(name) for name in frame["arm"]))
    # In the order of a comparison's arms, so that an arm has the colour it has on the other pages.
    colour, shape = _colour(names, among=CANDIDATES), _shape(names, among=CANDIDATES)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=x, y=alt.Y("quality, low:Q", title=quality), y2="quality, high:Q", color=colour
    )
    widths = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("price, low:Q", title=_PRICE), x2="price, high:Q", y=y, color=colour
    )
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape, tooltip=list(frame.columns)
    )
    caption = "Up is better, left is cheaper. Lines are 95 % intervals. Arms of one dataset and one metric."
    if n_unpriced := len(measured) - len(rows):
        caption += f" Not drawn because no price is known: {counted(n_unpriced, 'arm')}, in the table below."
    return Figure((bars + widths + points).properties(height=_HEIGHT), caption, frame)


_PRICE = "price of 1,000 questions (USD)"


def _first_known(*numbers: float | None) -> float | None:
    return next((number for number in numbers if number is not None), None)


def ink() -> str:
    """Text and guide lines that can be read on the page's background."""
    return "#FAFAFA" if st.context.theme.type == "dark" else "#31333F"


def _paper() -> str:
    """The background of the page."""
    return "#171614" if st.context.theme.type == "dark" else "#FFFFFF"


def _colour(names: Sequence[str], *, among: Sequence[str] = (), has_legend: bool = True) -> alt.Color:
    """Each arm's colour by its place among all arms, so that one that is not drawn leaves the others theirs."""
    colours = [_GREY if name == _NO_VERDICT else COLOURS[i % len(COLOURS)] for name, i in _places(names, among)]
    legend = alt.Legend(title="arm") if has_legend else None
    return alt.Color("arm:N", scale=alt.Scale(domain=list(names), range=colours), legend=legend)


def _places(names: Sequence[str], among: Sequence[str]) -> list[tuple[str, int]]:
    order = list(dict.fromkeys([*among, *names]))
    return [(name, order.index(name)) for name in names]


def _colours(names: Sequence[str]) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(len(names))]


def _shape(names: Sequence[str], *, among: Sequence[str] = ()) -> alt.Shape:
    shapes = [SHAPES[i % len(SHAPES)] for _, i in _places(names, among)]
    return alt.Shape("arm:N", scale=alt.Scale(domain=list(names), range=shapes), legend=None)


def _field(name: str) -> str:
    """A column's name as Vega reads it: brackets and dots would be taken for a path."""
    return name.replace(".", "\\.").replace("[", "\\[").replace("]", "\\]")


def _money_scale(low_ends: "pd.Series[float]") -> Literal["log", "linear"]:
    return "log" if bool((low_ends > 0).all()) else "linear"
