"""Pages one looks things up in: two things side by side, and lists of codes with their meanings."""
# ruff: noqa: SIM905 - lists of sentences are easier to read and to extend as text

import random
from collections.abc import Callable, Sequence

from lm.pocket import vocabulary as words_of
from lm.pocket.attributes import Attribute
from lm.pocket.passages import ABSTENTION, Fact, Passage, capitalised, question_about, question_worded
from lm.pocket.values import Values

_CONTRASTS = (
    "The {n} is {a} on {e} and {b} on {o}.|{E} has a {n} of {a}, {o} one of {b}.|{N}: {a} ({e}), {b} ({o}).|"
    "For the {n}, go by {a} with {e}; with {o} it is {b}.|{N} on {e}: {a}. On {o}: {b}.|"
    "On {e} the {n} is {a}, on {o} {b}.|{O} comes with a {n} of {b}, not {a} as {e} does.|"
    "While {o} has {b} as its {n}, {e} has {a}.|The {n} differs: {a} for {e}, {b} for {o}."
).split("|")
_SECOND_HALVES = ("; for {o} it is {b}", ", while {o} has {b}", " ({o}: {b})", ", but {o} {b}", "; {o}, {b}")
_LINEUP_TITLES = (
    "The range at a glance|Technical data|Which one is which|Overview|Data sheet|All versions|Comparison|Sizes"
).split("|")
_STATES = (
    "blocked|jammed|worn|missing|too hot|loose|not closed|not seated|open|full|empty|cracked|wet|dirty|disconnected|"
    "frozen|overloaded|out of balance|misaligned|not found|expired|locked|low|faulty"
).split("|")
_ADVICE = (
    "Switch off and try again.|Call service if it comes back.|Usually this goes away by itself.|"
    "Open it and look for the cause.|Do nothing for a while.|Have it seen to soon.|No need to worry.|"
    "Press the key once to clear it."
).split("|")
_CODE_LINES = ("- {c}: {m}", "- {c} - {m}", "{c}: {m}", "{c} means {m}", "{c} = {m}", "{c} | {m}", "{c} stands for {m}")
_CODE_QUESTIONS = (
    "What does {c} mean on {e}?|{E} shows {c}. What is wrong?|What is {c} on {e}?|Why does {e} say {c}?|{c} on {e}?|"
    "My display says {c}. What does that mean for {e}?|Meaning of {c}, {e}?|What is the matter when {e} reports {c}?"
).split("|")
_CAUSE_QUESTIONS = (
    "Which code does {e} show for this: {m}?|What does {e} display when it reports: {m}?|"
    "On {e}, which code stands for {m}?|What is the code of {e} for {m}?"
).split("|")


class ReferencePages:
    """Draws pages of tables, contrasts and codes about given things."""

    def __init__(self, rng: random.Random, values: Values) -> None:
        self.rng, self.values = rng, values
        self._nouns = [entry.split(",") for entry in words_of.NOUN_SYNONYMS.split("|")]

    def comparison(self, entity: str, other: str, attributes: Sequence[Attribute], n_words: int) -> Passage:
        """Two things side by side, in sentences or as a table; each attribute is a fact of both."""
        rng = self.rng
        stated = attributes[: max(1, n_words // 14)]
        names = capitalised(entity.removeprefix("the ")), capitalised(other.removeprefix("the "))
        title = " and ".join(names) + rng.choice(("", f": {rng.choice(words_of.SECTIONS)}"))
        passage = Passage(title, "")
        as_table = rng.random() < 0.35
        lines: list[tuple[str, ...]] = []
        for attribute in stated:
            first, second = (self.values.value(attribute.kind, attribute.about) for _ in range(2))
            noun = rng.choice(attribute.nouns)
            if as_table:
                lines.append((capitalised(noun), first, second))
            else:
                lines.append((self._contrast(attribute, noun, entity, other, first, second),))
            for thing, value in ((entity, first), (other, second)):
                passage.facts.append(Fact(self._asking(attribute, thing), value, (thing, attribute.key)))
        if as_table:
            gap = rng.choice(("   ", " | ", "\t", "        "))
            passage.text = "\n".join(gap.join(cells) for cells in [("", *names), *lines])
        else:
            passage.text = rng.choice((" ", " ", "\n", "\n\n")).join(cells[0] for cells in lines)
        return passage

    def lineup(self, entities: Sequence[str], attributes: Sequence[Attribute], n_words: int) -> Passage:
        """Several siblings in one table or list; a cell may be empty, and then the question has no answer."""
        rng = self.rng
        stated = attributes[: max(1, n_words // (5 * len(entities)))]
        nouns = [rng.choice(attribute.nouns) for attribute in stated]
        passage = Passage(rng.choice(_LINEUP_TITLES), "")
        rows: list[list[str]] = []
        empty = rng.choice(("-", "–", "n/a", "not given", ""))
        for entity in entities:
            cells = [capitalised(entity.removeprefix("the "))]
            for attribute in stated:
                asking = self._asking(attribute, entity)
                if rng.random() < 0.1:
                    cells.append(empty)
                    passage.withheld.append(Fact(asking, ABSTENTION, (entity, attribute.key)))
                else:
                    cells.append(self.values.value(attribute.kind, attribute.about))
                    passage.facts.append(Fact(asking, cells[-1], (entity, attribute.key)))
            rows.append(cells)
        passage.text = self._laid_out([["", *map(capitalised, nouns)], *rows], nouns)
        return passage

    def _laid_out(self, table: list[list[str]], nouns: Sequence[str]) -> str:
        """Rows by thing or by property, with a rule below the head or without; or one line of named values a thing."""
        rng = self.rng
        layout = rng.random()
        if layout < 0.35:
            named = rng.choice(("{n} {v}", "{n}: {v}", "{v} ({n})", "{n} = {v}"))
            told = ([named.format(n=n, v=v) for n, v in zip(nouns, row[1:], strict=True) if v] for row in table[1:])
            sign = rng.choice(("", "- ", "* "))
            joint = rng.choice((", ", "; "))
            return "\n".join(
                f"{sign}{row[0]}: {joint.join(cells)}." for row, cells in zip(table[1:], told, strict=True)
            )
        if layout < 0.6:
            table = [list(column) for column in zip(*table, strict=True)]
        if rng.random() < 0.5:
            lines = ["| " + " | ".join(row) + " |" for row in table]
            return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])
        gap = rng.choice((" | ", "\t", "   "))
        return "\n".join(gap.join(row) for row in table)

    def codes(self, entity: str, codes: Sequence[str], n_words: int) -> Passage:
        """A list of codes and what they mean; sibling things use the same codes for other matters."""
        rng = self.rng
        title = (
            f"{capitalised(entity.removeprefix('the '))}: {rng.choice(('codes', 'fault codes', 'messages', 'signals'))}"
        )
        passage = Passage(title, "")
        listed = rng.sample(list(codes), max(1, min(len(codes) - 1, n_words // 14)))
        line, lines = rng.choice(_CODE_LINES), []
        used: set[str] = set()
        for code in listed:
            said, asked = self._matter(used)
            lines.append(line.replace("{c}", code).replace("{m}", said) + ".")
            if rng.random() < 0.5:
                lines[-1] += f" {rng.choice(_ADVICE)}"
            passage.facts.append(Fact(self._asking_code(_CODE_QUESTIONS, entity, code, asked), said, (entity, code)))
            if rng.random() < 0.3:
                cause = self._asking_code(_CAUSE_QUESTIONS, entity, code, asked)
                passage.facts.append(Fact(cause, code, (entity, f"cause of {code}")))
        passage.text = ("\n" if line.startswith("-") else rng.choice(("\n", " "))).join(lines)
        for code in codes:
            if code not in listed:
                unlisted = self._asking_code(_CODE_QUESTIONS, entity, code, "")
                passage.absent.append(Fact(unlisted, ABSTENTION, (entity, code)))
        return passage

    def _contrast(self, attribute: Attribute, noun: str, entity: str, other: str, first: str, second: str) -> str:
        rng = self.rng
        if attribute.statements and rng.random() < 0.5:
            pattern = rng.choice(attribute.statements).replace("{v}", "{a}") + rng.choice(_SECOND_HALVES) + "."
        else:
            pattern = rng.choice(_CONTRASTS)
        parts = {"n": noun, "N": capitalised(noun), "e": entity, "E": capitalised(entity), "o": other}
        parts |= {"O": capitalised(other), "a": first, "b": second}
        for mark, text in parts.items():
            pattern = pattern.replace("{" + mark + "}", text)
        return capitalised(pattern)

    def _matter(self, used: set[str]) -> tuple[str, str]:
        """A short description as the page words it and as someone asking may word it; never twice on one page."""
        rng = self.rng
        while True:
            nouns, state = rng.choice(self._nouns), rng.choice(_STATES)
            said, asked = rng.choice(nouns), rng.choice(nouns)
            if rng.random() < 0.3:
                said = asked = rng.choice(self.values.open_words)
            if f"{said} {state}" not in used:
                used.add(f"{said} {state}")
                form = rng.choice(("{n} {s}", "the {n} is {s}", "a {n} is {s}"))
                return form.format(n=said, s=state), form.format(n=asked, s=state)

    def _asking(self, attribute: Attribute, entity: str) -> Callable[[], str]:
        return lambda: question_about(attribute, entity, self.rng)

    def _asking_code(self, patterns: Sequence[str], entity: str, code: str, matter: str) -> Callable[[], str]:
        filled = [pattern.replace("{c}", code).replace("{m}", matter) for pattern in patterns]
        return lambda: question_worded(filled, entity, self.rng)
