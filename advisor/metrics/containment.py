"""Whether a text says an answer among other words, with numbers and their units kept whole."""

import re
from collections.abc import Iterable, Sequence

from advisor.data.normalisation import normalise, tokens

_UNIT_SIGNS = {"%": "percent", "‰": "permille", "€": "euro", "$": "dollar", "£": "pound", "¥": "yen"}
_UNIT_NAMES = {
    "euros": "euro", "eur": "euro", "dollars": "dollar", "usd": "dollar", "pounds": "pound", "gbp": "pound",
    "degree": "degrees",
}  # fmt: skip
_SIGN = re.compile("[" + re.escape("".join(_UNIT_SIGNS)) + "]")
_CODE_BEFORE_NUMBER = re.compile(r"(?:([€$£¥])|\b(EUR|USD|GBP)) ?(\d(?:[\d.,]*\d)?)")
_BARE_DEGREES = re.compile(r"(?<=\d) ?[°º](?! ?[A-Za-z])")
# Marks inside numbers and codes (1,250, 10:30, F0-3) end no clause.
_CLAUSE_END = re.compile(r"[,;:.!?。၊။、،؛](?=\s|$)|[()\[\]\n]")
# Codes as E21 or F0-3b begin with a letter and stay whole.
_NUMBER_WITH_UNIT = re.compile(r"(-?[\d.,/-]*\d)([^\W\d_].*)")
_NUMBER = re.compile(r"-?[\d.,/-]*\d")


def contains_any(text: str, references: Iterable[str]) -> bool:
    """Whether a text says one of the references, alone or among other words."""
    said, words = normalise(text), _Words(text)
    return any(said == normalise(reference) or words.hold(_Words(reference).words) for reference in references)


class _Words:
    """A text as words, in which a number and its unit are two however they are written: 60°C is 60 °C, €5 is 5 euros.

    Attributes:
        starts: Places at which a clause begins.
    """

    def __init__(self, text: str) -> None:
        self.words: list[str] = []
        self.starts: set[int] = set()
        text = _CODE_BEFORE_NUMBER.sub(lambda found: f"{found[3]} {found[1] or found[2]}", text)
        text = _BARE_DEGREES.sub(" degrees ", text)
        text = _SIGN.sub(lambda found: f" {_UNIT_SIGNS[found[0]]} ", text)
        for clause in _CLAUSE_END.split(text):
            self.starts.add(len(self.words))
            if any(char.isalnum() for char in clause):
                self.words += [word for token in tokens(clause) for word in _number_and_unit(token)]

    def hold(self, wanted: Sequence[str]) -> bool:
        """Whether these words stand here one after another, and are no part of a longer quantity."""
        places = range(len(self.words) - len(wanted) + 1)
        return bool(wanted) and any(
            self.words[i : i + len(wanted)] == wanted and not self._is_part(i, i + len(wanted)) for i in places
        )

    def _is_part(self, start: int, end: int) -> bool:
        """Whether a quantity goes on before or after: 2 hours is not 2 hours 30 minutes, nor 2 hours and 30 minutes."""
        after = end + (self.words[end : end + 1] == ["and"])
        before = start - (start > 0 and self.words[start - 1] == "and")
        goes_on = end not in self.starts and self._is_quantity(end - 2) and self._is_quantity(after)
        went_on = start not in self.starts and self._is_quantity(start) and self._is_quantity(before - 2)
        return (end - start > 1) and (goes_on or went_on)

    def _is_quantity(self, i: int) -> bool:
        pair = self.words[i : i + 2] if i >= 0 else []
        return len(pair) == 2 and _NUMBER.fullmatch(pair[0]) is not None and pair[1].isalpha()


def _number_and_unit(token: str) -> Sequence[str]:
    parts = _NUMBER_WITH_UNIT.fullmatch(token)
    return [_UNIT_NAMES.get(word, word) for word in (parts.groups() if parts else (token,))]
