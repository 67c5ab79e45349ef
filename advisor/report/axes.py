"""The inputs of the decision in words, each with its values as people write them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from advisor.decision.inputs import Axis
from advisor.results.comparison import Comparison
from advisor.results.quantities import exact_usd, percent_in_digits, rounded, scale_of

NOT_DECLARED = "not declared"


@dataclass(frozen=True, slots=True)
class AxisWords:
    """How one input is told.

    Attributes:
        name: As the head of a row.
        below: What holds under a value, after "If", with `{}` for the value; above: what holds over it.
        at_zero: What holds at 0; at_one: what holds at a share of 1, "" where 1 is no end.
        short: The name where there is little room.
    """

    name: str
    below: str
    above: str
    at_zero: str
    at_one: str = ""
    short: str = ""


_WORDS: Mapping[str, AxisWords] = {
    Axis.QUERIES_PER_MONTH: AxisWords(
        "Questions a month",
        "users asked fewer than {} questions a month",
        "users asked more than {} questions a month",
        "users asked nothing at all",
    ),
    Axis.COVERAGE: AxisWords(
        "Share of users' questions that training covers",
        "training covered less than {} of what users ask",
        "training covered more than {} of what users ask",
        "training covered nothing of what users ask",
        "training covered all that users ask",
        short="Share covered by training",
    ),
    Axis.INPUT_PRICE: AxisWords(
        "Price of a million input tokens",
        "a million input tokens cost less than {}",
        "a million input tokens cost more than {}",
        "input tokens were free",
    ),
    Axis.OUTPUT_PRICE: AxisWords(
        "Price of a million output tokens",
        "a million output tokens cost less than {}",
        "a million output tokens cost more than {}",
        "output tokens were free",
    ),
    Axis.MACHINE_PRICE: AxisWords(
        "Price of an hour of the machine",
        "an hour of the machine cost less than {}",
        "an hour of the machine cost more than {}",
        "the machine were free",
    ),
    Axis.REFRESHES_PER_MONTH: AxisWords(
        "Refreshes a month",
        "documents had to be refreshed fewer than {} times a month",
        "documents had to be refreshed more than {} times a month",
        "documents never changed",
    ),
    Axis.MARGIN: AxisWords(
        "Margin, the smallest difference that matters",
        "the smallest difference that matters to you were below {}",
        "the smallest difference that matters to you were above {}",
        "every difference mattered to you, however small",
        short="Margin",
    ),
    Axis.RIGHT_ANSWER: AxisWords(
        "Worth of a right answer",
        "a right answer were worth less than {} to you",
        "a right answer were worth more than {} to you",
        "a right answer were worth nothing to you",
    ),
}


def axis_words(axis: str) -> AxisWords:
    """The words for an input; for one that a later version wrote, its own name."""
    return _WORDS.get(axis) or AxisWords(
        axis, f"{_braced(axis)} were below {{}}", f"{_braced(axis)} were above {{}}", f"{_braced(axis)} were 0"
    )


def axis_short(axis: str) -> str:
    """The name of an input where there is little room."""
    words = axis_words(axis)
    return words.short or words.name


def axis_value(comparison: Comparison, axis: str, value: float | None) -> str:
    """A value of an input, with its unit."""
    if value is None:
        return NOT_DECLARED
    return _writer(comparison, axis)(value)


def _writer(comparison: Comparison, axis: str) -> Callable[[float], str]:
    match axis:
        case Axis.COVERAGE:
            return percent_in_digits
        case Axis.MARGIN:
            scale = scale_of(comparison, comparison.recommendation.metric)
            return lambda margin: f"{scale.value(margin)} {scale.unit}"
        case Axis.INPUT_PRICE | Axis.OUTPUT_PRICE | Axis.MACHINE_PRICE | Axis.RIGHT_ANSWER:
            return exact_usd
        case _:
            return rounded


def _braced(text: str) -> str:
    """Text that `str.format` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")
