from math import sqrt

import pytest

from advisor.decision.power import DISCORDANCE, expected_power
from advisor.evidence.statistics import minimum_detectable_effect


def test_what_can_be_shown_follows_from_the_counts() -> None:
    found = expected_power(35, 35, 0.02)
    assert found.detectable == pytest.approx(minimum_detectable_effect(sqrt(DISCORDANCE / 35)))
    assert found.message == (
        "35 test questions can show differences above about 28 points. Showing 10 points takes about 280 questions, "
        "the margin of 2 points about 6,900."
    )


@pytest.mark.parametrize("effect", [0.05, 0.1])
def test_as_many_questions_as_are_needed_show_it(effect: float) -> None:
    needed = expected_power(35, 35, effect).questions_for_margin
    assert needed is not None
    found = expected_power(needed, needed, effect)
    assert effect * 0.95 < found.detectable <= effect
    assert "Showing the margin" not in found.message


def test_questions_on_few_documents_show_less() -> None:
    assert expected_power(300, 30, 0.02).detectable > expected_power(300, 300, 0.02).detectable


def test_too_few_questions_for_any_verdict_are_told_with_what_is_needed() -> None:
    message = expected_power(12, 3, 0).message
    assert "12 test questions on 3 documents or facts are too few. You need at least 30" in message
    assert message.endswith("Showing 10 points takes about 440 questions.")
