"""What in a document's text is a heading, its title, or data that nobody reads as text."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

_FRONT_MATTER = re.compile(r"\ufeff?(---|\+\+\+)[ \t]*\r?\n(.*?)^\1[ \t]*\r?$", flags=re.DOTALL | re.MULTILINE)
_FRONT_TITLE = re.compile(
    r"^title[ \t]*[:=][ \t]*(?:\"(.+)\"|'(.+)'|([^\s\"'>|#].*?))[ \t]*(?:[ \t]#.*)?\r?$", flags=re.MULTILINE
)
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_HTML_HEADING = re.compile(r" {0,3}<h([1-6])\b[^>]*>(.+?)</h\1>\s*", flags=re.IGNORECASE)
_UNDERLINE = re.compile(r" {0,3}(={2,}|-{2,})[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)")
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#<]|\d+[.)]\s)")
_TABLE_RULE = re.compile(r" {0,3}(?=[^|]*\|)\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_TAG = re.compile(r"<[^>]+>")

PAGE_BREAK = "\f"
"""Stands between the pages of a text, as printers and `pdftotext` have it."""

MIN_DATA_CHARACTERS = 64
"""Shorter `data:` addresses cost a passage little, and may be what a text is about."""

_DATA = (
    rf"data:[\w.+-]+/[\w.+-]+(?:;[\w.+=-]+)*,"
    rf"(?:(?:%3C|<)svg.{{{MIN_DATA_CHARACTERS},}}?(?:%3C|<)/svg(?:%3E|>)|[^\s\"'<>()\[\]]{{{MIN_DATA_CHARACTERS},}})"
)
_DATA_IMAGE = re.compile(rf"!\[([^\]]*)\]\(\s*<?{_DATA}>?(?:\s+\"[^\"]*\")?\s*\)", flags=re.IGNORECASE | re.DOTALL)
_DATA_ADDRESS = re.compile(_DATA, flags=re.IGNORECASE | re.DOTALL)
# Base64 in one run, or wrapped as mails and keys have it.
_BASE64 = re.compile(
    r"[A-Za-z0-9+/_-]{512,}={0,2}|(?:^[A-Za-z0-9+/]{60,}={0,2}[ \t]*\r?\n){8,}(?:[A-Za-z0-9+/]+={0,2}$)?",
    flags=re.MULTILINE,
)
_MIXED = (re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]"))


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading line: where it begins and the path of headings it stands under, itself last."""

    start: int
    path: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table, `text[start:end]`, and the lines that name its columns, the rule below them shortened."""

    start: int
    end: int
    header: str


def find_tables(text: str) -> list[Table]:
    """The Markdown tables of a text: a line with `|`, a rule (`|---|---|`), and rows up to a line without `|`."""
    tables: list[Table] = []
    if "|" not in text:
        return tables
    position, lines = 0, []
    for line in text.splitlines(keepends=True):
        lines.append((position, line.rstrip("\r\n")))
        position += len(line)
    lines.append((position, ""))
    i = 1
    while i < len(lines):
        (start, names), (_, rule) = lines[i - 1 : i + 1]
        if "|" not in names or not _TABLE_RULE.fullmatch(rule):
            i += 1
            continue
        while "|" in lines[i][1]:
            i += 1
        tables.append(Table(start, lines[i][0], f"{names.strip()}\n{re.sub('[-: ]+', '-', rule.strip())}"))
    return tables


def find_headings(text: str) -> list[Heading]:
    """The headings of a Markdown text in order: `# …`, underlined ones, and `<h1>`.

    Front matter, fenced code and comments hold none.
    """
    headings: list[Heading] = []
    levels: list[tuple[int, str]] = []
    for start, level, name in _heading_lines(text):
        levels = [*((n, above) for n, above in levels if n < level), (level, name)]
        headings.append(Heading(start, tuple(above for _, above in levels), level))
    return headings


def title_of(text: str) -> str:
    """The title of a Markdown text: of its front matter, else its first heading of the highest rank; "" without any."""
    matter = _FRONT_MATTER.match(text)
    if matter and (said := _FRONT_TITLE.search(matter[2])):
        return next(part for part in said.groups() if part).strip()
    headings = find_headings(text)
    return min(headings, key=lambda heading: heading.level).path[-1] if headings else ""


def find_page_breaks(text: str) -> list[int]:
    """Where the pages of a text end but the last; empty where it has no pages."""
    return [match.start() for match in re.finditer(PAGE_BREAK, text)]


def without_embedded_data(text: str) -> str:
    """A text without files written into it, such as pictures: `data:` addresses and long runs of Base64.

    Of a Markdown picture its description stays.
    """
    if "data:" in text.lower():
        text = _DATA_ADDRESS.sub("", _DATA_IMAGE.sub(r"\1", text))
    return _BASE64.sub(lambda match: "" if all(kind.search(match.group()) for kind in _MIXED) else match.group(), text)


def _heading_lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, level and name of each heading."""
    matter = _FRONT_MATTER.match(text)
    position = matter.end() if matter else 0
    fence, in_comment = "", False
    # The line before, where it could be an underlined heading: a paragraph of one line.
    before, before_start, blank = "", 0, True
    for line in text[position:].splitlines(keepends=True):
        start, position, bare = position, position + len(line), line.rstrip("\r\n")
        if fence:
            mark = _FENCE.fullmatch(bare)
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            continue
        if in_comment or bare.lstrip().startswith("<!--"):
            in_comment = "-->" not in bare
            before, blank = "", True
            continue
        if mark := _FENCE.fullmatch(bare):
            fence, before = mark[1], ""
            continue
        if before and (line_below := _UNDERLINE.fullmatch(bare)):
            yield before_start, 1 if line_below[1][0] == "=" else 2, before
            before, blank = "", False
            continue
        if (match := _HEADING.fullmatch(bare)) and match[2].strip("#"):
            yield start, len(match[1]), match[2]
        elif (match := _HTML_HEADING.fullmatch(bare)) and (name := html.unescape(_TAG.sub("", match[2])).strip()):
            yield start, int(match[1]), name
        could_be_title = blank and bare.strip() and not _NO_PARAGRAPH.match(bare) and not bare.startswith("    ")
        before, before_start, blank = (bare.strip() if could_be_title else ""), start, not bare.strip()
