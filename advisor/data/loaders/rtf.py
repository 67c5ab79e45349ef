"""Rich text format."""

import itertools
import re

from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_OUTLINE = re.compile(r"\\outlinelevel([0-5])(?!\d) ?")
_MARK = "\uf8ffheading"
"""Stands before a heading while the text is read; the letter is of the private use area."""


def rtf(data: bytes) -> Loaded:
    """Paragraphs, tables, and headings by their outline level."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFileError("not rich text; save it again from its program")
    from striprtf.striprtf import rtf_to_text

    source = _OUTLINE.sub(lambda match: f"{match[0]} {_MARK}{match[1]} ", data.decode("latin-1"))
    text = rtf_to_text(source, errors="replace").replace("\x00", "")
    blocks: list[str] = []
    for is_row, group in itertools.groupby(text.split("\n"), key=lambda line: line.rstrip().endswith("|")):
        if is_row:
            blocks.append(table([line.rstrip().removesuffix("|").split("|") for line in group]))
        else:
            blocks += map(_block, group)
    if not any(blocks):
        raise UnreadableFileError("it holds no text; if it holds pictures of text, recognise them first")
    return Loaded(join_blocks(blocks))


def _block(line: str) -> str:
    level, _, name = line.rpartition(_MARK)[2].partition(" ") if _MARK in line else ("", "", line)
    return heading(int(level) + 1, name) if level.isdecimal() else paragraph(name)
