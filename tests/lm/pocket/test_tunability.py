import pytest

from lm.pocket.evaluate import CHECKPOINT, load
from lm.pocket.passages import ABSTENTION
from lm.pocket.tunability import facts, share_right, tuned


def test_facts_are_about_different_things_in_three_wordings() -> None:
    drawn = facts(20)
    assert all(len(set(wordings)) == 3 for wordings, _ in drawn)
    assert len({wordings[2] for wordings, _ in drawn}) == 20
    assert ABSTENTION not in {answer for _, answer in drawn}


@pytest.mark.slow
def test_a_few_facts_can_be_taught() -> None:
    model, tokenizer = load(CHECKPOINT)
    rows = [(wordings[0], answer) for wordings, answer in facts(4)]
    assert share_right(model, tokenizer, rows) == 0.0
    assert share_right(tuned(model, tokenizer, rows, epochs=30, rate=3e-3), tokenizer, rows) == 1.0
