"""PDF: lines put together again from where their words stand, with headings by size, ruled tables and page numbers."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.data.document_text import PAGE_BREAK
from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_SPACE_RATIO = 0.15
"""Of the size of letters: a wider gap parts words. Justified lines of manuals have gaps of a fifth."""

_HEADING_RATIO = 1.15
_MAX_HEADING_CHARACTERS = 120
_MAX_HEADING_LEVELS = 3
_GUTTER_POINTS = 12
_MIN_COLUMN_LINES = 6
_MIN_REPEATS = 3
_EDGE_LINES = 2
_DIGITS = re.compile(r"\d+")
_ITEM = re.compile(r"(?:[-*•–▪◦‣·]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+")
# In a table of contents, between a title and its page.
_LEADER = re.compile(r"(?:\s?\.){5,}\s*")
_LED = " … "
_BULLET = re.compile(r"[•▪◦‣·]\s+")
_CUT_WORD = re.compile(r"[^\W\d_]-$")
_NO_CHARACTER = re.compile(r"\(cid:\d+\)|[\ue000-\uf8ff\ufffd]")
_MAX_UNREADABLE = 0.2
_BROKEN = "\ufdd0"
"""Where a line ended within a word, while a text is put together."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of words, or a table as Markdown; positions in points from the top left."""

    text: str
    top: float
    bottom: float
    size: float
    is_table: bool = False


def pdf(data: bytes) -> Loaded:
    """All pages; headers and footers that pages repeat are left out."""
    import pdfplumber
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect
    from pdfplumber.utils.exceptions import PdfminerException

    if b"%PDF-" not in data[:1024]:
        raise UnreadableFileError("not a PDF; save it again from its program")
    pages: list[list[_Line]] = []
    n_characters = 0
    try:
        with pdfplumber.open(io.BytesIO(data)) as document:
            for page in document.pages:
                pages.append(_lines(page))
                n_characters += sum(len(line.text) for line in pages[-1])
                page.close()
    except PdfminerException as error:
        cause = error.args[0] if error.args else error
        if isinstance(cause, MemoryError):
            raise cause from error
        if isinstance(cause, PDFPasswordIncorrect | PDFEncryptionError):
            raise UnreadableFileError("it is encrypted; save it without a password") from error
        raise UnreadableFileError(f"broken PDF ({cause or type(cause).__name__}); save it again") from error
    if not pages:
        raise UnreadableFileError("it has no page that can be read; save it again from its program")
    _check_readable("".join(line.text for page in pages for line in page))
    levels = _heading_levels(pages)
    pages, notes = _without_repeats(pages, levels)
    empty = [str(number) for number, page in enumerate(pages, 1) if not page]
    if empty:
        shown = ", ".join(empty[:10]) + (" …" if len(empty) > 10 else "")
        notes.append(f"{len(empty)} of {len(pages)} pages hold no text (p. {shown}); if they are scans, recognise them")
    text = f"\n{PAGE_BREAK}\n".join(join_blocks(list(_blocks(page, levels))) for page in pages)
    return Loaded(_whole_words(text), notes=tuple(notes))


def _check_readable(text: str) -> None:
    if not text.strip():
        raise UnreadableFileError("it holds no text, as scans do; recognise it first (`ocrmypdf in.pdf out.pdf`)")
    if len("".join(_NO_CHARACTER.findall(text))) > _MAX_UNREADABLE * len(text):
        raise UnreadableFileError(
            "its fonts do not say which characters they show; recognise it (`ocrmypdf --force-ocr in.pdf out.pdf`)"
        )


def _lines(page: Any) -> list[_Line]:
    """The lines and tables of a page in reading order."""
    tables = []
    for found in page.find_tables():
        rows = [[cell or "" for cell in row] for row in found.extract(x_tolerance_ratio=_SPACE_RATIO)]
        if len(rows) > 1 and max(map(len, rows)) > 1 and (text := table(rows)):
            tables.append((found.bbox, _Line(text, found.bbox[1], found.bbox[3], 0.0, is_table=True)))
    words = [
        word
        for word in page.extract_words(extra_attrs=["size"], x_tolerance_ratio=_SPACE_RATIO)
        if not any(_is_within(word, box) for box, _ in tables)
    ]
    lines = list(_in_columns(words, float(page.width)))
    for _, line in tables:
        at = next((i for i, other in enumerate(lines) if other.top > line.top and not other.is_table), len(lines))
        lines.insert(at, line)
    return lines


def _is_within(word: dict[str, Any], box: tuple[float, float, float, float]) -> bool:
    x, y = (word["x0"] + word["x1"]) / 2, (word["top"] + word["bottom"]) / 2
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def _in_columns(words: Sequence[dict[str, Any]], width: float) -> Iterator[_Line]:
    """Lines of one column after the other, where the page has two; lines that span both stand between."""
    rows = _rows(words)
    gutter = _gutter(rows, width)
    left: list[_Line] = []
    right: list[_Line] = []
    for row in rows:
        if gutter and not any(word["x0"] < gutter < word["x1"] for word in row):
            sides = [word for word in row if word["x1"] <= gutter], [word for word in row if word["x0"] >= gutter]
            if not _is_one_line(sides):
                for side, lines in zip(sides, (left, right), strict=True):
                    lines += [_line(side)] if side else []
                continue
        yield from (*left, *right)
        left, right = [], []
        yield _line(row)
    yield from (*left, *right)


def _is_one_line(sides: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> bool:
    return bool(sides[0] and sides[1]) and sides[1][0]["x0"] - sides[0][-1]["x1"] < _GUTTER_POINTS / 2


def _rows(words: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Words by line, from the top, each from the left."""
    rows: list[list[dict[str, Any]]] = []
    for word in sorted(words, key=lambda word: (word["bottom"], word["x0"])):
        if rows and word["bottom"] - rows[-1][0]["bottom"] <= 0.4 * (word["bottom"] - word["top"]):
            rows[-1].append(word)
        else:
            rows.append([word])
    return [sorted(row, key=lambda word: word["x0"]) for row in rows]


def _gutter(rows: Sequence[Sequence[dict[str, Any]]], width: float) -> float:
    """Where the page is divided into two columns; 0 where it is not."""
    best, most = 0.0, _MIN_COLUMN_LINES - 1
    for step in range(35, 66):
        x = width * step / 100
        n_divided = 0
        for row in rows:
            before = max((word["x1"] for word in row if word["x0"] < x), default=None)
            after = min((word["x0"] for word in row if word["x0"] >= x), default=None)
            n_divided += before is not None and after is not None and before <= x and after - before >= _GUTTER_POINTS
        if n_divided > most and 2 * n_divided > len(rows):
            best, most = x, n_divided
    return best


def _line(words: Sequence[dict[str, Any]]) -> _Line:
    sizes: Counter[float] = Counter()
    for word in words:
        sizes[round(word["size"] * 2) / 2] += len(word["text"])
    text = _LEADER.sub(_LED, " ".join(word["text"] for word in words))
    return _Line(
        text, min(word["top"] for word in words), max(word["bottom"] for word in words), sizes.most_common(1)[0][0]
    )


def _without_repeats(pages: list[list[_Line]], levels: Mapping[float, int]) -> tuple[list[list[_Line]], list[str]]:
    """The pages without lines at their edges that over half of them repeat, page numbers aside."""

    def key(line: _Line) -> str:
        # "Chapter 1" and "Chapter 2" in large letters are two headings.
        return line.text if line.size in levels else _DIGITS.sub("#", line.text)

    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({key(line) for line in _edges(page)})
    repeated = {text for text, n in counts.items() if n >= max(_MIN_REPEATS, len(pages) / 2 + 0.5)}
    if not repeated:
        return pages, []
    kept = []
    for page in pages:
        edges = {id(line) for line in _edges(page)}
        kept.append([line for line in page if id(line) not in edges or key(line) not in repeated])
    shown = ", ".join(repr(text[:60]) for text in sorted(repeated)[:3])
    return kept, [f"lines that most pages repeat were left out: {shown}"]


def _edges(page: Sequence[_Line]) -> list[_Line]:
    lines = sorted((line for line in page if not line.is_table), key=lambda line: line.top)
    return lines[:_EDGE_LINES] + lines[_EDGE_LINES:][-_EDGE_LINES:]


def _heading_levels(pages: Sequence[Sequence[_Line]]) -> dict[float, int]:
    """Rank by size of letters, for sizes clearly above that of most text."""
    sizes: Counter[float] = Counter()
    for line in (line for page in pages for line in page if not line.is_table):
        sizes[line.size] += len(line.text)
    if not sizes:
        return {}
    body = sizes.most_common(1)[0][0]
    large = sorted((size for size in sizes if size >= body * _HEADING_RATIO), reverse=True)
    return {size: min(rank, _MAX_HEADING_LEVELS) for rank, size in enumerate(large, 1)}


def _blocks(page: Sequence[_Line], levels: Mapping[float, int]) -> Iterator[str]:
    """Headings, tables and paragraphs of a page."""
    open_lines: list[_Line] = []
    for line in page:
        if open_lines and not _goes_on(open_lines[-1], line):
            yield _paragraph(open_lines, levels)
            open_lines = []
        if line.is_table:
            yield line.text
        else:
            open_lines.append(line)
    if open_lines:
        yield _paragraph(open_lines, levels)


def _goes_on(before: _Line, line: _Line) -> bool:
    """Whether two lines are of one paragraph."""
    near = 0 <= line.top - before.top <= 1.7 * (before.bottom - before.top)
    return not line.is_table and line.size == before.size and near


def _paragraph(lines: Sequence[_Line], levels: Mapping[float, int]) -> str:
    joined = " ".join(line.text for line in lines)
    level = levels.get(lines[0].size, 0)
    if level and len(joined) <= _MAX_HEADING_CHARACTERS and _LED not in joined:
        return heading(level, joined)
    parts: list[str] = []
    for text in (line.text for line in lines):
        if parts and not _ITEM.match(text) and _LED not in parts[-1]:
            is_broken = _CUT_WORD.search(parts[-1]) and text[0].islower()
            parts[-1] += f"{_BROKEN if is_broken else ' '}{text}"
        else:
            parts.append(_BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text)
    return paragraph("\n".join(parts))


def _whole_words(text: str) -> str:
    """Words that a line's end divides, put together: without the hyphen unless their second part is a word itself."""
    words = set(re.findall(r"[^\W\d_]+", text.replace(_BROKEN, "")))
    broken = Counter(re.findall(rf"-{_BROKEN}([^\W\d_]+)", text))
    alone = Counter(re.findall(r"[^\W\d_]+", text))

    def joined(match: re.Match[str]) -> str:
        first, second = match.groups()
        is_one = first + second in words or alone[second] <= broken[second]
        return first + second if is_one else f"{first}-{second}"

    text = re.sub(rf"([^\W\d_]+)-{_BROKEN}([^\W\d_]+)", joined, text)
    return _NO_CHARACTER.sub("", text.replace(_BROKEN, "").replace("\u00ad", ""))
