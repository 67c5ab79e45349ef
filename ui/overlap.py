"""What an answer shares with a passage, marked in the passage."""

import re

from ui.untrusted import shown

_WORD = re.compile(r"\w+")


def overlap_marks(passage: str, answer: str) -> str:
    """The passage as Markdown in which the words it shares with the answer are bold, all else as it stands.

    Runs of words that stand in the same order in both count; single words of three letters or fewer do not.
    """
    said = [word.casefold() for word in _WORD.findall(answer)]
    runs = {tuple(said[i : i + n]) for n in (1, 2, 3) for i in range(len(said) - n + 1)}
    words = list(_WORD.finditer(passage))
    folded = [word.group().casefold() for word in words]
    marked = [False] * len(words)
    for n in (3, 2, 1):
        for i in range(len(words) - n + 1):
            run = tuple(folded[i : i + n])
            if run in runs and (n > 1 or len(run[0]) > 3 or run[0].isdigit()):
                marked[i : i + n] = [True] * n
    pieces, at = [], 0
    for i, word in enumerate(words):
        if not marked[i] or (i > 0 and marked[i - 1]):
            continue
        end = i
        while end + 1 < len(words) and marked[end + 1]:
            end += 1
        pieces.append(_kept(passage[at : word.start()]))
        pieces.append(f"**{shown(passage[word.start() : words[end].end()])}**")
        at = words[end].end()
    return "".join([*pieces, _kept(passage[at:])])


def _kept(text: str) -> str:
    """Escaped, with the blanks at either end that escaping takes off."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + shown(text) + after
