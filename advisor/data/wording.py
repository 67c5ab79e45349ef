"""How verdicts say figures and names."""

from collections.abc import Sequence


def points(difference: float) -> str:
    """A difference of scores in [0, 1] as points of 100, without a minus before a rounded 0."""
    return f"{100 * difference + 0.0:.1f}".replace("-0.0", "0.0")


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
