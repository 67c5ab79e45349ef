from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task
from service.run.sampling import limit_dataset

CARD = DatasetCard("x", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "", "")


def make_dataset(n_seen: int, n_unseen: int, n_unanswerable: int, n_wordings: int = 2) -> Dataset:
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
datasets = st.builds(make_dataset, st.integers(1, 12), sizes, sizes, st.integers(1, 3))


@given(datasets, st.integers(1, 80), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_never_more_than_the_limit_and_never_less_than_there_is(dataset: Dataset, limit: int, seed: int) -> None:
    test = limited(dataset, limit, seed=seed).split(Split.TEST)
    assert len(test) == min(limit, len(dataset.split(Split.TEST)))


@given(datasets, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_larger_limit_contains_the_smaller_and_the_same_limit_gives_the_same(
    dataset: Dataset, first: int, second: int
) -> None:
    small, large = sorted((first, second))
    assert limited(dataset, small) == limited(dataset, small)
    assert set(limited(dataset, small).split(Split.TEST)) <= set(limited(dataset, large).split(Split.TEST))


@given(datasets, st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_training_questions_are_drawn_by_whole_facts_but_for_the_last(dataset: Dataset, train_limit: int) -> None:
    train = limited(dataset, None, train_limit).split(Split.TRAIN)
    assert len(train) == min(train_limit, len(dataset.split(Split.TRAIN)))
    assert sum(count == 1 for count in Counter(e.group for e in train).values()) <= 1


@given(st.integers(6, 30))
@settings(max_examples=20, deadline=None)
def test_slices_get_what_they_weigh(limit: int) -> None:
    dataset = make_dataset(20, 20, 10)
    chosen = limited(dataset, limit)
    sizes = Counter(chosen.slice_of(example) for example in chosen.split(Split.TEST))
    for part, weight in ((Slice.SEEN_FACT, 0.4), (Slice.UNSEEN_FACT, 0.4), (Slice.UNANSWERABLE, 0.2)):
        assert abs(sizes[part] - weight * limit) <= 1


def test_new_facts_come_before_further_wordings_of_a_fact() -> None:
    chosen = limited(make_dataset(10, 10, 5, n_wordings=3), 25).split(Split.TEST)
    assert max(Counter(example.group for example in chosen).values()) == 1


def test_a_limit_beyond_the_data_changes_nothing() -> None:
    dataset = make_dataset(3, 3, 3)
    assert limited(dataset, 10_000, 10_000) == dataset


def test_other_seeds_draw_other_questions() -> None:
    dataset = make_dataset(20, 20, 10)
    assert limited(dataset, 10, seed=0) != limited(dataset, 10, seed=1)


def test_a_fact_no_longer_trained_on_counts_as_unseen() -> None:
    chosen = limited(make_dataset(10, 5, 5), 20, train_limit=4)
    seen = {e.group for e in chosen.split(Split.TEST) if chosen.slice_of(e) is Slice.SEEN_FACT}
    assert seen <= {e.group for e in chosen.split(Split.TRAIN)}
    assert len({e.group for e in chosen.split(Split.TRAIN)}) == 2


def test_order_of_the_file_is_kept() -> None:
    dataset = make_dataset(10, 10, 5)
    order = {example.id: i for i, example in enumerate(dataset.examples)}
    positions = [order[e.id] for e in limited(dataset, 12, 6).examples]
    assert positions == sorted(positions)
