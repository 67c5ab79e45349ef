"""Where a text may be cut, in any script.

Words in scripts with spaces; in scripts without (Burmese, Thai, Lao, Khmer, Chinese, Japanese) and in very long words
the clusters of Unicode Standard Annex 29, widened where the Annex is too fine: it would cut before the Burmese vowel
sign AA or the visarga, inside a stacked consonant, and between a Thai or Lao vowel and the consonant it is written
before.
"""

from dataclasses import dataclass
from enum import IntEnum

import regex

from advisor.data.document_text import Heading


class Boundary(IntEnum):
    """How good a place the end of a unit is to cut at; higher is better."""

    CLUSTER = 0
    WORD = 1
    LINE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    SECTION = 5


@dataclass(frozen=True, slots=True)
class TextUnit:
    """A piece that is never cut, `text[start:end]` with the white space after it, and how it ends."""

    start: int
    end: int
    boundary: Boundary


_LONG_WORD_CHARACTERS = 32
# A mark after a space belongs to the space.
_WORD = regex.compile(r"(?:\S+|\s+(?=\p{M})|\s+$)(?:\s*\p{M}\S*)*\s*|\s+")
NO_SPACES = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc\p{Script=Myanmar}\p{Script=Thai}\p{Script=Lao}"
    r"\p{Script=Khmer}]"
)
"""Pattern of a character of a script that does not put spaces between words."""
_NO_SPACES = regex.compile(NO_SPACES)
# A cluster takes in what follows it while that is a combining mark, a consonant stacked on it (Burmese U+1039, Khmer
# U+17D2), a Burmese final consonant (with asat U+103A), the consonant after a leading Thai or Lao vowel, or a space.
_CLUSTER = regex.compile(
    r"\X(?:(?=[\p{M}\u200d])\X|(?<=[\u1039\u17d2\u0e40-\u0e44\u0ec0-\u0ec4])\X|(?=[\u1000-\u1021]\u103a)\X|\s)*"
)
_SENTENCE_END = regex.compile(r"(?:[.!?…]|[。！？｡።؟۔।॥။])[\"'”’»)\]」』）]*\s*$")
_CLUSTER_SENTENCE_END = regex.compile(r"[。！？｡။][”’」』）]*\s*$")
_LIST_MARK = regex.compile(r"(?:[-*•–]|\(?[\p{N}\p{L}]{1,3}[.)])\s*$")
_BLANK_LINE = regex.compile(r"\n[^\S\n]*\n|\u2029")


def split_units(text: str, headings: list[Heading]) -> list[TextUnit]:
    """The units of a text in order; they follow on one another without a gap and cover it whole."""
    section_starts = {heading.start for heading in headings}
    units: list[TextUnit] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        word = match.group()
        boundary = Boundary.SECTION if end in section_starts else _word_boundary(word)
        if len(word.rstrip()) > _LONG_WORD_CHARACTERS or _NO_SPACES.search(word):
            for cluster in _CLUSTER.finditer(text, start, end):
                cut = cluster.end()
                at_sentence_end = _CLUSTER_SENTENCE_END.search(cluster.group())
                inner = Boundary.SENTENCE if at_sentence_end else Boundary.CLUSTER
                units.append(TextUnit(cluster.start(), cut, boundary if cut == end else inner))
        else:
            units.append(TextUnit(start, end, boundary))
    return units


def _word_boundary(word: str) -> Boundary:
    if _BLANK_LINE.search(word):
        return Boundary.PARAGRAPH
    # A list's mark must not be cut from what it marks.
    if _LIST_MARK.match(word):
        return Boundary.CLUSTER
    if _SENTENCE_END.search(word):
        return Boundary.SENTENCE
    return Boundary.LINE if "\n" in word else Boundary.WORD


def split_clusters(text: str) -> list[str]:
    """The clusters of a text; joined they are the text."""
    return [match.group() for match in _CLUSTER.finditer(text)]
