"""What an answer shares with a passage, marked in the passage."""

import unicodedata
from collections.abc import Iterator

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
    for i, (start, _, _) in enumerate(words):
        if not marked[i] or (i > 0 and marked[i - 1]):
            continue
        last = i
        while last + 1 < len(words) and marked[last + 1]:
            last += 1
        end = words[last][1]
        pieces.append(_kept(passage[at:start]))
        pieces.append(f"**{shown(passage[start:end])}**")
        at = end
    return "".join([*pieces, _kept(passage[at:])])


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
