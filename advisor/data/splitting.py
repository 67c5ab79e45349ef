"""Splitting questions fairly, and taking a part of a split without bending it.

No wording stands on both sides of a split (`advisor.data.leaks` finds those that do). A group is one fact, label case
or record in all its wordings. Sets whose groups have several wordings are knowledge sets: half of the facts are asked
in training (and tested in another wording: the slice seen-fact), half never (unseen-fact), so that what tuning learnt
is told from what only the documents hold. All other sets are split by whole groups. Groups that share a wording, as
repeated questions do, stay on one side together.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from advisor.data.dataset import Dataset, Example, Split
from advisor.data.leaks import NEAR_DUPLICATE_JACCARD, near_duplicates, normalise_wording, wording_grams
from advisor.data.slices import slice_weights
from lm.files import sha256

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.3
TRAINED_UNANSWERABLE_SHARE = 0.3


def assign_splits(
    examples: Sequence[Example], *, seed: int = 0, seen_share: float = 0.5, whole_groups: bool = False
) -> tuple[Example, ...]:
    """Give every example a split; the same examples and seed give the same split whatever their order.

    Args:
        seen_share: Share of facts that training asks about, for knowledge sets.
        whole_groups: No knowledge set, however many wordings its groups have: labels, records and texts, where a case
            known from training would be a leak.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: e.id):
        groups[example.group].append(example)
    joined = _join_repeated(list(groups.values()))
    answerable = [group for group in joined if group[0].answerable]
    unanswerable = [group for group in joined if not group[0].answerable]
    several = sum(len(_by_wording(group)) > 1 for group in answerable)
    split: dict[str, Split] = {}
    rng = random.Random(seed)
    if several > len(answerable) / 2 and not whole_groups:
        _split_knowledge(answerable, split, rng, seen_share)
        _split_whole(unanswerable, split, rng, train=TRAINED_UNANSWERABLE_SHARE, validation=VALIDATION_SHARE)
    else:
        train = 1 - TEST_SHARE - VALIDATION_SHARE
        by_answer: dict[str, list[list[Example]]] = defaultdict(list)
        for group in [*answerable, *unanswerable]:
            by_answer[group[0].answers[0] if group[0].answers else ""].append(group)
        repeated = [label for label, members in by_answer.items() if len(members) > 2]
        strata = [by_answer[label] for label in repeated]
        strata.append([g for label, members in by_answer.items() if label not in set(repeated) for g in members])
        for stratum in strata:
            _split_whole(stratum, split, rng, train=train, validation=VALIDATION_SHARE)
    return tuple(replace(example, split=split[example.id]) for example in examples)


def _join_repeated(groups: list[list[Example]]) -> list[list[Example]]:
    """Groups with questions worded alike become one, in the place of the first."""
    place = {example.id: i for i, group in enumerate(groups) for example in group}
    first = list(range(len(groups)))

    def first_of(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for one, other in near_duplicates([example for group in groups for example in group]):
        low, high = sorted((first_of(place[one.id]), first_of(place[other.id])))
        first[high] = low
    joined: dict[int, list[Example]] = defaultdict(list)
    for i, group in enumerate(groups):
        joined[first_of(i)] += group
    return list(joined.values())


def _split_whole(
    groups: list[list[Example]], split: dict[str, Split], rng: random.Random, *, train: float, validation: float
) -> None:
    """Whole groups to one side each, in the given shares."""
    order = groups.copy()
    rng.shuffle(order)
    n_train, n_validation = round(train * len(order)), round(validation * len(order))
    for i, group in enumerate(order):
        side = Split.TRAIN if i < n_train else Split.VALIDATION if i < n_train + n_validation else Split.TEST
        split.update({example.id: side for example in group})


def _split_knowledge(
    groups: list[list[Example]], split: dict[str, Split], rng: random.Random, seen_share: float
) -> None:
    """Facts asked in training keep one wording back for test or validation; the others are never asked in training.

    Facts of one document are dealt to both halves in turn, so that the slices differ in what was trained and nothing
    else.
    """
    order = groups.copy()
    rng.shuffle(order)
    order.sort(key=lambda group: group[0].document_ids[:1])  # stable: keeps facts of a document together, shuffled
    owed = rng.random()
    seen: list[list[Example]] = []
    unseen: list[list[Example]] = []
    for group in order:
        owed += seen_share
        # A wording that other groups share would stand on both sides.
        if owed >= 1 and len({example.group for example in group}) == 1 and len(_by_wording(group)) > 1:
            owed -= 1
            seen.append(group)
        else:
            unseen.append(group)
    for groups_of_side in (seen, unseen):
        rng.shuffle(groups_of_side)
    n_validation = round(VALIDATION_SHARE * len(seen))
    for i, group in enumerate(seen):
        wordings = _by_wording(group)
        rng.shuffle(wordings)
        held_back = Split.VALIDATION if i < n_validation else Split.TEST
        split.update({example.id: held_back for example in wordings[0]})
        split.update({example.id: Split.TRAIN for wording in wordings[1:] for example in wording})
    n_validation = round(VALIDATION_SHARE * len(unseen))
    for i, group in enumerate(unseen):
        split.update({example.id: Split.VALIDATION if i < n_validation else Split.TEST for example in group})


def _by_wording(group: Sequence[Example]) -> list[list[Example]]:
    """Questions of a group, those worded nearly the same together: one of them in training gives the others away."""
    wordings: list[list[tuple[Example, frozenset[str]]]] = []
    for example in group:
        grams = wording_grams(normalise_wording(example.asked))
        same = [w for w in wordings if any(_jaccard(grams, other) >= NEAR_DUPLICATE_JACCARD for _, other in w)]
        wordings = [w for w in wordings if w not in same]
        wordings.append([member for w in same for member in w] + [(example, grams)])
    return [[example for example, _ in wording] for wording in wordings]


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def limit_dataset(
    dataset: Dataset, *, limit: int | None, train_limit: int | None, coverage: float, seed: int
) -> Dataset:
    """At most `limit` test and `train_limit` training questions; the same ones for the same seed.

    Test questions are drawn slice by slice in proportion to what each slice counts in the verdict, and new facts before
    further wordings of a fact. Training questions are drawn by whole groups, the last perhaps in part. A training fact
    that is no longer asked becomes an unseen one, so the training questions are drawn first.
    """
    train = list(dataset.split(Split.TRAIN))
    if train_limit is not None and train_limit < len(train):
        train = draw_questions(train, train_limit, seed, whole_groups=True)
        kept = {example.id for example in train}
        examples = tuple(e for e in dataset.examples if e.split is not Split.TRAIN or e.id in kept)
        dataset = replace(dataset, examples=examples)
    test = dataset.split(Split.TEST)
    if limit is None or limit >= len(test):
        return dataset
    slices = [dataset.slice_of(example) for example in test]
    weights = slice_weights(slices, [example.group for example in test], coverage=coverage)
    sizes = Counter(str(part) for part in slices)
    shares = _allocate(limit, weights, sizes)
    chosen: set[str] = set()
    for part, share in shares.items():
        members = [e for e, s in zip(test, slices, strict=True) if str(s) == part]
        chosen |= {example.id for example in draw_questions(members, share, seed, whole_groups=False)}
    examples = tuple(e for e in dataset.examples if e.split is not Split.TEST or e.id in chosen)
    return replace(dataset, examples=examples)


def _allocate(limit: int, weights: Mapping[str, float], sizes: Counter[str]) -> dict[str, int]:
    """Shares of a limit by weight, none above its slice's size; what one slice cannot take goes to the others."""
    shares = dict.fromkeys(weights, 0)
    for _ in range(limit):
        open_slices = [part for part in shares if shares[part] < sizes[part] and weights[part] > 0]
        if not open_slices:
            break
        shares[min(open_slices, key=lambda part: ((shares[part] + 1) / weights[part], part))] += 1
    return shares


def draw_questions(examples: Sequence[Example], n: int, seed: int, *, whole_groups: bool) -> list[Example]:
    """`n` examples in an order decided by hashes, so that a larger limit only adds to a smaller one."""

    def rank(text: str) -> str:
        return sha256(f"{seed}:{text}")

    wording: Counter[str] = Counter()
    keys: dict[str, tuple[int, str, str]] = {}
    for example in sorted(examples, key=lambda e: rank(e.id)):
        keys[example.id] = (0 if whole_groups else wording[example.group], rank(example.group), rank(example.id))
        wording[example.group] += 1
    return sorted(examples, key=lambda e: keys[e.id])[:n]
