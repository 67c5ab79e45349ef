import random
from pathlib import Path

from lm.pocket.real_text import questions_from, read_real_text, split_sentences


def test_rows_of_other_sources_are_left_out(text_folder: Path) -> None:
    contexts = read_real_text(text_folder).contexts
    assert len(contexts) == 6
    assert not any("user wrote" in context.text for context in contexts)


def test_answerable_and_unanswerable_questions_of_a_paragraph_come_together(text_folder: Path) -> None:
    context = read_real_text(text_folder).contexts[0]
    assert context.questions == (("When was the village of Ardmore founded?", "1700"), ("Who burnt the mill down?", ""))


def test_underscores_of_a_title_become_spaces(text_folder: Path) -> None:
    assert "Calder Mill" in {context.title for context in read_real_text(text_folder).contexts}


def test_questions_made_from_sentences_have_their_answer_once_and_do_not_tell_it() -> None:
    text = "The Old Mill was built in 1820 by Jan Berg. It was moved to Oslo in 1901, where three painters restored it."
    rng = random.Random(0)
    made = [pair for _ in range(30) for pair in questions_from("The Old Mill", text, rng)]
    assert {answer for _, answer in made} >= {"1820", "Jan Berg", "1901", "three"}
    for question, answer in made:
        assert text.count(answer) == 1
        assert answer not in question
        assert question.endswith("?")


def test_initials_do_not_end_a_sentence() -> None:
    assert split_sentences("It was led by George B. Seitz. He left.") == ["It was led by George B. Seitz.", "He left."]
