"""Text on a terminal: names, messages and answers come from data sets and models, and are never instructions to it."""

import re

from rich.console import Console

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints brackets, colons and numbers as they are."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def printable(text: str) -> str:
    """The text with a replacement mark for every character that could steer the terminal or reverse its direction.

    Line feeds and tabs stay.
    """
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))
