"""Fair splits, wordings that stand on both sides of one, and parts of a dataset."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task
from advisor.data.leaks import find_duplicates, find_leaks, normalise_wording
from advisor.data.splitting import assign_splits, limit_dataset

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


def wordings_of(n_seen: int, n_unseen: int, n_unanswerable: int, n_wordings: int = 2) -> Dataset:
    """Facts in several wordings; the seen ones have two training questions each."""
    examples = []
    for kind, n in (("seen", n_seen), ("unseen", n_unseen), ("none", n_unanswerable)):
        for i in range(n):
            group = f"{kind}{i}"
            answers = () if kind == "none" else (f"a{i}",)
            for wording in range(n_wordings):
                examples.append(Example(f"{group}-{wording}", f"{group} {wording}?", answers, (), group, Split.TEST))
            if kind == "seen":
                for wording in range(2):
                    examples.append(
                        Example(f"{group}-t{wording}", f"{group} t{wording}", answers, (), group, Split.TRAIN)
                    )
    return Dataset(CARD, (Document("d", "", "text"),), tuple(examples))


def limited(dataset: Dataset, limit: int | None, train_limit: int | None = None, seed: int = 0) -> Dataset:
    return limit_dataset(dataset, limit=limit, train_limit=train_limit, coverage=0.5, seed=seed)


sizes = st.integers(0, 12)
sets_in_wordings = st.builds(wordings_of, st.integers(1, 12), sizes, sizes, st.integers(1, 3))


@given(sets_in_wordings, st.integers(1, 80), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_never_more_than_the_limit_and_never_less_than_there_is(dataset: Dataset, limit: int, seed: int) -> None:
    test = limited(dataset, limit, seed=seed).split(Split.TEST)
    assert len(test) == min(limit, len(dataset.split(Split.TEST)))


@given(sets_in_wordings, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_larger_limit_contains_the_smaller_and_the_same_limit_gives_the_same(
    dataset: Dataset, first: int, second: int
) -> None:
    small, large = sorted((first, second))
    assert limited(dataset, small) == limited(dataset, small)
    assert set(limited(dataset, small).split(Split.TEST)) <= set(limited(dataset, large).split(Split.TEST))


@given(sets_in_wordings, st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_training_questions_are_drawn_by_whole_facts_but_for_the_last(dataset: Dataset, train_limit: int) -> None:
    train = limited(dataset, None, train_limit).split(Split.TRAIN)
    assert len(train) == min(train_limit, len(dataset.split(Split.TRAIN)))
    assert sum(count == 1 for count in Counter(e.group for e in train).values()) <= 1


@given(st.integers(6, 30))
@settings(max_examples=20, deadline=None)
def test_slices_get_what_they_weigh(limit: int) -> None:
    dataset = wordings_of(20, 20, 10)
    chosen = limited(dataset, limit)
    sizes = Counter(chosen.slice_of(example) for example in chosen.split(Split.TEST))
    for part, weight in ((Slice.SEEN_FACT, 0.4), (Slice.UNSEEN_FACT, 0.4), (Slice.UNANSWERABLE, 0.2)):
        assert abs(sizes[part] - weight * limit) <= 1


def test_new_facts_come_before_further_wordings_of_a_fact() -> None:
    chosen = limited(wordings_of(10, 10, 5, n_wordings=3), 25).split(Split.TEST)
    assert max(Counter(example.group for example in chosen).values()) == 1


def test_a_limit_beyond_the_data_changes_nothing() -> None:
    dataset = wordings_of(3, 3, 3)
    assert limited(dataset, 10_000, 10_000) == dataset


def test_other_seeds_draw_other_questions() -> None:
    dataset = wordings_of(20, 20, 10)
    assert limited(dataset, 10, seed=0) != limited(dataset, 10, seed=1)


def test_a_fact_no_longer_trained_on_counts_as_unseen() -> None:
    chosen = limited(wordings_of(10, 5, 5), 20, train_limit=4)
    seen = {e.group for e in chosen.split(Split.TEST) if chosen.slice_of(e) is Slice.SEEN_FACT}
    assert seen <= {e.group for e in chosen.split(Split.TRAIN)}
    assert len({e.group for e in chosen.split(Split.TRAIN)}) == 2


def test_order_of_the_file_is_kept() -> None:
    dataset = wordings_of(10, 10, 5)
    order = {example.id: i for i, example in enumerate(dataset.examples)}
    positions = [order[e.id] for e in limited(dataset, 12, 6).examples]
    assert positions == sorted(positions)
