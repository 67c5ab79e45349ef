import json

import pytest

from lm.pocket import vocabulary
from lm.pocket.held_out import (
    KINDS,
    WRITTEN,
    HeldOutSource,
    closed_book_items,
    label_items,
    written_items,
    written_unanswerable_items,
)
from lm.pocket.passages import ABSTENTION, capitalised


def test_kinds_of_things_and_themes_are_not_those_of_training() -> None:
    assert not set(KINDS) & set(vocabulary.KINDS)
    assert not set(json.loads(WRITTEN.read_text(encoding="utf-8"))["themes"]) & set(vocabulary.THEMES)


@pytest.mark.parametrize("n_passages", [1, 3, 5])
def test_answers_stand_in_the_passages(n_passages: int) -> None:
    source = HeldOutSource(3)
    generated = [source.item(n_passages, answerable=True) for _ in range(100)]
    for item in [*generated, *written_items(n_passages)]:
        prompt = item.turns[-1][1]
        assert f"[{n_passages}]" in prompt and f"[{n_passages + 1}]" not in prompt
        assert item.answers[0] in prompt or capitalised(item.answers[0]) in prompt


def test_unanswerable_items_expect_the_abstention() -> None:
    source = HeldOutSource(3)
    items = [source.item(3, answerable=False), *written_unanswerable_items(3), *closed_book_items(3)]
    assert all(item.answers == (ABSTENTION,) for item in items)


def test_equal_seeds_give_equal_items() -> None:
    assert HeldOutSource(5).item(3, answerable=True) == HeldOutSource(5).item(3, answerable=True)


def test_worked_examples_do_not_show_the_message_asked() -> None:
    for item in label_items(50, 12):
        *shown, asked = [text.split("Question: ")[-1] for role, text in item.turns if role == "user"]
        assert asked not in shown
        assert len(item.turns) == 25


def test_the_same_messages_are_asked_with_and_without_worked_examples() -> None:
    for bare, shown in zip(label_items(40, 0), label_items(40, 12), strict=True):
        assert bare.answers == shown.answers
        assert bare.turns[-1][1].split("Question: ")[-1] == shown.turns[-1][1].split("Question: ")[-1]
