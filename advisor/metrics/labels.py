"""Classification: is the answer the label?"""

from advisor.data.dataset import Example
from advisor.data.normalisation import fold
from advisor.results.answer import Answer
from advisor.results.score import Score

_AROUND_A_LABEL = " .,;:!?\"'`*()[]。،؟…।၊။"


def same_label(text: str, label: str) -> bool:
    """Equality of labels but for case, Unicode form, white space and punctuation around them.

    Signs that tell labels apart (C++, C#, A-) are no punctuation here, and "not spam" is not "spam".
    """
    text, label = fold(text), fold(label)
    return text == label or (text.strip(_AROUND_A_LABEL) == label.strip(_AROUND_A_LABEL) != "")


def accuracy(example: Example, answer: Answer) -> Score:
    """1 if the answer is one of the accepted labels."""
    return Score(float(any(same_label(answer.text, label) for label in example.answers)))
