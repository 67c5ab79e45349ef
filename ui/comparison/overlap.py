"""What an answer shares with a passage, and what it has that no reference has."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from advisor.data.normalisation import fold, split_tokens
from ui.untrusted import shown

_Word = tuple[int, int, str]
# A Burmese or Khmer sign, and a joiner, that bind the letter behind them into one drawn cluster with that before.
_BINDS = ("\u1039", "\u17d2", "\u200d")


def overlap_marks(passage: str, answer: str) -> str:
    """The passage as Markdown in which the words it shares with the answer are bold, all else as it stands.

    Runs of words that stand in the same order in both count; single words of three letters or fewer do not. In scripts
    written without spaces, letters with their marks stand for words.
    """
    said = [folded for _, _, folded in _words(answer)]
    runs = {tuple(said[i : i + n]) for n in (1, 2, 3) for i in range(len(said) - n + 1)}
    words = list(_words(passage))
    marked = [False] * len(words)
    for n in (3, 2, 1):
        for i in range(len(words) - n + 1):
            run = tuple(folded for _, _, folded in words[i : i + n])
            if run in runs and (n > 1 or len(run[0]) > 3 or run[0].isdigit()):
                marked[i : i + n] = [True] * n
    pieces, at = [], 0
    for start, end in _runs(words, marked):
        pieces.append(_kept(passage[at:start]))
        pieces.append(f"**{shown(passage[start:end])}**")
        at = end
    return "".join([*pieces, _kept(passage[at:])])


def pieces_unlike(answer: str, references: Sequence[str]) -> list[tuple[str, bool]]:
    """The answer in pieces, and of each whether its words stand in no reference.

    One piece where the two share no word: then all of it is unlike, and nothing stands out.
    """
    known = {folded for reference in references for _, _, folded in _words(reference)}
    words = list(_words(answer))
    unlike = [folded not in known for _, _, folded in words]
    if all(unlike):
        return [(answer, False)]
    pieces, at = [], 0
    for start, end in _runs(words, unlike):
        pieces += [(answer[at:start], False), (answer[start:end], True)]
        at = end
    return [piece for piece in [*pieces, (answer[at:], False)] if piece[0]]


def _runs(words: Sequence[_Word], marked: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where each run of marked words begins and ends."""
    for is_marked, run in groupby(zip(words, marked, strict=True), key=itemgetter(1)):
        if is_marked:
            spans = [(start, end) for (start, end, _), _ in run]
            yield spans[0][0], spans[-1][1]


def _words(text: str) -> Iterator[_Word]:
    """Where each word begins and ends, and how it is compared; joiners between pictures are no words."""
    return ((start, end, folded) for start, end in _spans(text) if (folded := fold(text[start:end])))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" or char in _BINDS else " " for char in text)
    start = end = 0
    for token in split_tokens(kept):
        found = kept.index(token, end)
        if found > end or not kept[start:end].endswith(_BINDS):
            if end > start:
                yield start, end
            start = found
        end = found + len(token)
    if end > start:
        yield start, end


def _kept(text: str) -> str:
    """Escaped, with the blanks at either end that escaping takes off."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + shown(text) + after
