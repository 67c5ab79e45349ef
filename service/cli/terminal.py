"""Text on a terminal: names, messages and answers come from datasets and models, and are never instructions to it."""

import re
from typing import TextIO

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


def show(text: str) -> None:
    """Print text that holds names of the user's, unwrapped."""
    plain_console().print(printable(text), soft_wrap=True)


def show_error(text: str) -> None:
    """Print what the user must fix, on standard error."""
    plain_console(stderr=True).print(f"error: {printable(text)}", soft_wrap=True)


def replace_unreadable(stream: TextIO) -> None:
    """Let bytes that are no text, and text that has no bytes, pass as replacement marks."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
