"""The text of an answer while its tokens come in: where it ends, and what of it is already certain."""

from collections.abc import Sequence

_REASONING = ("<think>", "</think>")


def after_reasoning(text: str) -> str:
    """What follows the reasoning that some models write before an answer; "" while that goes on.

    A server may take the opening mark for its prompt's, so that everything before the closing one is reasoning.
    """
    opening, closing = _REASONING
    before, closed, answer = text.rpartition(closing)
    if closed:
        return answer
    begun = text.lstrip()
    return "" if begun and (begun.startswith(opening) or opening.startswith(begun)) else text


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop text, and whether there was one."""
    ends = [text.find(mark) for mark in stop if mark and mark in text]
    return (text[: min(ends)], True) if ends else (text, False)


def certain_part(text: str, stop: Sequence[str]) -> str:
    """The beginning of the final answer that no further token can change.

    Held back are a half-decoded character, white space that may turn out to be the end, and whatever may be the
    beginning of a stop text.
    """
    text, ended = cut_at_stop(text, stop)
    if not ended:
        text = text.rstrip("\ufffd")
        held = max((_overlap(text, mark) for mark in stop), default=0)
        text = text[: len(text) - held]
    return text.strip()


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` that is a beginning of `mark`."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)
