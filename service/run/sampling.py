"""Taking a part of a dataset without bending it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from advisor.data.dataset import Dataset, Example, Split
from advisor.evidence.slices import slice_weights
from lm.files import sha256


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
