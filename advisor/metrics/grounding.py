"""How much of what an answer says stands in the passages it was given. Counted, without a model, in every script."""

from collections.abc import Sequence

from advisor.data.dataset import Example
from advisor.data.language import function_words
from advisor.data.normalisation import is_abstention, mostly_unspaced, tokens
from advisor.data.prompt import passage_text
from advisor.results.answer import Answer
from advisor.results.score import Score, unscored

BACKED_SHARE = 0.5
"""An answer is backed by a passage that holds this share of its content."""


def grounding(_: Example, answer: Answer) -> Score:
    """Share of the answer's content that stands in the passages of its prompt, titles included."""
    passages = used_passages(answer)
    if not passages:
        return unscored("no passages")
    if not answer.text.strip() or is_abstention(answer.text):
        return unscored("the answer declines or is empty")
    return Score(share_found(answer.text, " \n ".join(passages)))


def is_backed(answer: Answer) -> bool:
    """Whether one passage that came with the answer holds `BACKED_SHARE` of its content, so that it is a source."""
    return any(share_found(answer.text, passage) >= BACKED_SHARE for passage in used_passages(answer))


def used_passages(answer: Answer) -> list[str]:
    """The passages in the answer's prompt as the model read them."""
    return [passage_text(chunk.title, chunk.text) for chunk in answer.retrieved if chunk.used]


def share_found(text: str, source: str) -> float:
    """Share of the content of a text that stands in a source; 1 for a text of function words alone."""
    without = function_words(text)
    content = [unit for unit in _units(text) if unit not in without]
    found = set(_units(source))
    return sum(unit in found for unit in content) / len(content) if content else 1.0


def mean_backed(answers: Sequence[Answer]) -> float | None:
    """Share of the answers that are backed by a passage; None without an answer that says anything."""
    said = [answer for answer in answers if answer.text.strip() and not is_abstention(answer.text)]
    return sum(map(is_backed, said)) / len(said) if said else None


def _units(text: str) -> list[str]:
    """Words; in scripts without spaces pairs of characters, since any long text holds most single ones."""
    found = tokens(text)
    is_character = [mostly_unspaced(token) for token in found]
    units = []
    for i, token in enumerate(found):
        if not is_character[i]:
            units.append(token)
        elif i + 1 < len(found) and is_character[i + 1]:
            units.append(token + found[i + 1])
        elif not (i and is_character[i - 1]):
            units.append(token)
    return units
