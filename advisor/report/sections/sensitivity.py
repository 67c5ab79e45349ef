"""What would change the verdict, in sentences and as a table."""

from dataclasses import dataclass
from math import inf

from advisor.data.wording import listed
from advisor.decision.inputs import Axis
from advisor.metrics.registry import JUDGE_METRICS
from advisor.report.axes import NOT_DECLARED, axis_value, axis_words
from advisor.report.table import Cell, Table, row
from advisor.report.words import metric_words
from advisor.results.comparison import Comparison, Flip, FlipPoint, Verdict
from advisor.results.quantities import MISSING, UNDER_A_CENT

CHANGE_HEADING = "What would change this"
_SENTENCES = 5
_NO_CHANGE = "no change"


@dataclass(frozen=True, slots=True)
class _Change:
    """One flip on one side of the current value.

    Attributes:
        factor: By how much the input has to change, always at least 1; infinite where it starts or ends at 0.
    """

    flip: Flip
    point: FlipPoint
    falls: bool

    @property
    def factor(self) -> float:
        current, value = self.flip.current, self.point.value
        if current is None or min(current, value) <= 0:
            return inf
        return max(current / value, value / current)


def change_sentences(comparison: Comparison, limit: int | None = None) -> tuple[str, ...]:
    """The nearest flips, each in a sentence: those first for which an input has to change by the smallest factor.

    Empty where nothing would change the verdict in what was searched, or nothing was searched.
    """
    changes = [_Change(flip, point, falls) for flip in _flips(comparison) for point, falls in _sides(flip)]
    # Inputs that nobody declared come last: nothing says how far away they are.
    nearest = sorted(changes, key=lambda change: (change.flip.current is None, change.factor))
    return tuple(_sentence(comparison, change) for change in nearest[:limit])


def change_summary(comparison: Comparison) -> tuple[str, ...]:
    """The nearest flips, how many more there are, and the inputs that change nothing; empty where none was searched."""
    if not _flips(comparison):
        return ()
    sentences = change_sentences(comparison)
    shown = list(sentences[:_SENTENCES])
    if n_more := len(sentences) - len(shown):
        shown.append(f"{n_more} more, further away, {'is' if n_more == 1 else 'are'} listed under Sensitivity.")
    firm = [
        f"{_lower(axis_words(flip.axis).name)} ({_searched(comparison, flip)})"
        for flip in _flips(comparison)
        if not flip.note and not _sides(flip)
    ]
    if firm:
        shown.append(f"No change within the range tried: {'; '.join(firm)}.")
    return (*shown, *robustness_sentences(comparison))


def robustness_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Whether another metric of the dataset, or a judge's, would choose otherwise; empty where none was tried."""
    decided = comparison.recommendation
    same = [_by(verdict.metric) for verdict in comparison.metric_verdicts if not verdict.changes]
    sentences = [
        f"By {_by(verdict.metric)} "
        + (
            "no arm would be a clear choice."
            if verdict.verdict is Verdict.NO_CLEAR_WINNER
            else f"{verdict.arm} would be the choice."
        )
        for verdict in comparison.metric_verdicts
        if verdict.changes
    ]
    if same:
        sentences.append(f"By {listed(same)} the choice is {decided.arm} as well.")
    if comparison.settings.get("judge") and decided.metric not in JUDGE_METRICS:
        sentences.append("The judge's grades decide nothing here; see the audit for how far they agree with people.")
    return tuple(sentences)


def _by(metric: str) -> str:
    judged = " as the judge grades it" if metric in JUDGE_METRICS else ""
    words = metric_words(metric)
    return f"{metric}{judged}" if words == metric else f"{words} ({metric}){judged}"


def flip_table(comparison: Comparison) -> Table | None:
    """Every input with the nearest flips on both sides; None where none was searched."""
    if not _flips(comparison):
        return None
    rows = []
    cells: list[Cell | str]
    for flip in _flips(comparison):
        cells = ["plays no part", "plays no part", MISSING]
        if not flip.note:
            sides = (_side(comparison, flip, flip.below), _side(comparison, flip, flip.above))
            cells = [*sides, _searched(comparison, flip)]
        name = Cell(axis_words(flip.axis).name, flip.note)
        rows.append(row(name, axis_value(comparison, flip.axis, flip.current), *cells))
    return Table(
        caption="What another value of one input would change",
        columns=("Input", "Now", "If it falls", "If it rises", "Tried"),
        rows=tuple(rows),
        note=f"Each input is moved on its own while all others stay, and the verdict is asked again of the same "
        f"answers. '{_NO_CHANGE.capitalize()}' means that {comparison.recommendation.arm} is named throughout the "
        "range tried; a change and back again within a small step is not seen.",
    )


def _flips(comparison: Comparison) -> tuple[Flip, ...]:
    """Without an arm to change from there is nothing to change."""
    return comparison.flips if comparison.recommendation.arm is not None else ()


def _sides(flip: Flip) -> list[tuple[FlipPoint, bool]]:
    return [(point, falls) for point, falls in ((flip.below, True), (flip.above, False)) if point is not None]


def _sentence(comparison: Comparison, change: _Change) -> str:
    flip, value = change.flip, change.point.value
    chosen = comparison.recommendation.arm
    if _is_beyond_a_cent(flip, value):
        return f"Any positive value of a right answer, from a cent on, leaves {chosen} the choice."
    arm = f"{change.point.arm} would be the choice instead of {chosen}"
    return (
        f"If {_condition(comparison, change)} ({_now(comparison, flip, value)}), "
        f"{arm if change.point.arm is not None else 'no arm could be chosen'}."
    )


def _is_beyond_a_cent(flip: Flip, value: float) -> bool:
    """Whether nobody could act on a flip, since it asks for answers to be worth less than a cent."""
    now = inf if flip.current is None else flip.current
    return flip.axis == Axis.RIGHT_ANSWER and value < 0.01 <= now


def _condition(comparison: Comparison, change: _Change) -> str:
    words, value = axis_words(change.flip.axis), change.point.value
    if value == 0:
        return words.at_zero
    text = axis_value(comparison, change.flip.axis, value)
    if words.at_one and text == axis_value(comparison, change.flip.axis, 1.0):
        return words.at_one
    return (words.below if change.falls else words.above).format(text)


def _now(comparison: Comparison, flip: Flip, value: float) -> str:
    """The current value; where it reads like the flip itself, that it is hardly another."""
    current = axis_value(comparison, flip.axis, flip.current)
    if flip.current is not None and current == axis_value(comparison, flip.axis, value) and flip.current != value:
        return "now barely more" if flip.current > value else "now barely less"
    return f"now {current}" if current != NOT_DECLARED else f"now {NOT_DECLARED}, so that quality comes first"


def _side(comparison: Comparison, flip: Flip, point: FlipPoint | None) -> Cell:
    if point is None:
        return Cell(_NO_CHANGE)
    side = "below" if point is flip.below else "above"
    if point.value in (flip.searched_low, flip.searched_high):
        side = "at"
    if _is_beyond_a_cent(flip, point.value):
        return Cell(point.arm if point.arm is not None else "no arm", UNDER_A_CENT)
    return Cell(
        point.arm if point.arm is not None else "no arm", f"{side} {axis_value(comparison, flip.axis, point.value)}"
    )


def _searched(comparison: Comparison, flip: Flip) -> str:
    low, high = (axis_value(comparison, flip.axis, end) for end in (flip.searched_low, flip.searched_high))
    return f"{low} to {high}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
