"""Questions of one split that give away questions of another: the same wording, or nearly the same."""

import heapq
import math
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Example, Split

NEAR_DUPLICATE_JACCARD = 0.85

_FEW = 64
"""So many pairs are sooner compared one by one than all at once."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A test question whose wording also stands in training."""

    test_id: str
    train_id: str
    similarity: float


def find_leaks(train: Sequence[Example], test: Sequence[Example]) -> list[Leak]:
    """Test questions worded as some training question, exactly or trivially changed.

    Trivially changed: the character 4-gram sets of the normalised wordings overlap by `NEAR_DUPLICATE_JACCARD`, and no
    word that stands in only one of them is a name or holds a digit ("Tide 7" and "Tide 9" ask different things). Of
    training questions that are equally near the first is named.
    """
    wordings = _Wordings(train)
    leaks: list[Leak] = []
    for example in test:
        found = sorted((-similarity, place) for similarity, places in wordings.near(example) for place in places)
        nearest = next((one for one in found if not asks_of_another(example, train[one[1]])), None)
        if nearest is not None:
            leaks.append(Leak(example.id, train[nearest[1]].id, -nearest[0]))
    return leaks


def near_duplicates(examples: Sequence[Example]) -> Iterator[tuple[Example, Example]]:
    """Pairs of questions that would be a leak if one were trained on and the other tested."""
    wordings = _Wordings(examples)
    for i, example in enumerate(examples):
        for _, places in wordings.near(example):
            for place in places[: bisect_left(places, i)]:
                if not asks_of_another(example, examples[place]):
                    yield examples[place], example


class _Wordings:
    """Different wordings of questions, to find the nearly equal ones without comparing each with each.

    Two sets of n and m grams that overlap by t share one of the n - ceil(t n) + 1 rarest grams of the first, which is
    also among those of the second, so only these are looked up (prefix filtering: Bayardo et al. 2007, "Scaling up all
    pairs similarity search"). Nothing is missed.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        members: dict[frozenset[str], list[int]] = defaultdict(list)
        for i, example in enumerate(examples):
            members[_grams(example)].append(i)
        self._grams, self._members = list(members), list(members.values())
        self._sizes = np.array([len(grams) for grams in self._grams], dtype=np.int64)
        self._frequency = Counter(gram for grams in self._grams for gram in grams)
        places: dict[str, list[int]] = defaultdict(list)
        rare: dict[str, list[int]] = defaultdict(list)
        for i, grams in enumerate(self._grams):
            for gram in grams:
                places[gram].append(i)
            for gram in self._rarest(grams):
                rare[gram].append(i)
        self._places = {gram: np.array(found, dtype=np.int64) for gram, found in places.items()}
        self._rare = {gram: np.array(found, dtype=np.int64) for gram, found in rare.items()}

    def _rarest(self, grams: frozenset[str]) -> list[str]:
        n_kept = len(grams) - math.ceil(NEAR_DUPLICATE_JACCARD * len(grams) - 1e-9) + 1
        return heapq.nsmallest(n_kept, grams, key=lambda gram: (self._frequency[gram], gram))

    def near(self, example: Example) -> list[tuple[float, list[int]]]:
        """How similar each nearly equal wording is, and the places of the questions that have it."""
        grams = _grams(example)
        looked_up = [self._rare[gram] for gram in self._rarest(grams) if gram in self._rare]
        if not looked_up:
            return []
        among = np.unique(np.concatenate(looked_up))
        shared = self._n_shared(grams, among)
        similarity = shared / (len(grams) + self._sizes[among] - shared)
        near = similarity >= NEAR_DUPLICATE_JACCARD
        return [(float(how), self._members[i]) for how, i in zip(similarity[near], among[near].tolist(), strict=True)]

    def _n_shared(self, grams: frozenset[str], among: NDArray[np.int64]) -> NDArray[np.int64]:
        """Grams in common with each of some wordings."""
        if len(among) <= _FEW:
            return np.array([len(grams & self._grams[i]) for i in among.tolist()], dtype=np.int64)
        known = [self._places[gram] for gram in grams if gram in self._places]
        return np.asarray(np.bincount(np.concatenate(known), minlength=len(self._grams))[among])


def asks_of_another(first: Example, second: Example) -> bool:
    """Whether the words that differ name different things: then the questions are about twins and not a leak."""
    if first.group == second.group:
        return False
    ours, theirs = _words(first.asked), _words(second.asked)
    return not (_names(ours) <= theirs.keys() and _names(theirs) <= ours.keys())


def _words(text: str) -> dict[str, str]:
    """Words by their folded form; the first word of the text is folded, since its capital says nothing."""
    words = split_words(text)
    return {word.casefold(): (word if i else word.casefold()) for i, word in enumerate(words)}


def _names(words: Mapping[str, str]) -> frozenset[str]:
    """Folded forms of the words that are a name or hold a digit."""
    return frozenset(folded for folded, word in words.items() if word != folded or any(c.isdigit() for c in word))


def _grams(example: Example) -> frozenset[str]:
    return wording_grams(normalise_wording(example.asked))


def find_duplicates(examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Pairs of ids within one split whose questions are worded the same."""
    seen: dict[tuple[Split, str], str] = {}
    pairs: list[tuple[str, str]] = []
    for example in examples:
        key = (example.split, normalise_wording(example.asked))
        if key in seen:
            pairs.append((seen[key], example.id))
        seen.setdefault(key, example.id)
    return pairs


def normalise_wording(text: str) -> str:
    """Case, compatibility forms, punctuation and spacing folded away: equal results are the same wording."""
    return " ".join(split_words(text)).casefold()


def split_words(text: str) -> list[str]:
    """Runs of letters, digits and pictures. Vowel signs belong to their letters, as in Burmese, Hindi and Thai."""
    kept: list[str] = []
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        if category[0] in "LMN" or category == "So":
            kept.append(character)
        elif category != "Cf":  # joiners shape letters and pictures, and part nothing
            kept.append(" ")
    return "".join(kept).split()


def wording_grams(text: str) -> frozenset[str]:
    """Runs of four characters of a normalised wording."""
    padded = f"  {text}  "
    return frozenset(padded[i : i + 4] for i in range(len(padded) - 3))
