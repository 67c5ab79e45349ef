"""Facts in every shape that an English clause takes, made of any words, so that only reading the words can help.

A frame of `clauses.txt` says one fact in several ways and asks for it in others: actively and passively, with a verb
and with its noun, fronted, cleft, conditional. The content words are drawn anew each time, so that nothing but the
words themselves links a question to its sentence.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.pocket import vocabulary as words_of
from lm.pocket.attributes import Attribute
from lm.pocket.values import KINDS_OF_VALUE, Values

FRAMES = Path(__file__).with_name("clauses.txt")
WORDS = Path(__file__).with_name("clause_words.txt")

P_NEIGHBOUR = 0.25
"""How often a question has a neighbour in place of a content word."""
P_MODIFIER = 0.35
"""How often a noun has a modifier; a question drops it with `P_DROPPED`."""
P_DROPPED = 0.3
P_INVENTED_VERB = 0.05

Forms = Mapping[str, str]
"""A word's inflections by the marks of `clauses.txt`; its base or singular is under the empty mark."""
Pattern = tuple[str | tuple[str, str], ...]
"""Literal text, and slots as their name and the mark of a form."""

# What a value of each kind is called in the name of its property.
_CALLED = {
    kind: names.split()
    for kind, names in {
        "duration": "time period duration",
        "money": "cost fee sum amount",
        "percent": "share rate percentage",
        "quantity": "amount level value limit",
        "number": "number count total",
        "code": "code mark reference",
        "date": "date",
        "time": "time hour",
        "day": "day",
        "person": "person officer clerk chief",
        "organisation": "company firm organisation",
        "place": "place site spot location",
        "contact": "contact address line",
        "colour": "colour shade",
        "material": "material stuff substance",
        "thing": "item object thing",
    }.items()
}
# The words that ask for a value where it is a noun phrase: after a preposition, and elsewhere if they differ.
_WHOM = {
    "duration": "how much time",
    "money": "how much|how much money|what sum",
    "percent": "what share|what percentage|how many percent",
    "quantity": "how much|what amount",
    "number": "how many|what number",
    "code": "which code|what code",
    "date": "which date|what date",
    "time": "which time|what time",
    "day": "which day|what day",
    "person": "whom",
    "organisation": "which company|which firm|which organisation|whom",
    "place": "which place|what place",
    "contact": "which contact|what address or number",
    "colour": "which colour|what colour",
    "material": "which material|what material",
    "thing": "what",
}
_WH = _WHOM | {"person": "who", "organisation": "which company|which firm|which organisation|who"}
# The words that ask for a value where it is an adverbial, and the preposition it then has.
_WHEN = {
    "date": "when|when|on what date|on which date",
    "time": "when|when|at what time|at which hour",
    "day": "when|when|on which day|on what day",
    "place": "where|where|at which place",
}
_AT = {"date": "on", "time": "at", "day": "on", "place": "at"}
_BY_KIND = {
    mark: {kind: words.split("|") for kind, words in table.items()}
    for mark, table in {"wh": _WH, "whom": _WHOM, "when": _WHEN, "at": _AT}.items()
}
# Words that would look like a second value beside the one that is asked for.
_LIKE_VALUES = frozenset(
    " ".join(
        (
            *words_of.NUMBER_WORDS,
            *words_of.MONTHS,
            *words_of.DAYS,
            *words_of.COLOURS,
            *words_of.MATERIALS,
            *words_of.TIME_UNITS,
            *words_of.UNITS,
            "day hour minute week month year noon midnight morning evening today dollar euro pound percent",
            "cent inch hundred thousand million billion dozen zero half",
            "first second third fourth fifth once twice metre litre ton gram",
        )
    )
    .lower()
    .split()
)


def verb_forms(base: str, irregular: Sequence[str] = ()) -> Forms:
    """A verb's inflections: base, `s`, `d` (past), `n` (participle) and `g` (-ing).

    Args:
        base: the base form.
        irregular: past and participle, and the -ing form if that is irregular too; none of a regular verb.
    """
    stem = base + base[-1] if _doubles(base) else base
    past = base + "d" if base.endswith("e") else _ies(base, "ied") or stem + "ed"
    past, participle = irregular[:2] if irregular else (past, past)
    if past == base + base[-1] + "ed":
        stem = base + base[-1]
    if base.endswith("ie"):
        going = base[:-2] + "ying"
    elif base.endswith("e") and base[-2] not in "eoy":
        going = base[:-1] + "ing"
    else:
        going = stem + "ing"
    going = irregular[2] if len(irregular) > 2 else going
    goes = base + "es" if base.endswith("o") else _with_s(base)
    return {"": base, "s": goes, "d": past, "n": participle, "g": going}


def _doubles(base: str) -> bool:
    """Whether one syllable ends in one vowel and one consonant: trim, trimmed."""
    vowels = [letter in "aeiouy" for letter in base]
    one_syllable = vowels.count(True) == 1 or (base.startswith("qu") and vowels.count(True) == 2)
    return len(base) > 2 and one_syllable and vowels[-2] and not vowels[-1] and base[-1] not in "wx"


def _ies(word: str, ending: str) -> str:
    """The word with `ending` for a y that follows a consonant, or nothing."""
    return word[:-1] + ending if word.endswith("y") and word[-2:-1] not in "aeiou" else ""


def _with_s(word: str) -> str:
    return _ies(word, "ies") or word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def noun_forms(singular: str, plural: str = "") -> Forms:
    """A noun's singular and plural (`p`)."""
    return {"": singular, "p": plural or _with_s(singular)}


@dataclass(frozen=True)
class Frame:
    """One line of `clauses.txt`: ways to name, to state and to ask for a fact, with slots for its words."""

    kinds: tuple[str, ...]
    nouns: tuple[Pattern, ...]
    statements: tuple[Pattern, ...]
    questions: tuple[Pattern, ...]

    @property
    def slots(self) -> frozenset[str]:
        """Names of all slots that a content word fills."""
        patterns = (*self.nouns, *self.statements, *self.questions)
        return frozenset(part[0] for p in patterns for part in p if not isinstance(part, str) and part[0] in _SLOTS)


_SLOTS = {
    "n": "noun",
    "m": "noun",
    "t": "transitive",
    "u": "transitive",
    "i": "intransitive",
    "j": "intransitive",
    "g": "giving",
    "a": "adjective",
}


def read_frames(path: Path = FRAMES) -> list[Frame]:
    """Read `kinds|names|statements|questions` lines; lines beginning with # are comments."""
    frames = []
    for line in words_of.written_lines(path):
        kinds, *columns = line.split("|")
        patterns = (tuple(_parsed(text) for text in column.split(";")) for column in columns)
        frames.append(Frame(tuple(kinds.split(",")), *patterns))
    return frames


def _parsed(text: str) -> Pattern:
    parts: list[str | tuple[str, str]] = []
    for piece in text.replace("{", "\0{").replace("}", "}\0").split("\0"):
        if piece.startswith("{") and piece not in ("{e}", "{E}", "{v}"):
            slot, _, form = piece[1:-1].partition(".")
            parts.append((slot, form))
        elif piece:
            parts.append(piece)
    return tuple(parts)


def _read_words(path: Path = WORDS) -> dict[str, dict[str, list[str]]]:
    """Each section's words with the irregular forms after their colons."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line[1:-1], {})
        elif not line.startswith("#"):
            for entry in line.split():
                word, _, irregular = entry.partition(":")
                if word not in _LIKE_VALUES:
                    section[word] = irregular.split(",") if irregular else []
    return sections


_WORDS = _read_words()
VERBS = {
    slot: {base: verb_forms(base, irregular) for base, irregular in _WORDS[slot].items()}
    for slot in ("transitive", "intransitive", "giving")
}
NOUNS = {noun: noun_forms(noun, *plural) for noun, plural in _WORDS["nouns"].items()}
ADJECTIVES = _WORDS["adjectives"]
_SINGULAR_OF = {forms["p"]: noun for noun, forms in NOUNS.items()}
_PASTS = frozenset(forms[mark] for table in VERBS.values() for forms in table.values() for mark in "dn") - set(NOUNS)


def open_verbs(words: Sequence[str]) -> dict[str, Forms]:
    """Regular verbs of real prose: words whose past is among the words too. With a past they mostly take an object."""
    known = set(words) - _LIKE_VALUES - set(_WORDS["not transitive"]) - set(_WORDS["intransitive"])
    found = {}
    for past in words:
        if past.endswith("ed"):
            for base in (past[:-1], past[:-2], past[:-3], past[:-3] + "y"):
                if base in known and verb_forms(base)["d"] == past:
                    found[base] = verb_forms(base)
                    break
    return found


def _is_plain(word: str) -> bool:
    """Whether a word of real prose can stand as a noun in the singular."""
    return (
        len(word) > 3
        and word.isalpha()
        and word not in _LIKE_VALUES
        and word not in _SINGULAR_OF
        and word not in _PASTS
        and word not in _WORDS["not nouns"]
        and not word.endswith(("ed", "ing", "ly"))
        and (word.endswith("ss") or not word.endswith("s"))
    )


@dataclass(frozen=True)
class _Filling:
    """Words for the slots of a frame: as a statement has them, and as a question has them."""

    said: dict[str, Forms]
    asked: dict[str, Forms]


class ClauseSource:
    """Draws attributes whose statements and questions are made of any words.

    Args:
        rng: source of all randomness besides that of `values`.
        values: its `name` gives invented words, its `neighbours` give words of nearly the same meaning.
        words: words of real prose, lower case.
    """

    def __init__(self, rng: random.Random, values: Values, words: Sequence[str]) -> None:
        self.rng, self.values = rng, values
        self.frames = read_frames()
        self._by_kind = {kind: [f for f in self.frames if kind in f.kinds] for kind in KINDS_OF_VALUE}
        self._plain_words = [word for word in words if _is_plain(word)] or list(NOUNS)
        self._nouns, self._adjectives = list(NOUNS), list(ADJECTIVES)
        self._verb_forms = VERBS | {"transitive": open_verbs(words) | VERBS["transitive"]}
        self._verbs = {role: list(table) for role, table in self._verb_forms.items()}
        self._verb_neighbours = {role: self._near_verbs(table) for role, table in self._verb_forms.items()}

    def attribute(self) -> Attribute:
        """A fact of any kind of value, each kind equally often, in new words."""
        kind = self.rng.choice(KINDS_OF_VALUE)
        return self.filled(self.rng.choice(self._by_kind[kind]), kind)

    def filled(self, frame: Frame, kind: str) -> Attribute:
        """The frame in new words for a value of that kind: two to four statements, three to six questions."""
        rng = self.rng
        filling = self._filling(frame.slots)
        called = {"": rng.choice(_CALLED[kind])}
        filling.said["k"] = filling.asked["k"] = called
        statements = rng.sample(frame.statements, min(len(frame.statements), rng.randint(2, 4)))
        questions = rng.sample(frame.questions, min(len(frame.questions), rng.randint(3, 6)))
        return Attribute(
            kind,
            tuple(self._text(pattern, filling.said, kind) for pattern in frame.nouns),
            tuple(_begun(self._text(pattern, filling.said, kind)) for pattern in statements),
            tuple(_begun(self._text(pattern, filling.asked, kind)) for pattern in questions),
        )

    def _text(self, pattern: Pattern, words: Mapping[str, Forms], kind: str) -> str:
        parts = []
        for part in pattern:
            if isinstance(part, str):
                parts.append(part)
            elif part[0] in _BY_KIND:
                parts.append(self.rng.choice(_BY_KIND[part[0]][kind]))
            elif part[1] == "a":
                parts.append(_with_article(words[part[0]][""]))
            else:
                parts.append(words[part[0]][part[1]])
        return "".join(parts)

    def _filling(self, slots: frozenset[str]) -> _Filling:
        said: dict[str, Forms] = {}
        asked: dict[str, Forms] = {}
        used: set[str] = set()
        # A set of strings has another order in each process; equal seeds must draw equally.
        for slot in sorted(slots):
            role = _SLOTS[slot]
            word, other = self._pair(role)
            while word in used or other in used:
                word, other = self._pair(role)
            used |= {word, other}
            if role == "noun":
                said[slot], asked[slot] = self._noun_phrases(word, other)
            elif role == "adjective":
                said[slot], asked[slot] = {"": word}, {"": other}
            else:
                table = self._verb_forms[role]
                said[slot], asked[slot] = table.get(word) or verb_forms(word), table.get(other) or verb_forms(other)
        return _Filling(said, asked)

    def _pair(self, role: str) -> tuple[str, str]:
        """A word for a statement, and the same word or a neighbour for a question."""
        if role == "noun":
            word = self._noun()
        elif role == "adjective":
            word = self.rng.choice(self._adjectives)
        elif role != "giving" and self.rng.random() < P_INVENTED_VERB:
            word = self.values.name().lower()
        else:
            word = self.rng.choice(self._verbs[role])
        return word, self._asked(word, role)

    def _asked(self, word: str, role: str) -> str:
        """What a question has for a word of a statement: the word, or sometimes a neighbour that fits the role."""
        if self.rng.random() >= P_NEIGHBOUR:
            return word
        if role == "noun":
            near = self._near_nouns(word)
        elif role == "adjective":
            near = [other for other in self.values.neighbours.get(word, ()) if other in ADJECTIVES]
        else:
            near = self._verb_neighbours[role].get(word, [])
        return self.rng.choice(near) if near else word

    def _noun(self) -> str:
        draw = self.rng.random()
        if draw < 0.42:
            return self.rng.choice(self._nouns)
        return self.rng.choice(self._plain_words) if draw < 0.92 else self.values.name().lower()

    def _noun_phrases(self, said: str, asked: str) -> tuple[Forms, Forms]:
        rng = self.rng
        if rng.random() >= P_MODIFIER:
            return _noun_of(said), _noun_of(asked)
        role = rng.choice(("adjective", "noun"))
        modifier, asked_modifier = self._pair(role)
        while {modifier, asked_modifier} & {said, asked}:
            modifier, asked_modifier = self._pair(role)
        phrase = _modified(modifier, said)
        return phrase, _noun_of(asked) if rng.random() < P_DROPPED else _modified(asked_modifier, asked)

    def _near_nouns(self, noun: str) -> list[str]:
        near = (_SINGULAR_OF.get(word, word) for word in self.values.neighbours.get(noun, ()))
        return [word for word in near if word in NOUNS or _is_plain(word)]

    def _near_verbs(self, table: Mapping[str, Forms]) -> dict[str, list[str]]:
        """For each verb the others of its table of which some form is a neighbour of some form of it."""
        base_of = {form: base for base, forms in table.items() for form in forms.values()}
        near = {}
        for base, forms in table.items():
            words = (word for form in forms.values() for word in self.values.neighbours.get(form, ()))
            near[base] = list(dict.fromkeys(base_of[w] for w in words if base_of.get(w, base) != base))
        return near


def _noun_of(word: str) -> Forms:
    return NOUNS.get(word) or noun_forms(word)


def _modified(modifier: str, noun: str) -> Forms:
    return {mark: f"{modifier} {form}" for mark, form in _noun_of(noun).items()}


def _with_article(phrase: str) -> str:
    """The phrase with its indefinite article, by the first letter (and the commonest words that sound otherwise)."""
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "use", "eu", "one"))
    silent = phrase.startswith(("hour", "honest", "honour", "heir"))
    return f"{'an' if vowel or silent else 'a'} {phrase}"


def _begun(sentence: str) -> str:
    """The sentence with a capital letter; a placeholder at its head is left as it is."""
    return sentence[0].upper() + sentence[1:]
