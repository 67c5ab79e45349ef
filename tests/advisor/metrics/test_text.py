import re
import string
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import DatasetCard, Example, Split
from advisor.data.normalisation import tokens
from advisor.metrics.registry import metric
from advisor.metrics.text import bag_f1, contains_answer, exact_match, token_f1
from advisor.results.answer import Answer
from advisor.results.score import ScoringResources
from lm.completion import FinishReason, Usage

WORDS = st.lists(st.sampled_from(["red", "blue", "1,000", "the", "မြို့", "東京", "-5"]), max_size=5).map(" ".join)


def as_example(*references: str) -> Example:
    return Example("q1", "Where?", references, (), "g1", Split.TEST)


def as_answer(text: str) -> Answer:
    return Answer(text, Usage(), FinishReason.STOP, (), "hash")


@pytest.mark.parametrize(("text", "expected"), [("the Rhine.", 1), ("rhine river", 1), ("Main", 0), ("", 0)])
def test_exact_match_with_any_reference(text: str, expected: int) -> None:
    assert exact_match(as_example("Rhine", "Rhine River"), as_answer(text)).value == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("river Rhine", 1.0), ("Rhine", 1.0), ("the Rhine valley", 2 / 3), ("Main", 0.0), ("", 0.0)]
)
def test_token_f1_of_the_nearest_reference(text: str, expected: float) -> None:
    assert token_f1(as_example("Rhine", "river Rhine"), as_answer(text)).value == pytest.approx(expected)


def test_token_f1_counts_characters_where_words_have_no_spaces() -> None:
    assert token_f1(as_example("東京都"), as_answer("東京")).value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("reference", "text", "expected"),
    [
        ("5", "It takes 15 minutes", 0),
        ("5", "It takes 5 minutes", 1),
        ("5 minutes", "It takes 2.5 minutes.", 0),
        ("Paris", "", 0),
        ("Paris", "The comparison", 0),
        ("東京", "ここは東京です", 1),
        ("ခုနစ်ရက်", "အာမခံသည် ခုနစ်ရက် ဖြစ်သည်။", 1),
        ("२५ दिन", "वारंटी 25 दिन की है", 1),
        ("60 °C", "Wash it at 60°C.", 1),
        ("60°C", "Wash it at 60 °C, not more.", 1),
        ("60 °C", "Wash it at 60.", 0),
        ("1,250 euros", "That is 1250 euros in all.", 1),
        ("30 %", "It saves 30 percent.", 1),
        ("30 %", "It takes 30 minutes.", 0),
        ("30 %", "30", 1),
        ("21", "It shows E21.", 0),
        ("E2", "It shows E2b.", 0),
        ("the drum", "A drum.", 1),
        ("two years", "The warranty is two years.", 1),
        ("two years", "It is two full years.", 0),
        ("€20", "It costs 20 euros.", 1),
        ("20 euros", "It costs EUR 20, tax included.", 1),
        ("€1,250", "1250 €", 1),
        ("€20", "It takes 20 minutes.", 0),
        ("30°", "Tilt it by 30 degrees.", 1),
        ("30°", "30 °C", 0),
        ("2 hours", "It takes 2 hours.", 1),
        ("2 hours", "It takes 2 hours 30 minutes.", 0),
        ("2 hours", "It takes 2 hours and 30 minutes.", 0),
        ("30 minutes", "2 hours 30 minutes", 0),
        ("30 minutes", "2h 30min", 0),
        ("2 hours 30 minutes", "It takes 2 hours 30 minutes.", 1),
        ("24 months", "24 months (2 years)", 1),
        ("2 years", "24 months (2 years)", 1),
        ("7 kg", "7 kg, 1,400 rpm", 1),
        ("12", "12 place settings", 1),
        ("left, then right", "Turn it left then right.", 1),
    ],
)
def test_contains_answer_looks_for_whole_tokens(reference: str, text: str, expected: int) -> None:
    assert contains_answer(as_example(reference), as_answer(text)).value == expected


@pytest.mark.parametrize("name", ["exact_match", "token_f1", "contains_answer", "rouge_l", "bleu", "chrf", "accuracy"])
def test_an_abstention_is_right_exactly_where_nothing_answers(
    name: str, card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    examples = [example(), example(), example("I know Paris"), example("I don't know.")]
    answers = [answer("I don't know."), answer("Paris"), answer("I don't know Paris"), answer("I don't know.")]
    scores = metric(name).score(examples, answers, ScoringResources(card))
    assert [score.value for score in scores] == [1, 0, 0, pytest.approx(1)]


def test_f1_agrees_with_the_squad_script_on_plain_english() -> None:
    cases = [("the red car", "Red car!"), ("a big red car", "car red"), ("blue", "red car"), ("", "red")]
    for given_text, reference in cases:
        assert bag_f1(tokens(given_text), tokens(reference)) == pytest.approx(_squad_f1(given_text, reference))


def _squad_f1(prediction: str, reference: str) -> float:
    """As in the official SQuAD 1.1 evaluation script."""

    def bag(text: str) -> list[str]:
        text = "".join(char for char in text.lower() if char not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    shared = sum((Counter(bag(prediction)) & Counter(bag(reference))).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(bag(prediction)), shared / len(bag(reference))
    return 2 * precision * recall / (precision + recall)


@given(WORDS, WORDS)
def test_f1_is_symmetric_within_bounds_and_never_below_exact_match(first: str, second: str) -> None:
    forth = token_f1(as_example(second), as_answer(first)).value
    back = token_f1(as_example(first), as_answer(second)).value
    equal = exact_match(as_example(second), as_answer(first)).value
    assert forth is not None and equal is not None
    assert forth == back
    assert 0 <= equal <= forth <= 1


@given(WORDS, WORDS)
def test_what_matches_exactly_is_contained(first: str, second: str) -> None:
    example = as_example(second)
    contained = contains_answer(example, as_answer(first)).value
    equal = exact_match(example, as_answer(first)).value
    assert contained is not None and equal is not None
    assert contained >= equal


@given(WORDS)
def test_a_text_matches_itself(text: str) -> None:
    assert exact_match(as_example(text), as_answer(text)).value == 1
    assert token_f1(as_example(text), as_answer(text)).value == 1
