"""Invented names, codes and values of every kind, and invented things to speak about."""

import random
import re
from collections.abc import Sequence

from lm.pocket import vocabulary as words_of
from lm.pocket.neighbours import Neighbours

KINDS_OF_VALUE = tuple(words_of.NOUNS)


def _compiled(table: dict[str, str]) -> list[tuple[re.Pattern[str], list[str]]]:
    return [(re.compile(pattern), units.split("|")) for pattern, units in table.items()]


_UNITS = {"quantity": _compiled(words_of.QUANTITY_UNITS), "duration": _compiled(words_of.DURATION_UNITS)}


class Values:
    """Draws from a random generator; two objects with equally seeded generators draw the same.

    Args:
        rng: source of all randomness.
        open_words: plain nouns and other words of real text, so that no value list is closed.
        neighbours: words of nearly the same meaning for some of them.
    """

    def __init__(self, rng: random.Random, open_words: Sequence[str], neighbours: Neighbours | None = None) -> None:
        self.rng = rng
        self.open_words = open_words
        self.neighbours = neighbours or {}
        self.words_with_neighbours = sorted(self.neighbours)

    def related(self, word: str) -> str:
        """One of the word's neighbours, or the word itself if it has none."""
        return self.rng.choice(self.neighbours.get(word, (word,)))

    def name(self) -> str:
        """A pronounceable capitalised name of one to three syllables."""
        choice = self.rng.choice
        syllables = [
            choice(words_of.CONSONANTS) + choice(words_of.VOWELS) + choice(words_of.CODAS)
            for _ in range(choice((1, 2, 2, 2, 3)))
        ]
        return "".join(syllables).capitalize()

    def code(self) -> str:
        """A part number, fault code, version or the like."""
        shape = self.rng.choice(
            (
                "AA-00",
                "AA-000",
                "A0",
                "A00",
                "E00",
                "F00",
                "AAA 000",
                "0000",
                "000000",
                "AAA-00-A",
                "0.0.0",
                "N00",
                "A0/A0",
            )
        )
        if shape == "N00":
            return f"{self.name()}-{self.rng.randint(10, 99)}"
        letters = {"A": "ABCDEFGHJKLMNPQRSTUVWXYZ", "0": "0123456789"}
        return "".join(self.rng.choice(letters[c]) if c in letters else c for c in shape)

    def fault_code(self) -> str:
        """A short code as displays show it."""
        return f"{self.rng.choice('ABCEFHLPU')}{self.rng.choice(('', '0', '0', '1', '2', '-'))}{self.rng.randint(1, 9)}"

    def value(self, kind: str, about: str = "") -> str:
        """A value of one of `KINDS_OF_VALUE`, as it would stand in a text.

        Args:
            kind: the kind of value.
            about: the property's names and questions; where they tell the unit, it is mostly used.
        """
        if kind == "code" and re.search("fault|error|display", about) and self.rng.random() < 0.7:
            return self.fault_code()
        units = _UNITS.get(kind, ())
        if about and units and self.rng.random() < 0.85:
            fitting = [listed for pattern, listed in units if pattern.search(about)]
            if fitting:
                return self._measured(kind, self.rng.choice(fitting[0]))
        return str(getattr(self, f"_{kind}")())

    def _measured(self, kind: str, unit: str) -> str:
        rng = self.rng
        if kind == "duration":
            if unit == "minutes" and rng.random() < 0.25:
                return f"{rng.randint(1, 9)} hours {rng.choice((5, 10, 15, 20, 30, 40, 45, 50))} minutes"
            return f"{rng.choice((str(rng.randint(2, 90)), rng.choice(words_of.NUMBER_WORDS[1:])))} {unit}"
        amounts = (str(rng.randint(1, 99)), str(rng.randint(100, 999)), f"{rng.randint(0, 20)}.{rng.randint(1, 9)}")
        amount = rng.choice((*amounts, f"{rng.randint(1, 9)},{rng.randint(0, 9)}00"))
        if rng.random() < 0.06:
            amount = f"between {rng.randint(1, 40)} and {rng.randint(41, 90)}"
        return f"{amount} {unit}"

    def entity(self) -> str:
        """Something that has attributes: a product, place, team or document, as it would be named in a sentence."""
        choice, name, kind = self.rng.choice, self.name(), self.rng.choice(words_of.KINDS)
        model = choice(words_of.MODEL_WORDS)
        return choice(
            (
                f"the {name} {kind}",
                f"the {name} {kind}",
                f"the {name} {model}",
                f"the {name} {self.rng.randint(2, 900)}",
                f"the {name} {self.rng.randint(2, 90)} {model}",
                f"{name} {choice('ABCKRSTXZ')}{self.rng.randint(1, 99)}",
                name,
                f"the {kind} {name}",
                f"{name} {self.name()}",
                f"the {choice(words_of.ADJECTIVES)} {kind}",
                f"{name}'s {kind}",
                f"{kind} {choice('ABCDEF')}{self.rng.randint(1, 99)}",
                f"Project {name}",
            )
        )

    def sibling(self, entity: str) -> str:
        """A thing whose name differs from `entity` in one word, as products of one family do."""
        parts = entity.split()
        if parts[-1].isdigit():
            return " ".join([*parts[:-1], str(self.rng.randint(2, 900))])
        if self.rng.random() < 0.4 and parts[-1] not in words_of.MODEL_WORDS:
            return f"{entity} {self.rng.choice(words_of.MODEL_WORDS)}"
        at = self.rng.randrange(1 if parts[0] in ("the", "Project") and len(parts) > 1 else 0, len(parts))
        if parts[at] in words_of.MODEL_WORDS:
            parts[at] = self.rng.choice(words_of.MODEL_WORDS)
        else:
            parts[at] = self.name() if parts[at][0].isupper() else self.rng.choice(words_of.KINDS)
        return " ".join(parts)

    def _duration(self) -> str:
        rng = self.rng
        if rng.random() < 0.1:
            return f"{rng.randint(1, 9)} hours {rng.choice((10, 15, 20, 30, 40, 45))} minutes"
        amount = rng.choice((str(rng.randint(2, 120)), rng.choice(words_of.NUMBER_WORDS[1:])))
        if rng.random() < 0.08:
            amount += f" to {rng.randint(121, 180)}" if amount.isdigit() else " or so"
        return f"{amount} {rng.choice(words_of.TIME_UNITS)}"

    def _money(self) -> str:
        rng = self.rng
        amount = rng.choice(
            (
                str(rng.randint(2, 999)),
                f"{rng.randint(1, 99)}.{rng.randint(0, 99):02d}",
                f"{rng.randint(1, 90)},{rng.randint(0, 9)}00",
            )
        )
        shown = rng.choice((f"${amount}", f"€{amount}", f"£{amount}", f"{amount} euros", f"{amount} dollars"))
        return shown + rng.choice(("", "", "", " per month", " per year", " a day"))

    def _percent(self) -> str:
        rng = self.rng
        return rng.choice(
            (
                f"{rng.randint(1, 99)}%",
                f"{rng.randint(1, 99)} %",
                f"{rng.randint(0, 20)}.{rng.randint(1, 9)}%",
                f"{rng.randint(1, 99)} percent",
                f"{rng.randint(1, 99)} per cent",
            )
        )

    def _quantity(self) -> str:
        rng = self.rng
        amount = rng.choice(
            (
                str(rng.randint(1, 999)),
                f"{rng.randint(0, 60)}.{rng.randint(1, 9)}",
                f"{rng.randint(1, 9)},{rng.randint(0, 9)}00",
            )
        )
        return f"{amount} {rng.choice(words_of.UNITS)}"

    def _number(self) -> str:
        rng = self.rng
        return rng.choice(
            (
                str(rng.randint(2, 99)),
                str(rng.randint(100, 9999)),
                f"{rng.randint(1, 99)},{rng.randint(0, 999):03d}",
                rng.choice(words_of.NUMBER_WORDS),
            )
        )

    def _code(self) -> str:
        return self.code()

    def _date(self) -> str:
        rng = self.rng
        month, day, year = rng.choice(words_of.MONTHS), rng.randint(1, 30), rng.randint(1950, 2035)
        return rng.choice(
            (
                f"{day} {month}",
                f"{month} {day}",
                f"{month} {day}, {year}",
                f"{day} {month} {year}",
                f"{year}-{rng.randint(1, 12):02d}-{day:02d}",
                f"{month} {year}",
                f"the first {rng.choice(words_of.DAYS)} of {month}",
            )
        )

    def _time(self) -> str:
        rng = self.rng
        minutes = rng.choice(("00", "15", "30", "45", "10", "05"))
        return rng.choice(
            (
                f"{rng.randint(1, 12)}:{minutes} {rng.choice(('am', 'pm'))}",
                f"{rng.randint(0, 23):02d}:{minutes}",
                f"{rng.randint(1, 12)} {rng.choice(('am', 'pm'))}",
                f"{rng.randint(1, 12)} o'clock",
            )
        )

    def _day(self) -> str:
        choice = self.rng.choice
        day = choice(words_of.DAYS)
        return choice(
            (
                day,
                f"{day}s",
                f"the last {day} of the month",
                f"{day} and {choice(words_of.DAYS)}",
                f"the {self.rng.randint(4, 20)}th of each month",
                f"every second {day}",
            )
        )

    def _person(self) -> str:
        choice = self.rng.choice
        if self.rng.random() < 0.35:
            return choice(words_of.ROLES)
        return choice(
            (
                f"{choice(words_of.FIRST_NAMES)} {self.name()}",
                f"{choice(words_of.FIRST_NAMES)} {self.name()}",
                f"{self.name()} {self.name()}",
                f"{choice(('Dr.', 'Mr.', 'Ms.'))} {self.name()}",
                choice(words_of.FIRST_NAMES),
            )
        )

    def _place(self) -> str:
        choice = self.rng.choice
        if self.rng.random() < 0.4:
            return choice(words_of.SPOTS)
        return choice(
            (
                f"{self.rng.randint(1, 250)} {self.name()} {choice(words_of.STREETS)}",
                self.name(),
                f"room {self.rng.randint(1, 499)}",
                f"Building {choice('ABCDEFGHK')}",
                f"{self.name()} {choice(words_of.STREETS)}",
                f"the {choice(words_of.ADJECTIVES)} {choice(self.open_words)}",
                f"{choice(('under', 'behind', 'above', 'inside', 'next to'))} the {choice(self.open_words)}",
            )
        )

    def _organisation(self) -> str:
        choice, name = self.rng.choice, self.name()
        ending = choice(words_of.ORGANISATION_ENDINGS)
        return choice(
            (f"{name} {ending}", name, f"{name} and {self.name()}", f"{choice(words_of.FIRST_NAMES)}'s {ending}")
        )

    def _contact(self) -> str:
        rng = self.rng
        return rng.choice(
            (
                f"{self.name().lower()}@{self.name().lower()}.{rng.choice(('com', 'org', 'net', 'example'))}",
                f"{rng.randint(200, 999)}-{rng.randint(1000, 9999)}",
                f"extension {rng.randint(100, 9999)}",
                f"+{rng.randint(10, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
                f"www.{self.name().lower()}.example",
            )
        )

    def _colour(self) -> str:
        choice = self.rng.choice
        return choice(
            (choice(words_of.COLOURS), choice(words_of.COLOURS), " and ".join(self.rng.sample(words_of.COLOURS, 2)))
        )

    def _material(self) -> str:
        return self.rng.choice(words_of.MATERIALS)

    def _thing(self) -> str:
        choice, word = self.rng.choice, self.rng.choice(self.open_words)
        if self.rng.random() < 0.35:
            return choice(words_of.THINGS)
        return choice(
            (
                f"{choice(('a', 'the', 'one', 'your'))} {choice(words_of.ADJECTIVES)} {word}",
                f"{choice(words_of.ADJECTIVES)} {word} {choice(self.open_words)}",
                f"{choice(('a', 'the', 'two'))} {word}",
                f"{word} and {choice(self.open_words)}",
                word,
            )
        )
