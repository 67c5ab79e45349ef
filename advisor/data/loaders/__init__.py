"""Documents as files: an ending, and a function from bytes to text. A new format is one file and one row in `LOADERS`.

Loaders import their libraries when they are called: most runs read no PDF, and a child process reads what they do read
(`advisor.data.conversion`).
"""

from collections.abc import Callable
from pathlib import PurePosixPath

from advisor.data.loaders.docx import docx
from advisor.data.loaders.epub import epub
from advisor.data.loaders.mail import eml, mbox
from advisor.data.loaders.markup import html_page
from advisor.data.loaders.odt import odt
from advisor.data.loaders.pdf import pdf
from advisor.data.loaders.plain import Loaded, UnreadableFileError, plain_text
from advisor.data.loaders.pptx import pptx
from advisor.data.loaders.records import csv_records, json_lines, json_records
from advisor.data.loaders.rtf import rtf
from advisor.data.loaders.xlsx import xlsx
from lm.plugins import Table

__all__ = ["LOADERS", "PLAIN", "Loaded", "Loader", "UnreadableFileError"]
__all__ += ["load_document", "plain_text", "why_not_read"]

Loader = Callable[[bytes], "Loaded | str"]
"""What a file holds, Markdown where it has headings; raises `UnreadableFileError`."""

PLAIN = frozenset({"md", "txt"})
"""Endings whose files are text as it stands: read without a process of their own."""

LOADERS: Table[Loader] = Table(
    "tuning_fork.loaders",
    {
        "md": plain_text,
        "txt": plain_text,
        "pdf": pdf,
        "docx": docx,
        "pptx": pptx,
        "xlsx": xlsx,
        "odt": odt,
        "rtf": rtf,
        "epub": epub,
        "html": html_page,
        "htm": html_page,
        "xhtml": html_page,
        "eml": eml,
        "mbox": mbox,
        "csv": csv_records,
        "json": json_records,
        "jsonl": json_lines,
    },
)
"""By the ending of the file's name, without the dot."""

_REMEDIES = {
    ".doc": "old Word files are not read; save it as .docx",
    ".ppt": "old PowerPoint files are not read; save it as .pptx",
    ".xls": "old Excel files are not read; save it as .xlsx",
    ".ods": "OpenDocument tables are not read; save it as .xlsx",
    ".odp": "OpenDocument presentations are not read; save it as .pptx",
    ".msg": "Outlook messages are not read; save it as .eml",
    ".mdx": "MDX is not read; save its text as .md",
    ".rst": "reStructuredText is not read; save its text as .txt or .md",
    ".zip": "an archive in an archive or folder is not opened; unpack it",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".webp"), "pictures are not read"),
}
_SIGNATURES = {
    b"%PDF-": ("a PDF", frozenset({"pdf"})),
    b"{\\rtf": ("rich text", frozenset({"rtf"})),
    b"PK\x03\x04": ("an archive or Office file", frozenset({"docx", "pptx", "xlsx", "odt", "epub"})),
}
_SOURCE = ("{\\rtf", "%pdf-", "pk\x03\x04", "<!doctype html", "<html")


def why_not_read(name: str) -> str:
    """Why a file of that name is not read and what to do; "" where its kind is not known."""
    return _REMEDIES.get(PurePosixPath(name).suffix.lower(), "")


def load_document(ending: str, data: bytes) -> Loaded:
    """The text of a document; whatever a loader of another package raises is a fault of the file's.

    Raises:
        UnreadableFileError: why, and where.
    """
    if not data.strip():
        raise UnreadableFileError("the file is empty; fill it or take it out of the folder")
    for signature, (what, endings) in _SIGNATURES.items():
        if data.startswith(signature) and ending in LOADERS.own and ending not in endings:
            raise UnreadableFileError(f"it is {what} by its content; give its name the ending that fits")
    try:
        loaded = LOADERS[ending](data)
    except (UnreadableFileError, MemoryError):
        raise
    except RecursionError as error:
        raise UnreadableFileError("nested too deeply; save it again from its program") from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}"[:300]
        raise UnreadableFileError(f"broken, or not what its name says ({what}); save it again") from error
    loaded = Loaded(loaded) if isinstance(loaded, str) else loaded
    if not loaded.text.strip():
        raise UnreadableFileError("the file is empty; fill it or take it out of the folder")
    if loaded.text.lstrip()[:20].lower().startswith(_SOURCE) and ending not in PLAIN:
        raise UnreadableFileError("its source was read instead of its text; save it again from its program")
    return loaded
