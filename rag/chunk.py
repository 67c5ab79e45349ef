"""Documents cut into chunks that an embedder reads whole.

Size is counted in the embedder's own tokens over all it reads, the title included: what an embedder does not read
cannot be found, and embedders cut silently. It is bounded in the reader's tokens too: an embedder that knows no word of
a script may count a page as a few unknown tokens.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from advisor.data.dataset import Document
from advisor.data.document_text import Heading, Table, find_headings, find_page_breaks, find_tables
from advisor.data.prompt import passage_text
from lm.errors import ConfigError
from rag.text_unit import Boundary, TextUnit, split_clusters, split_units

CountTokens = Callable[[Sequence[str]], list[int]]

MIN_CHUNK_TOKENS = 32
"""Smaller chunks hold no more than a title."""

READER_FACTOR = 2
"""A chunk has at most this many times `max_tokens` of the reader's tokens."""

_MAX_TITLE_SHARE = 0.25
_MAX_HEADER_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Chunking:
    """How documents are cut.

    Defaults by measurement (67 handbook pages, 1,188 questions, all-MiniLM-L6-v2): for as many characters given to the
    model, chunks of 128 tokens held the answer more often (0.85 at 1,086 characters) than of 200 (0.78 at 1,072), and a
    repeated end did not help (0.84 at 1,094 with 16 tokens).

    Attributes:
        max_tokens: Most tokens of a chunk, title and the embedder's own marks included.
        overlap_tokens: Most tokens that a chunk repeats from the end of the one before.
    """

    max_tokens: int = 128
    overlap_tokens: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < MIN_CHUNK_TOKENS:
            raise ConfigError(f"chunks of {self.max_tokens} tokens are too small; give {MIN_CHUNK_TOKENS} or more")
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise ConfigError(
                f"an overlap of {self.overlap_tokens} tokens does not suit chunks of {self.max_tokens}; "
                f"give 0 to {self.max_tokens // 2}"
            )


@dataclass(frozen=True, slots=True)
class Reader:
    """Who will read the chunks, as far as cutting them goes.

    Attributes:
        count_tokens: Tokens of a passage as the language model reads it.
        fingerprint: Hash of what decides them.
    """

    count_tokens: Callable[[str], int]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        id: `<document id>#<number from 0>`.
        title: The document's, with the pages of the chunk if the document has pages ("manual.pdf, p. 12").
        heading: Path of the Markdown headings in force where the chunk begins, joined by ` > `; often empty.
        text: `document.text[start:end]`, after the names of the columns where it begins within a table.
        embedded_text: What the embedder is given: title, headings and text; a very long title is cut.
        n_tokens: Tokens of `embedded_text`.
    """

    id: str
    document_id: str
    title: str
    heading: str
    text: str
    start: int
    end: int
    embedded_text: str
    n_tokens: int

    @property
    def passage_title(self) -> str:
        """Title and headings, as they stand before the text in a prompt."""
        return _passage_title(self.title, self.heading)


def chunk_document(
    document: Document, *, chunking: Chunking, count_tokens: CountTokens, reader: Reader | None = None
) -> list[Chunk]:
    """Cut a document at the best places: section, paragraph, sentence, line, word, and inside words between clusters.

    Every character but white space is in some chunk. No chunk has more than `max_tokens`, unless one cluster (a
    character with its marks) has more by itself, and none more than `READER_FACTOR` times as many of the reader's
    tokens, if one is given. A document of white space only has no chunks.

    Args:
        count_tokens: Tokens of each text as the embedder reads it, its own marks included.
    """
    headings = find_headings(document.text)
    units = split_units(document.text, headings)
    if not units:
        return []
    tables = find_tables(document.text)
    whole_rows = _whole_rows(units, tables, document.text)
    cutter = _Cutter(document, chunking, headings, tables, whole_rows, count_tokens, reader)
    return [cutter.chunk(number, first, last) for number, (first, last) in enumerate(cutter.spans())]


def _whole_rows(units: list[TextUnit], tables: list[Table], text: str) -> list[TextUnit]:
    """Within a table the best place to cut is the end of a row, whatever sentences its cells hold."""
    starts = [table.start for table in tables]

    def as_cell(unit: TextUnit) -> TextUnit:
        position = bisect_right(starts, unit.start)
        if not position or unit.start >= tables[position - 1].end or "\n" in text[unit.start : unit.end]:
            return unit
        return replace(unit, boundary=min(unit.boundary, Boundary.WORD))

    return [as_cell(unit) for unit in units] if tables else units


def _passage_title(title: str, heading: str) -> str:
    return " > ".join(part for part in (title, heading) if part)


class _Cutter:
    """The state of cutting one document. Positions are numbers of units, spans are half open."""

    def __init__(
        self,
        document: Document,
        chunking: Chunking,
        headings: list[Heading],
        tables: list[Table],
        units: list[TextUnit],
        count_tokens: CountTokens,
        reader: Reader | None,
    ) -> None:
        self._document = document
        self._reader = reader
        self._chunking = chunking
        self._headings = headings
        self._heading_starts = [heading.start for heading in headings]
        self._page_breaks = find_page_breaks(document.text)
        self._tables = tables
        self._table_starts = [table.start for table in tables]
        self._without_header: set[int] = set()
        self._shown_header = lru_cache(maxsize=None)(self._fit_header)
        self._units = units
        # The same texts are counted again: prefixes for every chunk, and each chunk when it is cut and when it is made.
        self._n_tokens = lru_cache(maxsize=256)(lambda text: count_tokens([text])[0])
        self._shown_prefix = lru_cache(maxsize=None)(self._fit_prefix)
        texts = [document.text[unit.start : unit.end] for unit in units]
        distinct = list(dict.fromkeys(texts))
        counts = count_tokens(["", *distinct])
        # Each count holds the embedder's own marks once; a unit costs what it adds, and never nothing, so that text an
        # embedder knows no word of stays bounded too.
        cost = {
            text: max(1, count - counts[0]) if text.strip() else 0
            for text, count in zip(distinct, counts[1:], strict=True)
        }
        self._costs = [cost[text] for text in texts]

    def spans(self) -> Iterator[tuple[int, int]]:
        """First unit and the one after the last, for each chunk."""
        n_units = len(self._units)
        first = end = 0
        while end < n_units:
            best = self._choose_end(first, end + 1)
            if best is None:
                # The repeated part and the next unit are too much together.
                first = end
                best = self._choose_end(first, end + 1)
            if best is None:
                self._without_header.add(first)
                best = self._choose_end(first, end + 1) or end + 1
            if self._text(first, best):
                yield first, best
            first, end = self._choose_start(first, best), best

    def chunk(self, number: int, first: int, last: int) -> Chunk:
        """The chunk of a span."""
        start, end = self._strip(first, last)
        embedded_text = self._embedded(first, last)
        return Chunk(
            id=f"{self._document.id}#{number}",
            document_id=self._document.id,
            title=self._title(first, last),
            heading=self._heading(first),
            text=self._shown(first, last),
            start=start,
            end=end,
            embedded_text=embedded_text,
            n_tokens=self._n_tokens(embedded_text),
        )

    def _choose_end(self, first: int, minimum: int) -> int | None:
        """The best end of a chunk from `first`, at least `minimum`; None where not even that fits."""
        prefix, header = self._prefix(first, first + 1), self._header(first)
        before = self._n_tokens(passage_text(prefix, header) if header else prefix)
        budget = self._chunking.max_tokens - before
        n_tokens, end = 0, first
        while end < len(self._units) and n_tokens + self._costs[end] <= budget:
            n_tokens += self._costs[end]
            end += 1
        # The sum is exact for tokenizers that treat words apart, else an estimate: so the whole is counted too.
        while end >= minimum:
            best = self._best_boundary(first, end, minimum)
            if self._is_read_whole(first, best):
                return best
            end = min(best - 1, first + (end - first) * 9 // 10)
        return None

    def _is_read_whole(self, first: int, last: int) -> bool:
        text = self._embedded(first, last)
        if self._n_tokens(text) > self._chunking.max_tokens:
            return False
        return self._reader is None or self._reader.count_tokens(text) <= READER_FACTOR * self._chunking.max_tokens

    def _best_boundary(self, first: int, end: int, minimum: int) -> int:
        """The last of the best boundaries in the second half of a span; its end where the document ends."""
        if end == len(self._units):
            return end
        half = sum(self._costs[first:end]) / 2
        best, n_tokens = end, sum(self._costs[first:end])
        for candidate in range(end, minimum - 1, -1):
            if n_tokens < half:
                break
            if self._units[candidate - 1].boundary > self._units[best - 1].boundary:
                best = candidate
            n_tokens -= self._costs[candidate - 1]
        return best

    def _choose_start(self, first: int, end: int) -> int:
        """Where the next chunk begins: the earliest of the best boundaries within the overlap."""
        if self._units[end - 1].boundary is Boundary.SECTION:
            return end
        best, best_boundary, n_tokens = end, -1, 0
        for start in range(end - 1, first, -1):
            n_tokens += self._costs[start]
            if n_tokens > self._chunking.overlap_tokens:
                break
            if self._units[start - 1].boundary >= best_boundary:
                best, best_boundary = start, self._units[start - 1].boundary
        return best

    def _heading(self, first: int) -> str:
        position = bisect_right(self._heading_starts, self._units[first].start)
        path = self._headings[position - 1].path if position else ()
        # A document's first heading often is its title again, which has the file's name after it where there are pages.
        title = self._document.title
        is_title = bool(path) and (path[0] == title or (self._page_breaks and title.startswith(f"{path[0]} (")))
        return " > ".join(path[1:] if is_title else path)

    def _title(self, first: int, last: int) -> str:
        if not self._page_breaks:
            return self._document.title
        start, end = self._strip(first, last)
        pages = dict.fromkeys(
            bisect_right(self._page_breaks, position) + 1 for position in (start, max(start, end - 1))
        )
        return f"{self._document.title}, p. {'–'.join(map(str, pages))}"

    def _prefix(self, first: int, last: int) -> str:
        return self._shown_prefix(self._title(first, last), self._heading(first))

    def _fit_prefix(self, title: str, heading: str) -> str:
        limit = int(self._chunking.max_tokens * _MAX_TITLE_SHARE)
        prefix = _passage_title(title, heading)
        while prefix and self._n_tokens(prefix) > limit:
            clusters = split_clusters(prefix)
            prefix = "".join(clusters[: len(clusters) * 3 // 4])
        return prefix

    def _header(self, first: int) -> str:
        """The names of the columns, where a chunk begins after them; "" elsewhere and where they leave no room."""
        start = self._units[first].start
        position = bisect_right(self._table_starts, start)
        table = self._tables[position - 1] if position else None
        if table is None or not table.start < start < table.end or first in self._without_header:
            return ""
        return self._shown_header(table.header)

    def _fit_header(self, header: str) -> str:
        limit = int(self._chunking.max_tokens * _MAX_HEADER_SHARE)
        return f"{header}\n" if self._n_tokens(header) <= limit else ""

    def _strip(self, first: int, last: int) -> tuple[int, int]:
        start, end = self._units[first].start, self._units[last - 1].end
        text = self._document.text[start:end]
        return start + len(text) - len(text.lstrip()), end - (len(text) - len(text.rstrip()))

    def _text(self, first: int, last: int) -> str:
        start, end = self._strip(first, last)
        return self._document.text[start:end]

    def _shown(self, first: int, last: int) -> str:
        return self._header(first) + self._text(first, last)

    def _embedded(self, first: int, last: int) -> str:
        return passage_text(self._prefix(first, last), self._shown(first, last))
