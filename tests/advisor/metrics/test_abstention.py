from collections.abc import Callable

import pytest

from advisor.data.dataset import Example
from advisor.metrics.abstention import abstained, abstention
from advisor.results.answer import Answer


@pytest.mark.parametrize(
    ("references", "text", "expected"),
    [
        ((), "I don't know.", 1),
        ((), "Paris", 0),
        (("Paris",), "I don't know.", 0),
        (("Paris",), "Rome", 1),
        ((), "", 0),
    ],
)
def test_abstention_is_right_exactly_when_nothing_answers(
    references: tuple[str, ...],
    text: str,
    expected: int,
    example: Callable[..., Example],
    answer: Callable[..., Answer],
) -> None:
    assert abstention(example(*references), answer(text)).value == expected


def test_words_of_refusal_that_are_a_reference_are_an_answer(
    example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    assert not abstained(example("unknown", "spam"), answer("Unknown."))
    assert abstained(example("spam"), answer("Unknown."))
