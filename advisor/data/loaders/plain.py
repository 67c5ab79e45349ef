"""Text as it stands in a file, and what every loader returns and raises."""

import codecs
from dataclasses import dataclass

from advisor.errors import DatasetError


class UnreadableFileError(DatasetError):
    """A file is not what its ending says, or holds no text; the message says why and what to do.

    Attributes:
        line: Where, from 1, if that is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


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


def plain_text(data: bytes) -> str:
    """UTF-8, with or without a byte order mark, or UTF-16 with one, as spreadsheets call "Unicode text"."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise UnreadableFileError("broken UTF-16; save the file as UTF-8") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(f"broken UTF-8 at byte {error.start + 1}; save the file as UTF-8", line) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableFileError("a NUL character; save the file as plain text", line)
    return text
