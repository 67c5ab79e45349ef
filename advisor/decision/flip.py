"""What would change the verdict: the nearest value of each input at which another arm is recommended.

The decision need not change once and for all along an input, so it is asked at the points of a grid, outwards from the
current value, and the first change is narrowed down by halving. A change and back between two points is not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from advisor.data.dataset import Slice
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.errors import EvaluationError
from advisor.results.comparison import Flip, FlipMap, FlipPoint

RELATIVE_TOLERANCE = 1e-4
"""A reported flip lies at most this share of its value beyond the last value that keeps the current arm."""

_HALVINGS = 40
_POINTS_PER_DECADE = 4
_MAP_DECADES = 3


@dataclass(frozen=True, slots=True)
class Bracket:
    """What is searched along an axis: evenly or, by decades, evenly in the logarithm; then 0 is tried as well."""

    low: float
    high: float
    by_decades: bool

    @property
    def points(self) -> list[float]:
        """In rising order."""
        if not self.by_decades:
            return [float(point) for point in np.linspace(self.low, self.high, 51)]
        n_points = round(float(np.log10(self.high / self.low))) * _POINTS_PER_DECADE + 1
        return [0.0, *(float(point) for point in np.geomspace(self.low, self.high, n_points))]

    def between(self, first: float, second: float) -> float:
        """The middle of two values."""
        return sqrt(first * second) if self.by_decades and first > 0 < second else (first + second) / 2


BRACKETS = {
    Axis.QUERIES_PER_MONTH: Bracket(1.0, 1e8, by_decades=True),
    Axis.COVERAGE: Bracket(0.0, 1.0, by_decades=False),
    Axis.INPUT_PRICE: Bracket(1e-4, 1e3, by_decades=True),
    Axis.OUTPUT_PRICE: Bracket(1e-4, 1e3, by_decades=True),
    Axis.MACHINE_PRICE: Bracket(1e-4, 1e3, by_decades=True),
    Axis.REFRESHES_PER_MONTH: Bracket(1e-2, 1e4, by_decades=True),
    Axis.MARGIN: Bracket(0.0, 0.5, by_decades=False),
    Axis.RIGHT_ANSWER: Bracket(1e-7, 1e3, by_decades=True),
}


def find_flips(measured: MeasuredArms, inputs: DecisionInputs) -> tuple[Flip, ...]:
    """The nearest flips below and above the current value of every input.

    Raises:
        EvaluationError: no arm is recommended now, so that there is nothing to change.
    """
    current_arm = _recommended(measured, inputs)
    return tuple(_flip(measured, inputs, axis, current_arm) for axis in Axis)


def map_decision(
    measured: MeasuredArms,
    inputs: DecisionInputs,
    x_axis: Axis = Axis.QUERIES_PER_MONTH,
    y_axis: Axis = Axis.COVERAGE,
) -> FlipMap:
    """The recommended arm over two inputs around their current values.

    Raises:
        EvaluationError: an axis plays no part in this comparison, or both are the same.
    """
    x_current, y_current = measured.value(inputs, x_axis), measured.value(inputs, y_axis)
    if x_axis is y_axis or x_current is None or y_current is None:
        raise EvaluationError(f"{x_axis} and {y_axis} make no map here; choose two different inputs that have a value")
    x_values, y_values = _map_values(x_axis, x_current), _map_values(y_axis, y_current)
    rows = []
    for y in y_values:
        moved = measured.moved(inputs, y_axis, y)
        rows.append(tuple(measured.recommended(measured.moved(moved, x_axis, x)) for x in x_values))
    return FlipMap(x_axis.value, x_values, x_current, y_axis.value, y_values, y_current, tuple(rows))


def _recommended(measured: MeasuredArms, inputs: DecisionInputs) -> str:
    arm = measured.recommended(inputs)
    if arm is None:
        raise EvaluationError("no arm is recommended, so nothing would flip; fix what withholds the verdict first")
    return arm


def _flip(measured: MeasuredArms, inputs: DecisionInputs, axis: Axis, current_arm: str) -> Flip:
    bracket, current = BRACKETS[axis], measured.value(inputs, axis)
    points = bracket.points
    if note := _idle(measured, inputs, axis):
        return Flip(axis.value, current, None, None, bracket.low, bracket.high, note)

    def decision(value: float) -> str | None:
        return measured.recommended(measured.moved(inputs, axis, value))

    # Where answers have no declared worth they are worth more than any money: the search comes down from the top.
    start = current if current is not None else points[-1]
    below = [point for point in reversed(points) if point < start or current is None]
    above = [point for point in points if point > start]
    return Flip(
        axis.value,
        current,
        _nearest(decision, current_arm, start, below, bracket),
        _nearest(decision, current_arm, start, above, bracket),
        min(points[0], start),
        max(points[-1], start),
    )


def _idle(measured: MeasuredArms, inputs: DecisionInputs, axis: Axis) -> str:
    """Why an axis cannot change the decision, "" if it might."""
    current = measured.value(inputs, axis)
    if measured.race is not None and axis in (Axis.COVERAGE, Axis.MARGIN, Axis.RIGHT_ANSWER):
        return "The arms were raced for what was declared; another value would need answers that were not asked."
    if axis is Axis.COVERAGE and not {Slice.SEEN_FACT, Slice.UNSEEN_FACT} <= set(measured.slices):
        return "The test questions are not split into facts that training covers and others, so coverage plays no part."
    if current is None and axis in (Axis.INPUT_PRICE, Axis.OUTPUT_PRICE):
        return "No arm is paid by the token, or the price list has no price for it."
    if current is None and axis is Axis.MACHINE_PRICE:
        return "No arm runs on your own machine, or the price list has no price for it."
    if axis is Axis.RIGHT_ANSWER and float("inf") in measured.monthly_usd(inputs).values():
        return "An arm has no price, so its net value is unknown."
    return ""


def _nearest(
    decision: Callable[[float], str | None],
    current_arm: str,
    start: float,
    points: Sequence[float],
    bracket: Bracket,
) -> FlipPoint | None:
    """The first change along points that lead away from the start, where the current arm is recommended."""
    kept = start
    for point in points:
        arm = decision(point)
        if arm != current_arm:
            return _narrowed(decision, current_arm, kept, FlipPoint(point, arm), bracket)
        kept = point
    return None


def _narrowed(
    decision: Callable[[float], str | None], current_arm: str, kept: float, flip: FlipPoint, bracket: Bracket
) -> FlipPoint:
    for _ in range(_HALVINGS):
        if abs(flip.value - kept) <= RELATIVE_TOLERANCE * abs(flip.value):
            break
        middle = bracket.between(kept, flip.value)
        arm = decision(middle)
        if arm == current_arm:
            kept = middle
        else:
            flip = FlipPoint(middle, arm)
    return flip


def _map_values(axis: Axis, current: float) -> tuple[float, ...]:
    bracket = BRACKETS[axis]
    if not bracket.by_decades:
        points = np.round(np.linspace(bracket.low, bracket.high, 11), 6)
    else:
        centre = current if current > 0 else 1.0
        points = centre * np.logspace(-_MAP_DECADES, _MAP_DECADES, 2 * 2 * _MAP_DECADES + 1)
    # Near-copies of the current value come of rounding and would make slivers on the map.
    others = {float(point) for point in points if not np.isclose(point, current, rtol=1e-9, atol=1e-12)}
    return tuple(sorted(others | {current}))
