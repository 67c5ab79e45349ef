"""Quality and paired differences as tables."""

from dataclasses import replace

from advisor.data.dataset import Slice
from advisor.report.arms import arm_cell, arm_name, pivot_arm, row_kind, shown_arms
from advisor.report.table import Cell, Row, Table, row
from advisor.report.words import metric_words, slice_words
from advisor.results.comparison import ArmRole, Comparison, Interval, MetricSummary, PairedDifference
from advisor.results.quantities import MISSING, ScoreScale, count, p_value, scale_of, unscored

OVERALL = "overall, by traffic"

SLICE_MEANING = {
    Slice.SEEN_FACT: "The fact was asked in training, in other words: tuning can have learnt it.",
    Slice.UNSEEN_FACT: "Only the documents hold the fact: tuning on questions cannot know it, retrieval can find it.",
    Slice.UNANSWERABLE: "No document answers the question: the right answer is to say so.",
    Slice.NEW_CASE: "A case that training did not show: tuning and examples can have learnt the form of its answer.",
}


def measured_slices(comparison: Comparison, metric: str) -> list[Slice]:
    """The slices some arm has a summary of, in their usual order."""
    found = {summary.slice for arm in comparison.arms for summary in arm.metrics if summary.metric == metric}
    return [part for part in Slice if part in found]


def other_metrics(comparison: Comparison) -> list[str]:
    """Metrics besides the deciding one, in the order arms report them."""
    names = dict.fromkeys(summary.metric for arm in comparison.arms for summary in arm.metrics)
    return [name for name in names if name != comparison.recommendation.metric]


def quality_table(comparison: Comparison, metric: str | None = None) -> Table:
    """One metric (the deciding one if none is named) per arm, overall and per slice."""
    metric = metric or comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    slices = measured_slices(comparison, metric)
    parts: list[Slice | None] = [None, *slices]
    return Table(
        caption=f"Quality: {_named(metric)}, in {scale.unit}",
        columns=("Arm", *(OVERALL if part is None else slice_words(part) for part in parts)),
        rows=tuple(
            Row(
                (arm_cell(comparison, arm), *(summary_cell(arm.metric(metric, part), scale) for part in parts)),
                row_kind(comparison, arm),
            )
            for arm in shown_arms(comparison)
        ),
        note=_quality_note(comparison, scale, slices),
    )


def other_metrics_table(comparison: Comparison) -> Table | None:
    """The remaining metrics per arm, over all slices by traffic."""
    metrics = other_metrics(comparison)
    if not metrics:
        return None
    scales = {metric: scale_of(comparison, metric) for metric in metrics}
    return Table(
        caption="Other metrics, overall by traffic",
        columns=("Arm", *(f"{metric} ({scales[metric].unit})" for metric in metrics)),
        rows=tuple(
            Row(
                (Cell(arm_name(comparison, arm)), *(summary_cell(arm.metric(name), scales[name]) for name in metrics)),
                row_kind(comparison, arm),
            )
            for arm in shown_arms(comparison)
        ),
        note="These do not decide the verdict. A dash means that the metric was not measured for the arm.",
    )


def summary_cell(summary: MetricSummary | None, scale: ScoreScale) -> Cell:
    """Estimate and interval, then how many questions are behind it."""
    if summary is None:
        return Cell(MISSING)
    detail = ", ".join(filter(None, (f"n {count(summary.n)}", unscored(summary.n_unscored))))
    return Cell(scale.interval(summary.interval), detail)


def differences_with_pivot(comparison: Comparison) -> list[PairedDifference]:
    """Differences of the deciding metric to the pivot arm, each turned to read 'pivot minus other'."""
    pivot = pivot_arm(comparison)
    return [
        _turned(difference) if difference.second == pivot else difference
        for difference in comparison.differences
        if difference.metric == comparison.recommendation.metric and pivot in (difference.first, difference.second)
    ]


def other_differences(comparison: Comparison) -> list[PairedDifference]:
    """All differences that `differences_with_pivot` leaves out."""
    pivot = pivot_arm(comparison)
    return [
        difference
        for difference in comparison.differences
        if difference.metric != comparison.recommendation.metric or pivot not in (difference.first, difference.second)
    ]


def difference_table(comparison: Comparison, differences: list[PairedDifference], caption: str) -> Table:
    """Paired differences with what they mean."""
    margin = comparison.recommendation.margin
    deciding = comparison.recommendation.metric
    scale = scale_of(comparison, deciding)
    return Table(
        caption=caption,
        columns=("First minus second", "Difference", "p adjusted", "Questions", "Reading"),
        rows=tuple(
            row(
                Cell(
                    f"{named_with_role(comparison, difference.first)} minus "
                    f"{named_with_role(comparison, difference.second)}",
                    "" if difference.metric == deciding else difference.metric,
                ),
                scale_of(comparison, difference.metric).difference(difference.interval),
                Cell(p_value(difference.p_adjusted), difference.test),
                Cell(
                    count(difference.n),
                    ", ".join(
                        filter(None, (f"{count(difference.n_clusters)} clusters", unscored(difference.n_unscored)))
                    ),
                ),
                reading(difference.interval, margin) if difference.metric == deciding else MISSING,
            )
            for difference in differences
        ),
        note=_race_difference_note(margin, scale)
        if comparison.race is not None
        else f"Both arms answered the same questions, and the scores are subtracted question by question, in "
        f"{scale.unit}. If the range in brackets holds 0, chance alone could explain the difference. The margin "
        f"declared before the run is {scale.value(margin)} {scale.unit}: smaller differences do not matter. Ranges "
        "and p are adjusted together for the number of pairs looked at (Holm). Clusters are questions about one fact "
        "or document, which count together.",
    )


def _race_difference_note(margin: float, scale: ScoreScale) -> str:
    return (
        f"Scores are subtracted on the questions that both arms were asked, in {scale.unit}. The ranges in brackets "
        "are confidence sequences for all pairs at once: they hold at whatever moment a race stops, and are wider than "
        "intervals of a sample of fixed size. The figure before them is their middle, since a mean at a moment that "
        "the data chose leans. A pair that parted early was asked little, and may read undecided though one of the two "
        f"lost to a third. The margin declared before the run is {scale.value(margin)} {scale.unit}. p is adjusted for "
        "all pairs. Clusters are questions about one fact or document, which count together."
    )


def reading(interval: Interval, margin: float) -> str:
    """What an interval of a difference means, given the margin; both in score units."""
    if interval.low > 0:
        return "better" if interval.estimate >= margin else "better, by less than the margin"
    if interval.high < 0:
        return "worse" if interval.estimate <= -margin else "worse, by less than the margin"
    if interval.low > -margin:
        return "equal within the margin" if interval.high < margin else "not worse than the margin"
    return "undecided"


def named_with_role(comparison: Comparison, kind: str) -> str:
    """The name of an arm, marked where it is a reference."""
    role = next((arm.role for arm in comparison.arms if arm.id == kind), ArmRole.CANDIDATE)
    return f"{kind} (reference)" if role is ArmRole.REFERENCE else kind


def _turned(difference: PairedDifference) -> PairedDifference:
    interval = difference.interval
    return replace(
        difference,
        first=difference.second,
        second=difference.first,
        interval=replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low),
    )


def _quality_note(comparison: Comparison, scale: ScoreScale, slices: list[Slice]) -> str:
    unit = (
        "Points run from 0 to 100: 100 means that every answer scored full marks."
        if scale.factor != 1
        else "The figures are in units of the metric."
    )
    if comparison.race is not None:
        unit += (
            " In a race an arm is asked until it leaves, so n differs from arm to arm, and the ranges are confidence "
            "sequences, each for its own figure, which hold at whatever moment the race stopped."
        )
    level = next((s.interval.level for a in comparison.arms for s in a.metrics if s.interval is not None), 0.95)
    return (
        f"{unit} The range in brackets is where the true value plausibly lies ({level:.0%} interval). "
        "n counts scored questions; unscored ones are left out, never counted as 0. References give scale and cannot "
        "be chosen. " + " ".join(f"{_upper(slice_words(part))}: {SLICE_MEANING[part]}" for part in slices)
    ).rstrip()


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(metric: str) -> str:
    words = metric_words(metric)
    return metric if words == metric else f"{words} ({metric})"
