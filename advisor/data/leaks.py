"""Questions of one split that give away questions of another: the same wording, or nearly the same."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Example, Split

Places = NDArray[np.int64]

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
    twins, wordings = NamedQuestions(train), _Wordings(train)
    leaks: list[Leak] = []
    for example in test:
        near = wordings.nearest(example, twins.about_the_same(example))
        if near is not None:
            leaks.append(Leak(example.id, train[near[0]].id, near[1]))
    return leaks


def near_duplicates(examples: Sequence[Example]) -> Iterator[tuple[Example, Example]]:
    """Pairs of questions that would be a leak if one were trained on and the other tested."""
    twins, wordings = NamedQuestions(examples), _Wordings(examples)
    for i, example in enumerate(examples):
        among = twins.about_the_same(example)
        for place, _ in wordings.near(example, among[among < i]):
            yield examples[place], example


class NamedQuestions:
    """Questions by the names in them, to find those that ask of the same things.

    Questions of one template are alike but for a name or a number, each with thousands of others. Looked up by names,
    each has few to be compared with.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        self._words = [_words(example.asked) for example in examples]
        of_group: dict[str, list[int]] = defaultdict(list)
        of_names: dict[frozenset[str], list[int]] = defaultdict(list)
        for i, example in enumerate(examples):
            of_group[example.group].append(i)
            of_names[_names(self._words[i])].append(i)
        self._of_group = {group: np.array(members) for group, members in of_group.items()}
        # Each set of names under the one that is in the fewest sets; those without names under none.
        n_sets = Counter(name for names in of_names for name in names)
        self._by_name: dict[str | None, list[tuple[frozenset[str], Places]]] = defaultdict(list)
        for names, members in of_names.items():
            rarest = min(names, key=lambda name: (n_sets[name], name), default=None)
            self._by_name[rarest].append((names, np.array(members)))

    def about_the_same(self, example: Example) -> Places:
        """Places of the questions that do not ask of another thing (`asks_of_another`), in rising order."""
        words = _words(example.asked)
        names = _names(words)
        found = [self._of_group[example.group]] if example.group in self._of_group else []
        for key in (None, *words):
            for theirs, members in self._by_name.get(key, ()):
                if theirs <= words.keys():
                    found.append(self._holding(names - theirs, members))
        if len(found) == 1:
            return found[0]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def _holding(self, names: frozenset[str], members: Places) -> Places:
        """Those that hold some names which are none there, being written in small letters."""
        if not names:
            return members
        return np.array([i for i in members.tolist() if names <= self._words[i].keys()], dtype=np.int64)


class _Wordings:
    """Questions by the 4-grams of their wordings."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._grams = [_grams(example) for example in examples]
        self._sizes = np.array([len(grams) for grams in self._grams], dtype=np.int64)
        places: dict[str, list[int]] = defaultdict(list)
        for i, grams in enumerate(self._grams):
            for gram in grams:
                places[gram].append(i)
        self._places = {gram: np.array(found, dtype=np.int64) for gram, found in places.items()}

    def nearest(self, example: Example, among: Places) -> tuple[int, float] | None:
        """The most similar of some questions, by place, and how similar it is; None where none is a near duplicate."""
        return max(self.near(example, among), key=lambda found: found[1], default=None)

    def near(self, example: Example, among: Places) -> list[tuple[int, float]]:
        """The near duplicates among some questions, by place, and how similar they are."""
        if not len(among):
            return []
        grams = _grams(example)
        shared = self._n_shared(grams, among)
        similarity = shared / (len(grams) + self._sizes[among] - shared)
        near = similarity >= NEAR_DUPLICATE_JACCARD
        return list(zip(among[near].tolist(), similarity[near].tolist(), strict=True))

    def _n_shared(self, grams: frozenset[str], among: Places) -> Places:
        """Grams in common with each of some questions."""
        if len(among) <= _FEW:
            return np.array([len(grams & self._grams[i]) for i in among.tolist()], dtype=np.int64)
        known = [self._places[gram] for gram in grams if gram in self._places]
        if not known:
            return np.zeros(len(among), dtype=np.int64)
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
