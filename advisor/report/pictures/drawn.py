"""What the pictures of a decision show, for those who draw them: the report as SVG, the page as charts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from advisor.decision.inputs import Axis
from advisor.report.arms import candidates, candidates_as_run, pivot_arm
from advisor.report.facts import frontier
from advisor.report.pictures.arm_letters import NO_ARM, arm_letters
from advisor.report.sections.provenance import CURVES_SETTING
from advisor.report.sections.quality import differences_with_pivot
from advisor.results.comparison import BreakEven, Comparison, CostEstimate, FlipMap, Interval, PairedDifference

_DECADES_SHOWN = 1e3
_POINTS = 61


@dataclass(frozen=True, slots=True)
class PricedScore:
    """A candidate between price and score.

    Attributes:
        usd_per_1000: Serving 1,000 questions; low and high are the estimate where no spread was measured.
        on_frontier: No candidate scores as high for less money.
    """

    arm: str
    usd_per_1000: Interval
    score: Interval
    n: int
    n_unscored: int
    on_frontier: bool


def priced_scores(comparison: Comparison) -> tuple[list[PricedScore], dict[str, str]]:
    """Candidates with a score and a price, best first; of the others what they want, by arm."""
    points, wanting = [], {}
    best = frontier(comparison)
    for arm in candidates(comparison):
        summary, cost = arm.metric(comparison.recommendation.metric), arm.cost
        score = summary.interval if summary is not None else None
        has_score = score is not None and isfinite(score.estimate)
        if summary is None or score is None or cost is None or not has_score:
            lacks = ["no score"] * (not has_score) + ["no price"] * (cost is None)
            wanting[arm.id] = " and ".join(lacks)
            continue
        low, high = serving_ends(cost)
        usd = Interval(1000 * cost.serve_usd_per_query, 1000 * low, 1000 * high)
        points.append(PricedScore(arm.id, usd, score, summary.n, summary.n_unscored, arm.id in best))
    return points, wanting


def serving_ends(cost: CostEstimate) -> tuple[float, float]:
    """The least and the most a question may cost to serve, USD; the estimate twice where no spread is known."""
    spread = cost.serve_interval
    return (spread.low, spread.high) if spread else (cost.serve_usd_per_query, cost.serve_usd_per_query)


def drawn_differences(comparison: Comparison) -> list[PairedDifference]:
    """Paired differences of the recommended (or best) arm to the others, as far as they can be drawn."""
    return [pair for pair in differences_with_pivot(comparison) if isfinite(pair.interval.estimate)]


@dataclass(frozen=True, slots=True)
class CostCurves:
    """What a month costs, over the volume.

    Attributes:
        volumes: Questions a month, rising by equal factors.
        costs: Of the candidates that can be drawn, in the order of the run: on a scale of decades nothing is free.
        crossings: Where two of them cost the same, with the pair; those of the arm of the verdict first.
        unpriced: Candidates without a price.
    """

    volumes: tuple[float, ...]
    costs: Mapping[str, CostEstimate]
    crossings: tuple[tuple[float, BreakEven], ...]
    unpriced: tuple[str, ...]


def cost_curves(comparison: Comparison, volume: float | None) -> CostCurves | None:
    """The curves around a volume and the break-evens near it; None where nothing has a price.

    Args:
        volume: Questions a month; None or 0: all break-evens are near.
    """
    arms = candidates_as_run(comparison)
    costs = {
        arm.id: arm.cost
        for arm in arms
        if arm.cost is not None and arm.cost.serve_usd_per_query > 0 and isfinite(arm.cost.serve_usd_per_query)
    }
    if not costs:
        return None
    crossings = tuple(
        (at, pair)
        for pair in break_evens(comparison)
        if (at := pair.queries_per_month) is not None
        and at > 0
        and pair.first in costs
        and pair.second in costs
        and (not volume or volume / _DECADES_SHOWN <= at <= volume * _DECADES_SHOWN)
    )
    shown = [at for at, _ in crossings] + ([volume] if volume else [])
    low, high = min(shown or [1e4]) / 10, max(shown or [1e4]) * 10
    volumes = tuple(low * (high / low) ** (step / (_POINTS - 1)) for step in range(_POINTS))
    return CostCurves(volumes, costs, crossings, tuple(arm.id for arm in arms if arm.cost is None))


def monthly_total(cost: CostEstimate, volume: float) -> Interval:
    """What a month costs at a volume, USD, with the spread of serving."""
    low, high = serving_ends(cost)
    fixed = cost.fixed_usd_per_month
    return Interval(fixed + cost.serve_usd_per_query * volume, fixed + low * volume, fixed + high * volume)


def break_evens(comparison: Comparison) -> list[BreakEven]:
    """Every pair, those with the arm of the verdict first."""
    pivot = pivot_arm(comparison)
    return sorted(comparison.break_evens, key=lambda pair: pivot not in (pair.first, pair.second))


def declared_volume(comparison: Comparison) -> float | None:
    """Questions a month that the verdict was made for; None where the comparison does not say."""
    for flip in comparison.flips:
        if flip.axis == Axis.QUERIES_PER_MONTH:
            return flip.current
    traffic = comparison.settings.get("traffic")
    volume = traffic.get(str(Axis.QUERIES_PER_MONTH)) if isinstance(traffic, Mapping) else None
    return float(volume) if isinstance(volume, int | float) else None


@dataclass(frozen=True, slots=True)
class MapCell:
    """A cell of the map of decisions; column and row count from the lowest values.

    Attributes:
        arm: The choice there; None where no arm can be chosen.
        is_here: Whether the inputs are so now.
    """

    column: int
    row: int
    arm: str | None
    letter: str
    is_here: bool


def map_cells(comparison: Comparison, grid: FlipMap) -> Iterator[MapCell]:
    """Every cell, row by row."""
    letters = map_letters(comparison)
    for row, (y, arms) in enumerate(zip(grid.y_values, grid.arms, strict=True)):
        for column, (x, arm) in enumerate(zip(grid.x_values, arms, strict=True)):
            letter = NO_ARM if arm is None else letters.get(arm, "?")
            yield MapCell(column, row, arm, letter, (x, y) == (grid.x_current, grid.y_current))


def map_letters(comparison: Comparison) -> dict[str, str]:
    """A letter for each candidate, in the order of the run."""
    return arm_letters(arm.id for arm in candidates_as_run(comparison))


@dataclass(frozen=True, slots=True)
class EpochLosses:
    """Losses at the end of an epoch, nats a token; None where there is none."""

    epoch: float
    train: float | None
    validation: float | None


def loss_curves(comparison: Comparison) -> dict[str, list[EpochLosses]]:
    """Of each arm that was tuned."""
    curves = comparison.settings.get(CURVES_SETTING)
    if not isinstance(curves, Mapping):
        return {}
    return {
        arm: [EpochLosses(one["epoch"], one.get("train_loss"), one.get("validation_loss")) for one in epochs]
        for arm, epochs in curves.items()
        if epochs
    }
