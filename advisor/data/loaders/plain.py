"""Text as it stands in a file, and what every loader returns and raises."""

from dataclasses import dataclass

from advisor.data.text_encoding import UnreadableTextError, decode_text
from advisor.errors import UnreadableError


class UnreadableFileError(UnreadableError):
    """A file is not what its ending says, or holds no text."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a loader read.

    Attributes:
        text: Markdown, with `PAGE_BREAK` between pages where the format has pages.
        title: As the file says it; "" where its headings or its name must do.
        notes: What was left out or read otherwise than it stands there, for the user to know.
    """

    text: str
    title: str = ""
    notes: tuple[str, ...] = ()


def plain_text(data: bytes) -> Loaded:
    """Text as `decode_text` reads it."""
    try:
        decoded = decode_text(data)
    except UnreadableTextError as error:
        raise UnreadableFileError(str(error), error.line) from error
    return Loaded(decoded.text, notes=(decoded.assumed,) if decoded.assumed else ())
