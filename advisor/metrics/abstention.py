"""Whether an arm knows when to say nothing."""

from collections.abc import Callable, Sequence

from advisor.data.dataset import Example
from advisor.data.normalisation import is_abstention, may_be_abstention, normalise
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoreFunction, per_example


def declines(text: str, references: Sequence[str]) -> bool:
    """Whether an answer declines, unless those very words are an accepted reference (a label "unknown")."""
    if not is_abstention(text):
        return False
    accepted = [reference for reference in references if may_be_abstention(reference)]
    return not accepted or normalise(text) not in map(normalise, accepted)


def abstained(example: Example, answer: Answer) -> bool:
    """Whether the answer to an example declines."""
    return declines(answer.text, example.answers)


def abstention(example: Example, answer: Answer) -> Score:
    """1 if the answer declines exactly when nothing answers the question, else 0."""
    return Score(float(abstained(example, answer) != example.answerable))


def unless_abstained(function: Callable[[Example, Answer], Score]) -> ScoreFunction:
    """Lift a comparison with references to all examples.

    Where nothing answers the question the score is 1 for an abstention and 0 for anything else; where something does,
    an abstention scores 0 whatever words it shares with a reference.
    """

    def score(example: Example, answer: Answer) -> Score:
        declined = abstained(example, answer)
        if declined or not example.answerable:
            return Score(float(declined and not example.answerable))
        return function(example, answer)

    return per_example(score)
