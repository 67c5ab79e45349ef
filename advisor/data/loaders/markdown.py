"""Pieces of Markdown that several loaders write."""

import re
from collections.abc import Sequence

_SPACES = re.compile(r"\s+")
_LIKE_HEADING = re.compile(r"^(#{1,6}\s)", flags=re.MULTILINE)


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first row names the columns; rows and columns without content are left out."""
    filled = [[_SPACES.sub(" ", cell).strip().replace("|", r"\|") for cell in row] for row in rows]
    filled = [row for row in filled if any(row)]
    width = max((len(row) for row in filled), default=0)
    filled = [row + [""] * (width - len(row)) for row in filled]
    kept = [i for i in range(width) if any(row[i] for row in filled)]
    if not kept:
        return ""
    lines = [f"| {' | '.join(row[i] for i in kept)} |" for row in filled]
    return "\n".join([lines[0], f"|{'---|' * len(kept)}", *lines[1:]])


def heading(level: int, name: str) -> str:
    """A heading line; "" without a name."""
    name = _SPACES.sub(" ", name).strip()
    return f"{'#' * min(max(level, 1), 6)} {name}" if name else ""


def paragraph(text: str) -> str:
    """Text that is no heading, whatever its lines begin with."""
    return _LIKE_HEADING.sub(r"\\\1", text.strip())


def join_blocks(blocks: Sequence[str]) -> str:
    """Blocks with an empty line between them."""
    return "\n\n".join(block for block in blocks if block.strip())
