"""Documents as files: an ending, and a function from bytes to text. A new format is one line in `LOADERS`."""

from collections.abc import Callable
from pathlib import PurePosixPath

from advisor.data.text_encoding import UnreadableTextError, decode_text
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
    """Text as `decode_text` reads it."""
    try:
        return decode_text(data).text
    except UnreadableTextError as error:
        raise UnreadableFileError(str(error), error.line) from error


LOADERS: Table[Loader] = Table("tuning_fork.loaders", {"md": plain_text, "txt": plain_text})
"""By the ending of the file's name, without the dot."""


_REMEDIES = {
    ".pdf": "PDF is not read; save its text as .txt or .md",
    ".docx": "Word files are not read; save the text as .txt or .md",
    ".doc": "Word files are not read; save the text as .txt or .md",
    ".html": "HTML is not read; save its text as .txt or .md",
    ".htm": "HTML is not read; save its text as .txt or .md",
    ".mdx": "MDX is not read; save its text as .md",
    ".rst": "reStructuredText is not read; save its text as .txt or .md",
    ".xls": "Excel files of before 2007 are not read; save the table as .xlsx or .csv",
    ".zip": "an archive in an archive or folder is not opened; unpack it",
}


def why_not_read(name: str) -> str:
    """Why a file of that name is not read and what to do; "" where its kind is not known."""
    return _REMEDIES.get(PurePosixPath(name).suffix.lower(), "")


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
