"""Free text: how near is the answer to a reference? The best reference counts."""

from collections import Counter

from advisor.data.dataset import Example
from advisor.data.normalisation import normalise, tokens
from advisor.metrics.containment import contains_any
from advisor.results.answer import Answer
from advisor.results.score import Score


def exact_match(example: Example, answer: Answer) -> Score:
    """1 if the answer equals a reference in normal form."""
    return Score(float(normalise(answer.text) in map(normalise, example.answers)))


def token_f1(example: Example, answer: Answer) -> Score:
    """Harmonic mean of precision and recall over the bags of tokens."""
    given = tokens(answer.text)
    return Score(max(bag_f1(given, tokens(reference)) for reference in example.answers))


def bag_f1(given: list[str], wanted: list[str]) -> float:
    """F1 of two bags of tokens; two empty bags are equal."""
    if not given or not wanted:
        return float(given == wanted)
    n_shared = (Counter(given) & Counter(wanted)).total()
    return 2 * n_shared / (len(given) + len(wanted))


def contains_answer(example: Example, answer: Answer) -> Score:
    """1 if the answer equals a reference, or a reference's words stand in it one after another; "5" is not in "15"."""
    return Score(float(contains_any(answer.text, example.answers)))
