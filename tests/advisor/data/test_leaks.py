"""Wordings that stand on both sides of a split."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import Example, Split
from advisor.data.leaks import (
    NEAR_DUPLICATE_JACCARD,
    Leak,
    asks_of_another,
    find_duplicates,
    find_leaks,
    normalise_wording,
    split_words,
    wording_grams,
)


def ask(
    question: str, *, name: str = "", group: str = "", answer: str | None = "a", split: Split = Split.TEST
) -> Example:
    return Example(name or question, question, () if answer is None else (answer,), (), group or question, split)


QUESTION = "How many kilograms of dry cotton can the drum of the Tide 7 washer take?"


@pytest.mark.parametrize(
    "edited",
    [
        QUESTION,
        QUESTION.upper(),
        "how many kilograms of dry cotton can the drum of the tide 7 washer take",
        "How many kilograms of dry cotton, can the drum of the “Tide 7” washer take ?!",
        "How many kilograms of dry  cotton can the drum of the Tide\u00a07 washer take?",
        "\uff28ow many kilograms of dry cotton can the drum of the Tide 7 washer take?",
        "How many kilograms of dry cottons can the drum of the Tide 7 washer take?",
        "So how many kilograms of dry cotton can the drum of the Tide 7 washer take?",
    ],
)
def test_the_same_wording_trivially_changed_is_a_leak(edited: str) -> None:
    leaks = find_leaks([ask(QUESTION, name="train"), ask("Where is the filter?")], [ask(edited, name="test")])
    assert [(leak.test_id, leak.train_id) for leak in leaks] == [("test", "train")]
    assert leaks[0].similarity >= 0.85


@pytest.mark.parametrize(
    "twin",
    [
        QUESTION.replace("7", "9"),
        QUESTION.replace("Tide", "Tidy"),
        QUESTION.replace("Tide 7", "Tide 7b"),
    ],
)
def test_twins_are_no_leak(twin: str) -> None:
    assert find_leaks([ask(QUESTION)], [ask(twin)]) == []


def test_another_wording_of_the_same_fact_is_no_leak() -> None:
    assert find_leaks([ask(QUESTION, group="g")], [ask("Rated load of the Tide 7?", name="t", group="g")]) == []


def test_the_nearest_training_question_is_named() -> None:
    train = [ask(QUESTION.replace("dry", "dried"), name="near"), ask(QUESTION, name="same")]
    (leak,) = find_leaks(train, [ask(QUESTION.lower(), name="test")])
    assert (leak.train_id, leak.similarity) == ("same", 1.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ကား", "ကူး"),  # Burmese: the vowel signs are what differs
        ("की", "का"),  # Hindi
        ("🦊?", "🐙?"),
    ],
)
def test_vowel_signs_and_pictures_tell_wordings_apart(first: str, second: str) -> None:
    assert normalise_wording(first) != normalise_wording(second)
    assert find_leaks([ask(first)], [ask(second)]) == []


def test_duplicates_are_found_within_a_split_only() -> None:
    examples = [
        ask("Where is it?", name="a"),
        ask("where is it", name="b"),
        ask("WHERE IS IT", name="c", split=Split.TRAIN),
        ask("Where was it?", name="d"),
    ]
    assert find_duplicates(examples) == [("a", "b")]


words = st.sampled_from(
    ["the", "The", "tide", "Tide", "TIDE", "7", "9", "7b", "load", "loads", "of", "how", "How", "ကား", "⑦"]
)
questions = st.lists(words, min_size=1, max_size=7).map(" ".join)
asked = st.tuples(
    questions | questions.map(lambda text: f"What is the rated load in kilograms of the drum of {text}?"),
    st.sampled_from(["g", "h", ""]),
)
sides = st.lists(asked, max_size=12)


def asked_of(side: Sequence[tuple[str, str]], mark: str) -> list[Example]:
    return [ask(text, name=f"{mark}{i}", group=group or f"{mark}{i}") for i, (text, group) in enumerate(side)]


def differ_in_a_name(first: Example, second: Example) -> bool:
    """As the rule is worded: a name is told by a capital after the first word, or a digit."""
    ours, theirs = (
        {word.casefold(): word if i else word.casefold() for i, word in enumerate(split_words(one.question))}
        for one in (first, second)
    )
    differing = [ours[w] for w in ours.keys() - theirs.keys()] + [theirs[w] for w in theirs.keys() - ours.keys()]
    names = [word for word in differing if word != word.casefold() or any(c.isdigit() for c in word)]
    return first.group != second.group and bool(names)


def leaks_pair_by_pair(train: Sequence[Example], test: Sequence[Example]) -> list[Leak]:
    found = []
    for example in test:
        grams = wording_grams(normalise_wording(example.question))
        best: Leak | None = None
        for other in train:
            theirs = wording_grams(normalise_wording(other.question))
            similarity = len(grams & theirs) / len(grams | theirs)
            if similarity < NEAR_DUPLICATE_JACCARD or differ_in_a_name(example, other):
                continue
            if best is None or similarity > best.similarity:
                best = Leak(example.id, other.id, similarity)
        if best is not None:
            found.append(best)
    return found


@given(sides, sides)
def test_the_leaks_are_those_of_comparing_each_with_each(
    train: list[tuple[str, str]], test: list[tuple[str, str]]
) -> None:
    ours, theirs = asked_of(train, "r"), asked_of(test, "t")
    assert find_leaks(ours, theirs) == leaks_pair_by_pair(ours, theirs)


@given(sides, asked)
def test_questions_ask_of_another_where_a_name_differs(side: list[tuple[str, str]], one: tuple[str, str]) -> None:
    examples, (example,) = asked_of(side, "r"), asked_of([one], "t")
    for other in examples:
        assert asks_of_another(example, other) is differ_in_a_name(example, other)


def test_of_many_questions_alike_the_nearest_is_still_named() -> None:
    train = [ask(f"how does one return a {colour} coat to the shop that sold it", name=colour) for colour in COLOURS]
    (leak,) = find_leaks(train, [ask("how does one return a colourhd coat to the shop that sold it?", name="test")])
    assert (leak.train_id, leak.similarity) == ("colourhd", 1.0)
    (near,) = find_leaks(train, [ask("how does one return a colour coat to the shop that sold it", name="test")])
    assert near.similarity < 1.0
    assert near.train_id in COLOURS


COLOURS = [f"colour{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(100)]
