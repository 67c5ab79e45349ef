"""In which line of a TOML or JSON file something stands, for messages: parsers keep no lines."""

import re


def key_line(text: str, key: str, *, table: str = "", index: int = 0) -> int | None:
    """The line, from 1, in which a key is set; None if it cannot be told.

    Args:
        table: Of the array of tables (`[[table]]`) the key is set in; "" for a key at the top, or one of a JSON object.
        index: Which of these tables, from 0.
    """
    lines = text.splitlines()
    start, end = _span(lines, table, index)
    setting = re.compile(rf"""\s*(?:["']?{re.escape(key)}["']?\s*=|\{{?\s*"{re.escape(key)}"\s*:)""")
    return next((number for number in range(start, end) if setting.match(lines[number - 1])), None)


def table_line(text: str, table: str, index: int) -> int | None:
    """The line, from 1, of the header of the table number `index` (from 0) of an array of tables."""
    headers = _headers(text.splitlines(), table)
    return headers[index] if index < len(headers) else None


def _headers(lines: list[str], table: str) -> list[int]:
    header = re.compile(rf"\s*\[\[\s*{re.escape(table)}\s*\]\]")
    return [number for number, line in enumerate(lines, 1) if header.match(line)]


def _span(lines: list[str], table: str, index: int) -> tuple[int, int]:
    if not table:
        return 1, len(lines) + 1
    headers = _headers(lines, table)
    if index >= len(headers):
        return 1, 1
    begin = headers[index] + 1
    end = next((n for n in range(begin, len(lines) + 1) if lines[n - 1].lstrip().startswith("[[")), len(lines) + 1)
    return begin, end
