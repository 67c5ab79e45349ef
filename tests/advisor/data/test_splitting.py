"""Fair splits, and wordings that stand on both sides of one."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Dataset, DatasetCard, Example, Slice, Split, Task
from advisor.data.leaks import find_duplicates, find_leaks, normalise_wording
from advisor.data.splitting import assign_splits

CARD = DatasetCard("n", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "d", "Answer.")
WORDS = ["How loud is", "Noise level of", "Give me the decibels for", "What does one hear of"]
THINGS = [f"{maker} {kind}" for maker in ("Arvo", "Brisk", "Caldo", "Dorn") for kind in ("kettle", "washer", "oven")]


def ask(
    question: str, *, name: str = "", group: str = "", answer: str | None = "a", split: Split = Split.TEST
) -> Example:
    return Example(name or question, question, () if answer is None else (answer,), (), group or question, split)


def knowledge(n_facts: int = 60, n_wordings: int = 3, n_unanswerable: int = 20) -> list[Example]:
    rng = random.Random(0)
    facts = [
        Example(
            f"f{i:03}-{k}",
            f"{WORDS[k]} {THINGS[i % len(THINGS)]} number {rng.randrange(10**6)}?",
            (f"{i} dB",),
            (f"d{i // 5}",),
            f"f{i:03}",
            Split.TEST,
        )
        for i in range(n_facts)
        for k in range(n_wordings)
    ]
    return facts + [ask(f"Who painted number {i}?", answer=None) for i in range(n_unanswerable)]


def sides(examples: tuple[Example, ...]) -> dict[str, Split]:
    return {example.id: example.split for example in examples}


knowledge_sets = st.builds(
    knowledge, n_facts=st.integers(8, 60), n_wordings=st.integers(2, 4), n_unanswerable=st.integers(0, 20)
)
label_sets = st.lists(st.sampled_from("abcdef"), min_size=4, max_size=80).map(
    lambda labels: [ask(f"Message {i} on {label}", answer=label) for i, label in enumerate(labels)]
)


@settings(max_examples=40)
@given(knowledge_sets | label_sets, st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_split_is_the_same_whatever_the_order(examples: list[Example], seed: int, shuffler: random.Random) -> None:
    shuffled = examples.copy()
    shuffler.shuffle(shuffled)
    assert sides(assign_splits(examples, seed=seed)) == sides(assign_splits(shuffled, seed=seed))
    assert [e.id for e in assign_splits(shuffled, seed=seed)] == [e.id for e in shuffled]


@settings(max_examples=40)
@given(knowledge_sets, st.integers(0, 100))
def test_knowledge_sets_test_trained_and_untrained_facts_and_no_wording_crosses(
    examples: list[Example], seed: int
) -> None:
    dataset = Dataset(CARD, (), assign_splits(examples, seed=seed))
    test = dataset.split(Split.TEST)
    assert {Slice.SEEN_FACT, Slice.UNSEEN_FACT} <= {dataset.slice_of(example) for example in test}
    unseen = {e.group for e in test if dataset.slice_of(e) is Slice.UNSEEN_FACT}
    assert not unseen & {e.group for e in dataset.split(Split.TRAIN)}
    assert find_leaks(dataset.split(Split.TRAIN), test) == []


@settings(max_examples=40)
@given(label_sets, st.integers(0, 100))
def test_case_sets_are_split_by_whole_groups_and_keep_a_test_side(examples: list[Example], seed: int) -> None:
    split = assign_splits(examples, seed=seed)
    groups = [{e.group for e in split if e.split is side} for side in Split]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert any(e.split is Split.TEST for e in split)


def test_half_of_the_facts_are_trained_and_each_document_is_on_both_sides() -> None:
    dataset = Dataset(CARD, (), assign_splits(knowledge()))
    trained = {int(group[1:]) for group in dataset.trained_groups if group.startswith("f")}
    assert len(trained) in (29, 30, 31)
    per_document = Counter(i // 5 for i in trained)
    assert set(per_document.values()) <= {2, 3}
    assert len(per_document) == 12


@pytest.mark.parametrize("seen_share", [0.0, 0.25, 1.0])
def test_the_share_of_trained_facts_can_be_set(seen_share: float) -> None:
    dataset = Dataset(CARD, (), assign_splits(knowledge(n_unanswerable=0), seen_share=seen_share))
    assert len(dataset.trained_groups) == pytest.approx(60 * seen_share, abs=1)


def test_some_unanswerable_questions_are_trained_and_most_are_tested() -> None:
    split = assign_splits(knowledge())
    count = Counter(e.split for e in split if not e.answerable)
    assert count == {Split.TRAIN: 6, Split.VALIDATION: 3, Split.TEST: 11}


def test_every_repeated_label_is_on_every_side() -> None:
    labels = ["refund"] * 40 + ["delay"] * 10 + ["theft"] * 7
    split = assign_splits([ask(f"Message {i}", answer=label) for i, label in enumerate(labels)])
    for label in set(labels):
        assert {e.split for e in split if e.answers == (label,)} == set(Split)


def test_cases_in_several_wordings_stay_on_one_side_where_no_facts_are_asked() -> None:
    cases = [replace(example, answers=("abc"[int(example.group[1:]) % 3],)) for example in knowledge(n_unanswerable=0)]
    split = assign_splits(cases, whole_groups=True)
    on_sides = {group: {e.split for e in split if e.group == group} for group in {e.group for e in split}}
    assert all(len(on) == 1 for on in on_sides.values())
    assert set.union(*on_sides.values()) == set(Split)


def test_seeds_give_different_splits() -> None:
    assert sides(assign_splits(knowledge(), seed=1)) != sides(assign_splits(knowledge(), seed=2))


def test_trivially_different_wordings_of_a_fact_stay_on_one_side() -> None:
    examples = [
        ask(text, name=f"{i}{mark}", group=f"g{i}")
        for i in range(30)
        for mark, text in [
            ("a", f"How many litres does the water tank of machine {i} hold?"),
            ("b", f"how many litres does the water tank of machine {i} hold"),
            ("c", f"Tank volume, model {i}"),
        ]
    ]
    split = assign_splits(examples)
    by_id = sides(split)
    assert all(by_id[f"{i}a"] is by_id[f"{i}b"] for i in range(30))
    assert any(by_id[f"{i}a"] is not by_id[f"{i}c"] for i in range(30))
    train = [e for e in split if e.split is Split.TRAIN]
    assert find_leaks(train, [e for e in split if e.split is Split.TEST]) == []


def test_wordings_that_differ_in_case_punctuation_and_joiners_only_are_the_same() -> None:
    assert normalise_wording("  What's the ETA—now?") == normalise_wording("what s the eta now")
    assert normalise_wording("می\u200cخواهم") == normalise_wording("میخواهم")


def repeated(examples: list[Example], share: float) -> list[Example]:
    """Every so manieth question again: as it is, in capitals, or a word longer, each a group of its own."""
    again = [example for i, example in enumerate(examples) if i * share % 1 < share]
    said = [str, str.upper, lambda text: f"{text.rstrip('?')} please?"]
    return examples + [
        replace(e, id=f"{e.id}-again", group=f"{e.id}-again", question=said[i % 3](e.question))
        for i, e in enumerate(again)
    ]


@settings(max_examples=20, deadline=None)
@given(knowledge_sets | label_sets, st.integers(0, 100), st.sampled_from([0.05, 0.3, 1.0]))
def test_a_question_asked_again_stays_on_its_side(examples: list[Example], seed: int, share: float) -> None:
    split = assign_splits(repeated(examples, share), seed=seed)
    train = [e for e in split if e.split is not Split.TEST]
    assert not find_leaks(train, [e for e in split if e.split is Split.TEST])
    assert find_duplicates(split)
