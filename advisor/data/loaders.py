"""Documents as files: an ending, and a function from bytes to text. A new format is one line in `LOADERS`."""

from collections.abc import Callable

from advisor.errors import DatasetError
from lm.plugins import Table


class UnreadableFileError(DatasetError):
    """A file is not what its ending says; the message says why and what to do.

    Attributes:
        line: Where, from 1, if that is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


Loader = Callable[[bytes], str]
"""The text of a file, Markdown where it has headings; raises `UnreadableFileError`."""


def plain_text(data: bytes) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(f"broken UTF-8 at byte {error.start + 1}; save the file as UTF-8", line) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableFileError("a NUL character; save the file as plain text", line)
    return text


LOADERS: Table[Loader] = Table("tuning_fork.loaders", {"md": plain_text, "txt": plain_text})
"""By the ending of the file's name, without the dot."""


def load_document(ending: str, data: bytes) -> str:
    """The text of a document; whatever a loader of another package raises is a fault of the file's.

    Raises:
        UnreadableFileError: why, and where.
    """
    try:
        return LOADERS[ending](data)
    except UnreadableFileError:
        raise
    except Exception as error:
        raise UnreadableFileError(f"the loader of .{ending} files failed: {type(error).__name__}: {error}") from error
