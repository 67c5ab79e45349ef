"""What a text can state about a thing and how one asks for it: written lines, open vocabulary and instructions."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.pocket import vocabulary as words_of
from lm.pocket.values import KINDS_OF_VALUE, Values

LINES = Path(__file__).with_name("attributes.txt")
PAIRS = Path(__file__).with_name("pairs.txt")
INSTRUCTIONS = Path(__file__).with_name("instructions.txt")
_IRREGULAR = {
    "take": "taken", "shut": "shut", "undo": "undone", "keep": "kept", "send": "sent", "buy": "bought", "set": "set",
    "let": "let", "bring": "brought", "show": "shown", "cut": "cut", "throw": "thrown", "lend": "lent", "fit": "fitted",
    "swap": "swapped", "plug": "plugged", "unplug": "unplugged", "dry": "dried", "try": "tried", "submit": "submitted",
    "reset": "reset",
    "stop": "stopped", "top": "topped", "wrap": "wrapped", "trim": "trimmed",
}  # fmt: skip


@dataclass(frozen=True)
class Attribute:
    """One property. `{e}` in the patterns is the thing spoken of (absent in rules), `{v}` the value.

    Attributes:
        kind: kind of value, see `values.KINDS_OF_VALUE`.
        nouns: names of the property, each fit for "the ... of {e}"; empty for rules and instructions.
        statements: sentences without the full stop.
        questions: full questions.
    """

    kind: str
    nouns: tuple[str, ...]
    statements: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def about(self) -> str:
        """Names and questions together, in lower case: what tells the unit of a value."""
        return " ".join((*self.nouns, *self.questions)).lower()

    @property
    def key(self) -> str:
        """What tells two attributes apart inside one text."""
        return self.nouns[0] if self.nouns else self.questions[0]


def read_attributes(path: Path = LINES) -> list[Attribute]:
    """Read `kind|nouns|statements|questions` lines; lines beginning with # are comments."""
    attributes = []
    for line in words_of.written_lines(path):
        kind, *columns = line.split("|")
        nouns, statements, questions = (tuple(c for c in column.split(";") if c) for column in columns)
        attributes.append(Attribute(kind, nouns, statements, questions))
    return attributes


@dataclass(frozen=True)
class Pair:
    """A sentence that states two values of `{e}`, `{a}` and `{b}`.

    Attributes:
        kinds: kinds of the two values.
        statement: the sentence without the full stop.
        questions: wordings that ask for the first value, and for the second.
    """

    kinds: tuple[str, str]
    statement: str
    questions: tuple[tuple[str, ...], tuple[str, ...]]


def read_pairs(path: Path = PAIRS) -> list[Pair]:
    """Read `kind,kind|statement|questions|questions` lines; lines beginning with # are comments."""
    pairs = []
    for line in words_of.written_lines(path):
        kinds, statement, first, second = line.split("|")
        one, two = kinds.split(",")
        pairs.append(Pair((one, two), statement, (tuple(first.split(";")), tuple(second.split(";")))))
    return pairs


def participle(verb: str) -> str:
    """Past participle of a base form that may carry a particle: `take out` -> `taken out`."""
    first, _, particle = verb.partition(" ")
    if first in _IRREGULAR:
        past = _IRREGULAR[first]
    elif first.endswith("e"):
        past = first + "d"
    elif first.endswith("y") and first[-2] not in "aeo":
        past = first[:-1] + "ied"
    else:
        past = first + "ed"
    return f"{past} {particle}".strip()


class AttributeSource:
    """Draws attributes: written ones, and ones made of any words, so that only reading the words can help.

    Args:
        rng: source of all randomness.
        values: draws names and words.
        clause: draws an attribute in an open clause, see `clauses.py`.
        written: the written ones.
    """

    def __init__(
        self, rng: random.Random, values: Values, clause: Callable[[], Attribute], written: Sequence[Attribute]
    ) -> None:
        self.rng, self.values, self.clause = rng, values, clause
        self.of_things = [a for a in written if a.nouns]
        self.rules = [a for a in written if not a.nouns]
        self.instructions = read_attributes(INSTRUCTIONS)
        self.pairs = read_pairs()
        self._verbs = [entry.split(",") for entry in words_of.VERB_SYNONYMS.split("|")]
        self._nouns = [entry.split(",") for entry in words_of.NOUN_SYNONYMS.split("|")]

    def of_thing(self) -> Attribute:
        """An attribute with `{e}`: four in ten written by hand, most others from open vocabulary."""
        draw = self.rng.random()
        if draw < 0.40:
            return self.rng.choice(self.of_things)
        if draw < 0.74:
            return self.clause()
        if draw < 0.89:
            return self._open_noun()
        kind = self.rng.choice(KINDS_OF_VALUE)
        noun = self.rng.choice(words_of.NOUNS[kind])
        return Attribute(kind, (f"{self.rng.choice(words_of.MODIFIERS)} {noun}" if draw < 0.96 else noun,), (), ())

    def instruction(self) -> Attribute:
        """A rule without `{e}`: a third written by hand, the others of open vocabulary, asked in synonyms."""
        if self.rng.random() < 0.33:
            return self.rng.choice(self.rules)
        pattern = self.rng.choice(self.instructions)
        said_verb, asked_verb = self._two(self._verbs)
        if self.rng.random() < 0.6:
            said_noun, asked_noun = self._two(self._nouns)
        else:
            said_noun = asked_noun = self.rng.choice(self.values.open_words)
            if self.rng.random() < 0.5:
                asked_noun = self.values.related(said_noun)
        if self.rng.random() < 0.3:
            modifier = self.rng.choice(words_of.ADJECTIVES)
            said_noun, asked_noun = f"{modifier} {said_noun}", f"{modifier} {asked_noun}"
        said = {"V": said_verb, "N": said_noun, "P": participle(said_verb)}
        asked = {"W": asked_verb, "M": asked_noun, "Q": participle(asked_verb)}
        return Attribute(pattern.kind, (), _fill_all(pattern.statements, said), _fill_all(pattern.questions, asked))

    def _two(self, sets: list[list[str]]) -> tuple[str, str]:
        synonyms = self.rng.choice(sets)
        said = self.rng.choice(synonyms)
        return said, said if self.rng.random() < 0.45 else self.rng.choice(synonyms)

    def _word(self) -> str:
        return self.rng.choice(self.values.open_words) if self.rng.random() < 0.85 else self.values.name().lower()

    def _open_noun(self) -> Attribute:
        """Any words as a name; mostly with other names, made of neighbours of these words."""
        words = [self._word() for _ in range(self.rng.choice((1, 1, 2, 2, 3)))]
        names = {" ".join(words): None}
        if self.rng.random() < 0.7:
            for _ in range(3):
                names[" ".join(self.values.related(w) if self.rng.random() < 0.7 else w for w in words)] = None
        return Attribute(self.rng.choice(KINDS_OF_VALUE), tuple(names), (), ())


def _fill_all(patterns: Sequence[str], parts: dict[str, str]) -> tuple[str, ...]:
    filled = []
    for pattern in patterns:
        for mark, text in parts.items():
            pattern = pattern.replace("{" + mark + "}", text)
        filled.append(pattern)
    return tuple(filled)
