"""What counts as the same answer: normal form, tokens and abstentions, in every script.

The normal form is SQuAD's (lower case, no punctuation, no English articles, single spaces; Rajpurkar et al. 2016,
arXiv:1606.05250) with what its script gets wrong put right: Unicode forms and digits are unified, a mark inside a
number is never deleted (3.5 is not 35), a sign that is content stays (≤ 5 is not ≥ 5, $10 not €10, C++ not C), and an
answer made of symbols alone is kept.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

ABSTENTION_OPENINGS = (
    "i dont know",
    "i do not know",
    "dont know",
    "do not know",
    "im not sure",
    "i am not sure",
    "i cannot answer",
    "i cant answer",
    "i am unable to answer",
    "im unable to answer",
    "i have no information",
    "i dont have enough information",
    "i do not have enough information",
    "i dont have information",
    "i do not have information",
    "not enough information",
    "insufficient information",
    "there is not enough information",
    "there is no information",
    "no information is",
    "question cannot be answered",
    "this cannot be answered",
    "it is not known",
    "documents do not",
    "documents dont",
    "passages do not",
    "passages dont",
    "context does not",
    "context doesnt",
)
"""Normal forms of what an abstention begins with; anything may follow."""

ABSTENTIONS = ("no answer", "unanswerable", "unknown", "not known", "not answerable", "cannot answer", "cant answer")
"""Normal forms that are an abstention only when nothing else is said."""

_WORD_OF_EVERY_ABSTENTION = re.compile(b"know|sure|answer|information|documents|passages|context")
_NO_LETTERS = bytes(code for code in range(256) if not chr(code).isascii() or not chr(code).isalpha())
_LEAD = re.compile(r"^(?:(?:answer|im sorry|i am sorry|sorry|unfortunately|but) )+")
_ARTICLE = re.compile(r"(?:^|(?<= ))(?:a|an|the) (?=\S)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_SIGN_OR_POINT = re.compile(r"(?<![-.])-?\.?$")
_COMPARED = re.compile(r"([<>])=(?= ?[-+.]?\d)")
_PRICE = re.compile(r"(?<![\d.,])(-?\d(?:[\d.,]*\d)?) ?([$¢-¥֏؋৲-৳฿₠-⃀])(?! ?\d)")
# Before a number what it is compared by, or its currency; after a letter what tells a name from another: C++, C#, A+.
_CONTENT_SIGN = re.compile(
    r"[<>≤≥](?= ?[-+.$¢-¥₠-⃀]*\d)|[$¢-¥֏؋৲-৳฿₠-⃀](?= ?[-.]?\d)|(?<=[^\W\d_])(?:\+{1,2}|#)(?![^\s.,;:!?)\]])"
)
_SAME_CHARACTER = str.maketrans(
    {
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-",
        "٫": ".", "٬": ",", "⁄": "/", "’": "'", "‘": "'",
    }
)  # fmt: skip
# Scripts written without spaces between words: CJK, kana, Thai, Lao, Tibetan, Burmese, Khmer.
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


@lru_cache(maxsize=16_384)
def fold(text: str) -> str:
    """One spelling for what Unicode spells in many ways: NFKC, case folded, ASCII digits, single spaces.

    Combining marks stay, since Burmese, Thai, Arabic and Hindi are written with them. Invisible characters go.
    """
    text = _one_case("".join(_raised(char) for char in text))
    text = "".join(_plain(char) for char in text.translate(_SAME_CHARACTER))
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _one_case(text: str) -> str:
    for _ in range(4):  # folding can undo the normal form and the other way round; it settles after two or three turns
        before, text = text, unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if text == before:
            break
    return text


def normalise(text: str) -> str:
    """The normal form in which answers are compared. Idempotent; empty only for a text without visible characters."""
    folded = _PRICE.sub(r"\2\1", _COMPARED.sub(lambda match: "≤" if match[1] == "<" else "≥", fold(text)))
    bare = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), _without_punctuation(folded))
    # Deleting a mark can leave two characters side by side that Unicode spells as one.
    return unicodedata.normalize("NFKC", _join_unspaced(_ARTICLE.sub("", bare) or folded))


def tokens(text: str) -> list[str]:
    """Tokens of the normal form: words, or characters with their marks in scripts written without spaces."""
    return split_tokens(normalise(text))


def split_tokens(text: str) -> list[str]:
    """Split at spaces and around every character (with its marks) of a script written without spaces."""
    found: list[str] = []
    for word in text.split():
        start = True
        for char in word:
            if unicodedata.category(char).startswith("M") and not start:
                found[-1] += char
            elif start or _is_unspaced(char) or _is_unspaced(found[-1][0]):
                found.append(char)
            else:
                found[-1] += char
            start = False
    return found


def runs(text: str) -> list[str]:
    """Runs of letters and digits in case-folded text; ROUGE's default tokens, but for every script.

    For ASCII text these are exactly `rouge_score`'s, which deletes every other letter.
    """
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in fold(text))
    return split_tokens(kept)


def mostly_unspaced(text: str) -> bool:
    """Whether most letters belong to a script written without spaces."""
    letters = [char for char in text if unicodedata.category(char).startswith("L")]
    return 2 * sum(map(_is_unspaced, letters)) > len(letters)


def is_abstention(text: str) -> bool:
    """Whether the answer declines to answer, in the asked words ("I don't know.") or close ones.

    A guess after the refusal ("I don't know, but perhaps Paris") does not undo it. An empty answer is no abstention.
    """
    return may_be_abstention(text) and _is_abstention(text)


def may_be_abstention(text: str) -> bool:
    """Whether a text holds a word of an abstention; else it is none, nor has it the normal form of one.

    Most answers hold none, and the normal form takes fifty times as long as to see that. It never brings letters
    together that others part, so that a word which it holds stands among the letters of the text as well.
    """
    letters = _one_case(text).encode("ascii", "ignore").translate(None, _NO_LETTERS)
    return _WORD_OF_EVERY_ABSTENTION.search(letters) is not None


@lru_cache(maxsize=4096)
def _is_abstention(text: str) -> bool:
    plain = _LEAD.sub("", normalise(text))
    return plain in ABSTENTIONS or any(f"{plain} ".startswith(f"{opening} ") for opening in ABSTENTION_OPENINGS)


def _raised(char: str) -> str:
    """Keep apart what NFKC would run together: 10² is not 102, 3½ is not 31/2."""
    decomposition = unicodedata.decomposition(char)
    if unicodedata.category(char) == "No":
        if decomposition.startswith("<super>"):
            return "^" + char
        if decomposition.startswith("<fraction>"):
            return " " + char
    return char


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    # Format characters are invisible (joiners, direction marks), as are variation selectors.
    if category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF:
        return ""
    return " " if category in ("Cc", "Zs", "Zl", "Zp") else char


def _without_punctuation(text: str) -> str:
    """Delete punctuation and symbols, except a single mark between digits and a number's sign or leading point."""
    parts: list[str] = []
    content = {i: match.group() for match in _CONTENT_SIGN.finditer(text) for i in range(*match.span())}
    for is_mark, start, end in _spans(text, lambda char: unicodedata.category(char)[0] in "PS"):
        if not is_mark:
            parts.append(text[start:end])
            continue
        before, after = text[start - 1 : start], text[end : end + 1]
        if kept := [text[i] for i in range(start, end) if i in content]:
            # What belongs to a name stays at it; other signs are words.
            parts.append("".join(kept) if before.isalpha() else f" {' '.join(kept)} ")
            rest = "".join(text[i] for i in range(start, end) if i not in content)
            if after.isdigit() and (match := _SIGN_OR_POINT.search(rest)):
                parts.append(match.group())
            continue
        if before.isdigit() and after.isdigit():
            parts.append(text[start:end] if end - start == 1 else " ")
        elif after.isdigit() and before in ("", " "):
            match = _SIGN_OR_POINT.search(text[start:end])
            parts.append(match.group() if match else "")
    return " ".join("".join(parts).split())


def _spans(text: str, test: Callable[[str], bool]) -> list[tuple[bool, int, int]]:
    """Maximal runs of characters on which the test agrees, as (outcome, start, end)."""
    spans: list[tuple[bool, int, int]] = []
    for i, char in enumerate(text):
        outcome = test(char)
        if spans and spans[-1][0] == outcome:
            spans[-1] = (outcome, spans[-1][1], i + 1)
        else:
            spans.append((outcome, i, i + 1))
    return spans


def _is_unspaced(char: str) -> bool:
    point = ord(char)
    return any(first <= point <= last for first, last in _UNSPACED_RANGES)


def _join_unspaced(text: str) -> str:
    """Delete spaces between characters of unspaced scripts, where writers put them as they please."""
    joined: list[str] = []
    for word in text.split(" "):
        if joined and word and _is_unspaced(joined[-1][-1]) and _is_unspaced(word[0]):
            joined[-1] += word
        else:
            joined.append(word)
    return " ".join(joined)
