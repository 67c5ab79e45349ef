"""The pictures of a comparison as SVG, each with the table behind it."""

from collections.abc import Callable
from typing import Any

from advisor.report.arms import arm_name, references, row_kind, shown_arms
from advisor.report.pictures.drawn import EpochLosses, drawn_differences, loss_curves, priced_scores
from advisor.report.pictures.figure import Figure
from advisor.report.pictures.svg import (
    ACCENT,
    BAND,
    INK,
    REFERENCE,
    SECOND,
    SERIES,
    error_bar,
    has_points,
    label_text,
    picture,
    place_labels,
)
from advisor.report.sections.quality import (
    OVERALL,
    SLICE_MEANING,
    difference_table,
    measured_slices,
    named_with_role,
)
from advisor.report.table import Cell, Row, Table, row
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Interval, MetricSummary
from advisor.results.quantities import ScoreScale, exact_usd, scale_of, seconds, significant, usd

_OVERALL_MEANING = (
    "All slices, weighted by what users ask. Dots are estimates, lines their intervals; the diamond is the arm named "
    "in the verdict, squares are references. Arms whose lines overlap widely may be equally good."
)


def quality_figures(comparison: Comparison) -> list[Figure]:
    """The deciding metric with intervals, per arm: overall first, then slice by slice."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    arms = shown_arms(comparison)
    drawn = []
    for part in (None, *measured_slices(comparison, metric)):
        found = [(arm, arm.metric(metric, part)) for arm in arms]
        points = [(arm, summary.interval) for arm, summary in found if summary is not None and summary.interval]
        if not has_points(interval for _, interval in points):
            continue
        name = OVERALL if part is None else part.value
        title = f"{metric}, {name}"
        drawn.append(
            Figure(
                name=f"quality-{'overall' if part is None else part.value}",
                title=title,
                description=_OVERALL_MEANING if part is None else SLICE_MEANING[part],
                svg=_dots_and_whiskers(
                    comparison, f"quality-{name}", title, points, scale.factor, _points_axis(scale.factor, scale.unit)
                ),
                table=_summary_table(comparison, title, found, scale),
            )
        )
    return drawn


def difference_figure(comparison: Comparison) -> Figure | None:
    """Paired differences of the recommended (or best) arm to the others, with the margin as a band."""
    differences = drawn_differences(comparison)
    if not differences:
        return None
    scale = scale_of(comparison, comparison.recommendation.metric)
    margin = comparison.recommendation.margin * scale.factor
    pivot = differences[0].first
    title = f"How far {pivot} is from the others"

    def draw(plot: Any) -> None:
        plot.axvspan(-margin, margin, color=BAND, linewidth=0)
        plot.axvline(0, color=INK, linewidth=0.8)
        for position, difference in enumerate(differences):
            reference = comparison.arm(difference.second).role is ArmRole.REFERENCE
            error_bar(plot, difference.interval, position, scale.factor, "reference" if reference else "candidate")
        labels = [f"to {label_text(named_with_role(comparison, d.second))}" for d in differences]
        plot.set_yticks(range(len(labels)), labels)
        plot.set_ylim(len(labels) - 0.5, -0.5)
        plot.set_xlabel(f"{label_text(pivot)} minus the other, in {scale.unit}")

    return Figure(
        name="differences",
        title=title,
        description="Right of the line the arm named scores higher. The band is the margin: differences inside it do "
        "not matter. A line that crosses zero could be chance.",
        svg=picture("differences", title, draw, height=_height(len(differences))),
        table=difference_table(comparison, differences, f"Paired differences of {pivot} to the others"),
    )


def frontier_figure(comparison: Comparison) -> Figure | None:
    """Quality over serving cost, with the line of arms that no other arm beats on both."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    points, _ = priced_scores(comparison)
    if len(points) < 2:
        return None
    costs = [point.usd_per_1000.estimate for point in points]
    best = sorted((point.usd_per_1000.estimate, point.score.estimate) for point in points if point.on_frontier)

    def draw(plot: Any) -> None:
        if min(costs) > 0 and max(costs) / min(costs) > 20:
            plot.set_xscale("log")
        steps = [(cost, score * scale.factor) for cost, score in best]
        plot.step(*zip(*steps, strict=True), where="post", color=SECOND, linewidth=1, linestyle="--")
        for point in points:
            kind = "recommended" if point.arm == comparison.recommendation.arm else "candidate"
            error_bar(plot, point.score, point.usd_per_1000.estimate, scale.factor, kind, vertical=True)
        plot.margins(x=0.2, y=0.14)
        plot.xaxis.set_major_formatter(lambda value, _: exact_usd(value))
        plot.tick_params(axis="x", labelrotation=20)
        plot.set_xlabel("serving 1,000 queries, US dollars")
        plot.set_ylabel(_points_axis(scale.factor, scale.unit))
        labels = [(label_text(p.arm), p.usd_per_1000.estimate, p.score.estimate * scale.factor) for p in points]
        place_labels(plot, labels)
        for reference in references(comparison):
            summary = reference.metric(metric)
            if summary is not None and summary.interval is not None and has_points([summary.interval]):
                height = summary.interval.estimate * scale.factor
                plot.axhline(height, color=REFERENCE, linewidth=0.8, linestyle=":")
                plot.annotate(
                    label_text(arm_name(comparison, reference)),
                    (1, height),
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    va="bottom",
                    color=REFERENCE,
                    fontsize=7,
                )

    rows = [
        Row(
            (
                Cell(arm_name(comparison, comparison.arm(point.arm))),
                Cell(usd(point.usd_per_1000.estimate)),
                Cell(scale.interval(point.score)),
                Cell("no" if point.on_frontier else "yes"),
            ),
            row_kind(comparison, comparison.arm(point.arm)),
        )
        for point in points
    ]
    return Figure(
        name="frontier",
        title="Quality against serving cost",
        description="Up is better, left is cheaper. Arms on the dashed line are worth considering; another arm is both "
        "cheaper and at least as good as those below it. Grey dotted lines are references.",
        svg=picture("frontier", "Quality against serving cost", draw, height=3.4, grid="both"),
        table=Table(
            "Quality against serving cost",
            ("Arm", "Serve 1,000 queries", f"{metric} ({scale.unit})", "Beaten on both"),
            tuple(rows),
        ),
    )


def latency_figure(comparison: Comparison) -> Figure | None:
    """Median and 95th percentile of the wait, per arm."""
    arms = [(arm, arm.latency) for arm in shown_arms(comparison) if arm.latency is not None]
    if not arms:
        return None

    def draw(plot: Any) -> None:
        for position, (arm, waiting) in enumerate(arms):
            colour = REFERENCE if arm.role is ArmRole.REFERENCE else ACCENT
            plot.plot([waiting.p50_s, waiting.p95_s], [position, position], color=colour, linewidth=1.2)
            plot.plot(waiting.p50_s, position, marker="o", markersize=6, color=colour)
            plot.plot(waiting.p95_s, position, marker="|", markersize=11, markeredgewidth=2, color=colour)
        _name_rows(plot, comparison, [arm for arm, _ in arms])
        plot.set_xlim(left=0)
        plot.set_xlabel("seconds until the answer (dot: p50, bar: p95)")

    return Figure(
        name="latency",
        title="Latency for one caller",
        description="The dot is the median (p50), the end of the bar the p95 latency. Shorter is better.",
        svg=picture("latency", "Latency for one caller", draw, height=_height(len(arms))),
        table=Table(
            "Latency",
            ("Arm", "p50", "p95", "Measured questions"),
            tuple(
                row(
                    arm_name(comparison, arm),
                    seconds(waiting.p50_s),
                    seconds(waiting.p95_s),
                    f"{waiting.n:,}",
                    kind=row_kind(comparison, arm),
                )
                for arm, waiting in arms
            ),
        ),
    )


def token_figure(comparison: Comparison) -> Figure | None:
    """Tokens in and out of a question, per arm."""
    arms = shown_arms(comparison)
    if not arms:
        return None

    def draw(plot: Any) -> None:
        for position, arm in enumerate(arms):
            usage = arm.usage_per_question
            plot.barh(position - 0.19, usage.input_tokens, 0.36, color=ACCENT, linewidth=0)
            plot.barh(position + 0.19, usage.output_tokens, 0.36, facecolor="none", edgecolor=SECOND, hatch="////")
        _name_rows(plot, comparison, arms)
        plot.set_xlabel("tokens a question (solid: in, hatched: out)")

    return Figure(
        name="tokens",
        title="Tokens a question uses",
        description="Solid bars are tokens read, hatched bars tokens written. Retrieved passages and examples make the "
        "solid bar long, and every one is paid for again with each question.",
        svg=picture("tokens", "Tokens a question uses", draw, height=_height(len(arms))),
        table=Table(
            "Tokens a question uses",
            ("Arm", "In", "Out", "Embedded"),
            tuple(
                row(
                    arm_name(comparison, arm),
                    significant(arm.input_tokens),
                    significant(arm.output_tokens),
                    significant(arm.usage_per_question.embedding_tokens),
                    kind=row_kind(comparison, arm),
                )
                for arm in arms
            ),
        ),
    )


def training_figures(comparison: Comparison) -> list[Figure]:
    """Loss on training and validation data by epoch, one picture an arm; empty where nothing was tuned."""
    drawn = []
    for index, (arm, epochs) in enumerate(loss_curves(comparison).items()):
        drawn.append(
            Figure(
                name=f"training-{index}",
                title=f"Training of {arm}",
                description="Loss is how surprised the model is by the right answer; lower is better. Validation loss "
                "that rises while training loss falls means that the model memorises.",
                svg=picture(f"training-{index}", f"Training of {arm}", _loss_curves(epochs), height=2.4, grid="both"),
                table=Table(
                    f"Training of {arm}",
                    ("Epoch", "Training loss", "Validation loss"),
                    tuple(
                        row(
                            significant(one.epoch),
                            significant(one.train),
                            significant(one.validation),
                        )
                        for one in epochs
                    ),
                ),
            )
        )
    return drawn


def _loss_curves(epochs: list[EpochLosses]) -> Callable[[Any], None]:
    training = [(one.epoch, one.train) for one in epochs if one.train is not None]
    validation = [(one.epoch, one.validation) for one in epochs if one.validation is not None]
    lines = ((training, "training", "o", "-"), (validation, "validation", "s", "--"))

    def draw(plot: Any) -> None:
        for (known, name, marker, style), colour in zip(lines, SERIES, strict=True):
            if known:
                plot.plot(
                    *zip(*known, strict=True),
                    marker=marker,
                    linestyle=style,
                    color=colour,
                    markersize=4,
                    linewidth=1.3,
                    label=name,
                )
        plot.set_xlabel("epoch")
        plot.set_ylabel("loss")
        plot.legend(frameon=False, labelcolor=INK, fontsize=8)

    return draw


def _dots_and_whiskers(
    comparison: Comparison, name: str, title: str, points: list[tuple[ArmSummary, Interval]], factor: float, label: str
) -> str:
    def draw(plot: Any) -> None:
        for position, (arm, interval) in enumerate(points):
            kind = "reference" if arm.role is ArmRole.REFERENCE else "candidate"
            kind = "recommended" if arm.id == comparison.recommendation.arm else kind
            error_bar(plot, interval, position, factor, kind)
        _name_rows(plot, comparison, [arm for arm, _ in points])
        if factor == 100:
            plot.set_xlim(-2, 102)
        plot.set_xlabel(label)

    return picture(name, title, draw, height=_height(len(points)))


def _summary_table(
    comparison: Comparison, title: str, found: list[tuple[ArmSummary, MetricSummary | None]], scale: ScoreScale
) -> Table:
    return Table(
        title,
        ("Arm", f"Estimate and interval ({scale.unit})", "Scored questions", "Unscored"),
        tuple(
            row(
                arm_name(comparison, arm),
                scale.interval(summary.interval),
                f"{summary.n:,}",
                f"{summary.n_unscored:,}",
                kind=row_kind(comparison, arm),
            )
            for arm, summary in found
            if summary is not None
        ),
    )


def _name_rows(plot: Any, comparison: Comparison, arms: list[ArmSummary]) -> None:
    plot.set_yticks(range(len(arms)), [label_text(named_with_role(comparison, arm.id)) for arm in arms])
    plot.set_ylim(len(arms) - 0.4, -0.6)


def _height(n_rows: int) -> float:
    return 0.75 + 0.27 * max(n_rows, 2)


def _points_axis(factor: float, unit: str) -> str:
    return f"{unit} (0 to 100)" if factor == 100 else unit
