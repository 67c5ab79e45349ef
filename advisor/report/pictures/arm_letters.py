"""A letter for each arm, for pictures and grids too small for names."""

from collections.abc import Iterable
from string import ascii_uppercase, digits

from advisor.results.quantities import MISSING

NO_ARM = MISSING


def arm_letters(kinds: Iterable[str]) -> dict[str, str]:
    """The first free letter of each name, beginnings of words before others; an arm beyond 36 gets a question mark."""
    letters: dict[str, str] = {}
    for kind in kinds:
        name = kind.upper()
        initials = [letter for before, letter in zip(f" {name}", name, strict=False) if not before.isalnum()]
        free = [
            letter
            for letter in (*initials, *name, *ascii_uppercase, *digits)
            if letter in ascii_uppercase + digits and letter not in letters.values()
        ]
        letters[kind] = free[0] if free else "?"
    return letters
