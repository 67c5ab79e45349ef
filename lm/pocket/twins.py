"""Twins of a passage: the same text without the sentence that states an answer, so that the question is unanswerable.

A model that sees both twins cannot tell by the wording of a question whether to abstain: only by reading.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from lm.pocket.passages import ABSTENTION, Fact, Passage

_BREAK = re.compile(r"\n+|(?<=[.!?;])(?<!Dr\.)(?<!Mr\.)(?<!Ms\.)(?<!St\.) (?=[A-Z0-9\"$€£-])")


def without_one_answer(passage: Passage, rng: random.Random) -> Passage | None:
    """The passage less one sentence or line, whose facts are now `withheld`.

    Returns:
        None if no answer stands in exactly one sentence, or if nothing would be left of the text.
    """
    for fact in rng.sample(passage.facts, len(passage.facts)):
        cut = _only_segment_with(fact.answer, passage.text)
        if cut is None:
            continue
        start, end = cut
        removed, kept = passage.text[start:end], (passage.text[:start] + passage.text[end:]).strip()
        gone = [f for f in passage.facts if _states(removed, f.answer)]
        left = [f for f in passage.facts if not _states(removed, f.answer)]
        if kept and not any(_states(kept, f.answer) for f in gone) and all(_states(kept, f.answer) for f in left):
            return replace(
                passage,
                text=kept,
                facts=left,
                withheld=[*passage.withheld, *(Fact(f.ask, ABSTENTION, f.about) for f in gone)],
            )
    return None


def withheld_from(passages: Sequence[Passage], rng: random.Random, n: int) -> list[Passage]:
    """The passages less up to `n` sentences that state answers."""
    twins = list(passages)
    for _ in range(n):
        i = rng.randrange(len(twins))
        twins[i] = without_one_answer(twins[i], rng) or twins[i]
    return twins


def _only_segment_with(answer: str, text: str) -> tuple[int, int] | None:
    """Start and end of the one sentence or line that has the answer, with the break behind it."""
    edges = [0, *(m.end() for m in _BREAK.finditer(text)), len(text)]
    spans = [(a, b) for a, b in zip(edges, edges[1:], strict=False) if _states(text[a:b], answer)]
    return spans[0] if len(spans) == 1 else None


def _states(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None
