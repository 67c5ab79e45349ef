import random

from lm.pocket.passages import ABSTENTION, Fact, Passage
from lm.pocket.twins import withheld_from, without_one_answer


def _fact(answer: str) -> Fact:
    return Fact(lambda: f"Which is {answer}?", answer, ("it", answer))


def test_the_sentence_with_the_answer_is_taken_out() -> None:
    passage = Passage("Fan", "It weighs 3 kg. It costs 40 euros.", [_fact("3 kg")])
    twin = without_one_answer(passage, random.Random(0))
    assert twin is not None
    assert twin.text == "It costs 40 euros."
    assert twin.facts == []
    assert [(fact.answer, fact.about) for fact in twin.withheld] == [(ABSTENTION, ("it", "3 kg"))]
    assert passage.text.startswith("It weighs")


def test_every_fact_of_the_sentence_is_withheld() -> None:
    passage = Passage("Fan", "It weighs 3 kg and costs 40 euros. It is red.", [_fact("3 kg"), _fact("40 euros")])
    twin = without_one_answer(passage, random.Random(0))
    assert twin is not None
    assert (len(twin.withheld), twin.text) == (2, "It is red.")


def test_an_answer_that_stands_twice_is_left_alone() -> None:
    passage = Passage("Fan", "It weighs 3 kg. The small one weighs 3 kg. It is red.", [_fact("3 kg")])
    assert without_one_answer(passage, random.Random(0)) is None


def test_part_of_a_longer_number_is_no_second_statement() -> None:
    passage = Passage("Fan", "It has 3 blades. It weighs 33 kg.", [_fact("3")])
    twin = without_one_answer(passage, random.Random(0))
    assert twin is not None
    assert twin.text == "It weighs 33 kg."


def test_a_cut_through_a_name_leaves_no_fact_without_its_text() -> None:
    passage = Passage("Fan", "Ask Prof. Arn. It is red.", [_fact("Prof. Arn"), _fact("red")])
    twin = without_one_answer(passage, random.Random(0))
    assert twin is not None
    assert [fact.answer for fact in twin.facts] == ["Prof. Arn"]
    assert "Prof. Arn" in twin.text


def test_a_row_of_a_table_is_a_sentence() -> None:
    passage = Passage("Fan", "weight | 3 kg\ncolour | red", [_fact("red")])
    assert withheld_from([passage], random.Random(0), 1)[0].text == "weight | 3 kg"


def test_a_text_is_never_emptied() -> None:
    passage = Passage("Fan", "It weighs 3 kg.", [_fact("3 kg")])
    assert withheld_from([passage], random.Random(0), 3) == [passage]
