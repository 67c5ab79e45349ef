"""Invented documents: prose, bullets, tables, questions and answers, with facts that can be asked for."""
# ruff: noqa: SIM905 - lists of words and sentences are easier to read and to extend as text

import random
import re
from collections.abc import Callable, Sequence

from lm.pocket import vocabulary as words_of
from lm.pocket.attributes import Attribute, AttributeSource, Pair, read_attributes, read_pairs
from lm.pocket.passages import ABSTENTION, Fact, Passage, capitalised, question_about, question_worded
from lm.pocket.reference_pages import ReferencePages
from lm.pocket.values import Values

_GENERIC_STATEMENTS = (
    "The {n} of {e} is {v}|The {n} for {e} is {v}|{e} has {v} as its {n}|For {e}, the {n} is {v}|{v} is the {n} of {e}|"
    "{e} has a {n} of {v}|We list {v} as the {n} of {e}|The {n} of {e} was set to {v}|{e} ({n}: {v})|"
    "According to the plan, the {n} of {e} will be {v}|Look for {v} under {n} on the sheet for {e}"
).split("|")
_GENERIC_WITHOUT_NAME = (
    "Its {n} is {v}|The {n} is {v}|It has a {n} of {v}|As for the {n}, it is {v}|{N}: {v}|We give {v} as the {n}"
).split("|")
_CHAINS = ("{a}, {b}, and {c}", "{a}; {b}; {c}", "{a}, and since {b}, {c}", "While {b}, {a}; {c}", "{a} - {b} - {c}")
_JOINTS = ("{a}, and {b}", "{a}; {b}", "{a}, while {b}", "{a}, but {b}", "{a}, whereas {b}", "Although {b}, {a}")
_POINTERS = ("It", "It", "It", "This one", "The same", "The unit")


def _lowered(sentence: str) -> str:
    first = sentence.split()[0]
    return sentence[0].lower() + sentence[1:] if first in _OPENERS else sentence


_OPENERS = set(
    "The It Its For This You We As In To A An At Every Only Never Do Use Those If Before Wait Look After".split()
)
_OPENERS |= {capitalised(verb.split()[0]) for entry in words_of.VERB_SYNONYMS.split("|") for verb in entry.split(",")}
_OPENERS |= {
    statement.split()[0]
    for statement in [*(s for a in read_attributes() for s in a.statements), *(pair.statement for pair in read_pairs())]
    if not statement.startswith("{")
}


class DocumentSource:
    """Draws documents and families of documents about sibling things.

    Args:
        rng: source of all randomness.
        values: draws names and values.
        attributes: draws what is stated.
        sentences: sentences of real prose, used as filler.
    """

    def __init__(self, rng: random.Random, values: Values, attributes: AttributeSource, sentences: Sequence[str]):
        self.rng, self.values, self.attributes, self.sentences = rng, values, attributes, sentences
        self.pages = ReferencePages(rng, values)

    def family(self, size: int, n_words: int) -> list[Passage]:
        """Passages about `size` things, often siblings that share attributes and differ in values."""
        rng = self.rng
        shared = [self.attributes.of_thing() for _ in range(rng.randint(2, 5))]
        related = rng.random() < 0.7
        entities: list[str] = []
        rules: set[str] = set()
        draw_code = self.values.fault_code if rng.random() < 0.7 else self.values.code
        codes = sorted({draw_code() for _ in range(9)})
        rng.shuffle(codes)
        passages: list[Passage] = []
        for _ in range(size):
            length = max(12, int(rng.gauss(n_words, n_words * 0.3)))
            genre = rng.random()
            if genre < 0.2:
                passages.append(self.rules(length, rules))
                continue
            entity = (
                self.values.sibling(rng.choice(entities)) if entities and rng.random() < 0.55 else self.values.entity()
            )
            if entity in entities:
                entity = f"the {self.values.name()} {rng.choice(words_of.KINDS)}"
            entities.append(entity)
            if genre < 0.28:
                passages.append(self._padded(self.pages.codes(entity, codes, length), entity, length))
                continue
            if genre < 0.36 and length > 30:
                lined_up = [entity]
                for _ in range(rng.randint(1, 4)):
                    lined_up.append(self._new_sibling(entity, [*entities, *lined_up]))
                entities += lined_up[1:]
                columns = _distinct([*shared, *(self.attributes.of_thing() for _ in range(3))])
                passages.append(self._padded(self.pages.lineup(lined_up, columns, length), entity, length))
                continue
            if genre < 0.46:
                other = self._new_sibling(entity, entities)
                entities.append(other)
                compared = _distinct([*shared, *(self.attributes.of_thing() for _ in range(length // 25))])
                page = self.pages.comparison(entity, other, compared, length)
                passages.append(self._padded(page, entity, length))
                continue
            own = [a for a in (self._attribute() for _ in range(1 + length // 22)) if self._is_new(a, rules)]
            passages.append(self._about(entity, [*(shared if related else ()), *own], shared, length, entities))
        return passages

    def rules(self, n_words: int, used: set[str] | None = None) -> Passage:
        """A text of rules and instructions about no named thing; `used` are the rules its neighbours state already."""
        used = set() if used is None else used
        drawn = [self.attributes.instruction() for _ in range(2 + n_words // 14)]
        picked = [a for a in drawn if self._is_new(a, used)]
        passage = Passage(self.rng.choice(words_of.TITLES), "")
        self._compose(passage, picked, "", n_words)
        unsaid = [self.attributes.instruction() for _ in range(2)]
        passage.absent = [self._fact(a, "", ABSTENTION) for a in unsaid if self._is_new(a, used)]
        return passage

    def _is_new(self, attribute: Attribute, rules: set[str]) -> bool:
        """Whether no text of the context has this rule yet: a question must have one answer."""
        if attribute.nouns:
            return True
        new = attribute.key not in rules
        rules.add(attribute.key)
        return new

    def _new_sibling(self, entity: str, entities: Sequence[str]) -> str:
        while (other := self.values.sibling(entity)) in entities:
            pass
        return other

    def _padded(self, passage: Passage, entity: str, n_words: int) -> Passage:
        """The page between sentences of filler, up to about `n_words` words."""
        before, after, n_present = "", "", len(passage.text.split())
        while n_present < n_words:
            filler = self._filler(entity)
            n_present += len(filler.split())
            if self.rng.random() < 0.6:
                before += f"{filler} "
            else:
                after += f" {filler}"
        gap = self.rng.choice(("\n\n", "\n", " "))
        passage.text = gap.join(part.strip() for part in (before, passage.text, after) if part)
        return passage

    def _attribute(self) -> Attribute:
        return self.attributes.of_thing() if self.rng.random() < 0.8 else self.attributes.instruction()

    def _about(
        self, entity: str, attributes: list[Attribute], shared: list[Attribute], n_words: int, entities: list[str]
    ) -> Passage:
        rng = self.rng
        attributes = _distinct(attributes)
        rng.shuffle(attributes)
        n_stated = max(1, min(len(attributes) - 1, 1 + n_words // 13))
        stated, unsaid = attributes[:n_stated], attributes[n_stated:]
        title = capitalised(entity.removeprefix("the "))
        if rng.random() < 0.5:
            title += rng.choice((": ", ": ", " - ", ", ")) + rng.choice(words_of.SECTIONS)
        passage = Passage(title, "")
        compared = [a for a in shared if a.nouns] if len(entities) > 1 and rng.random() < 0.3 else []
        self._compose(passage, stated, entity, n_words, compared, entities)
        passage.absent = [self._fact(a, entity, ABSTENTION) for a in unsaid if a.nouns]
        return passage

    def _fact(self, attribute: Attribute, entity: str, answer: str) -> Fact:
        about = (entity if attribute.nouns else "", attribute.key)
        return Fact(lambda: question_about(attribute, entity, self.rng), answer, about)

    def _compose(
        self,
        passage: Passage,
        stated: list[Attribute],
        entity: str,
        n_words: int,
        compared: Sequence[Attribute] = (),
        entities: Sequence[str] = (),
    ) -> None:
        rng = self.rng
        style = rng.choices(("prose", "bullets", "table", "questions"), (0.68, 0.16, 0.06, 0.10))[0]
        clauses: list[str] = []
        items: list[str] = []
        for attribute in stated:
            value = self.values.value(attribute.kind, attribute.about)
            passage.facts.append(self._fact(attribute, entity, value))
            if style in ("bullets", "table") and attribute.nouns and rng.random() < 0.7:
                noun = rng.choice(attribute.nouns)
                items.append(f"{noun} | {value}" if style == "table" else f"- {noun}: {value}")
            elif style == "bullets" and not attribute.nouns and rng.random() < 0.6:
                items.append("- " + self._clause(attribute, entity, value, named=True))
            elif style == "questions":
                clause = self._clause(attribute, entity, value, named=rng.random() < 0.5)
                asked = question_about(attribute, entity, rng)
                items.append(f"{asked} {clause}.")
            else:
                clauses.append(self._clause(attribute, entity, value, named=not clauses or rng.random() < 0.45))
        if entity:
            for pair in rng.sample(self.attributes.pairs, rng.randint(0, 1 + n_words // 45)):
                clauses.insert(rng.randint(min(1, len(clauses)), len(clauses)), self._paired(passage, pair, entity))
        sentences = self._joined(self._related(clauses, entity) if entity else clauses)
        for attribute in compared[:1]:
            other = self._new_sibling(entity, entities)
            noun = rng.choice(attribute.nouns)
            pattern = rng.choice(
                ("Unlike this, {e} has a {n} of {v}.", "The {n} of {e} differs: it is {v}.", "For {e} the {n} is {v}.")
            )
            said = (
                pattern.replace("{e}", other)
                .replace("{n}", noun)
                .replace("{v}", self.values.value(attribute.kind, attribute.about))
            )
            sentences.append(capitalised(said))
        n_present = sum(len(s.split()) for s in [*sentences, *items])
        while n_present < n_words:
            filler = self._filler(entity)
            sentences.insert(rng.randint(min(len(sentences), 1 if entity else 0), len(sentences)), filler)
            n_present += len(filler.split())
        passage.text = self._laid_out(sentences, items)

    def _paired(self, passage: Passage, pair: Pair, entity: str) -> str:
        """The clause of a pair; its two facts are added to the passage."""
        abouts = [" ".join(patterns).lower() for patterns in pair.questions]
        values = [self.values.value(kind, about) for kind, about in zip(pair.kinds, abouts, strict=True)]
        while values[0] == values[1]:
            values[1] = self.values.value(pair.kinds[1], abouts[1])
        for patterns, value in zip(pair.questions, values, strict=True):
            passage.facts.append(Fact(self._asking(patterns, entity), value, (entity, patterns[0])))
        statement = pair.statement
        if self.rng.random() < 0.4:
            statement = re.sub(r"^\{e\}(?=\s)", self.rng.choice(_POINTERS), statement)
        filled = statement.replace("{e}", entity).replace("{a}", values[0]).replace("{b}", values[1])
        return capitalised(filled)

    def _asking(self, patterns: Sequence[str], entity: str) -> Callable[[], str]:
        return lambda: question_worded(patterns, entity, self.rng)

    def _clause(self, attribute: Attribute, entity: str, value: str, *, named: bool) -> str:
        rng = self.rng
        noun = rng.choice(attribute.nouns) if attribute.nouns else ""
        if attribute.statements and (not noun or rng.random() < 0.7):
            pattern = rng.choice(attribute.statements)
            if not named:
                pattern = re.sub(r"^\{e\}(?=\s)", rng.choice(_POINTERS), pattern)
                if rng.random() < 0.5 and "{e} " not in pattern[:4]:
                    pattern = re.sub(r"(?<= )\{e\}(?=$| )", "it", pattern)
        else:
            pattern = rng.choice(_GENERIC_STATEMENTS if named else _GENERIC_WITHOUT_NAME)
        clause = (
            pattern.replace("{n}", noun).replace("{N}", capitalised(noun)).replace("{e}", entity).replace("{v}", value)
        )
        return capitalised(clause)

    def _related(self, clauses: list[str], entity: str) -> list[str]:
        """Some neighbouring clauses about the thing as one, the first of them as a relative clause."""
        opening = f"{capitalised(entity)} "
        merged: list[str] = []
        for clause in clauses:
            before = merged[-1] if merged else ""
            both = before.startswith(opening) and clause.startswith(opening) and ", which " not in before
            if both and clause[len(opening)].isalpha() and before[len(opening)].isalpha() and self.rng.random() < 0.5:
                merged[-1] = f"{opening[:-1]}, which {before[len(opening) :]}, {clause[len(opening) :]}"
            else:
                merged.append(clause)
        return merged

    def _joined(self, clauses: list[str]) -> list[str]:
        rng = self.rng
        sentences, i = [], 0
        while i < len(clauses):
            if i + 2 < len(clauses) and rng.random() < 0.12:
                chain = rng.choice(_CHAINS)
                first, *others = clauses[i : i + 3]
                parts = {"b": _lowered(others[0]), "c": _lowered(others[1])}
                parts["a"] = first if chain.startswith("{a}") else _lowered(first)
                for mark in "cba":
                    chain = chain.replace("{" + mark + "}", parts[mark])
                sentence = chain
                i += 3
            elif i + 1 < len(clauses) and rng.random() < 0.3:
                sentence = rng.choice(_JOINTS).format(a="\0", b=_lowered(clauses[i + 1]))
                first = clauses[i] if sentence.startswith("\0") else _lowered(clauses[i])
                sentence = sentence.replace("\0", first)
                i += 2
            else:
                sentence = clauses[i]
                i += 1
                if rng.random() < 0.15:
                    sentence = rng.choice(words_of.LEADS) + _lowered(sentence)
                elif rng.random() < 0.2:
                    sentence += rng.choice(words_of.TAILS)
            sentences.append(capitalised(sentence) + ".")
        return sentences

    def _filler(self, entity: str) -> str:
        if self.sentences and self.rng.random() < 0.5:
            return self.rng.choice(self.sentences)
        filler = self.rng.choice(words_of.FILLERS)
        return filler.replace("{E}", capitalised(entity or "the service")).replace("{e}", entity or "the service")

    def _laid_out(self, sentences: list[str], items: list[str]) -> str:
        rng = self.rng
        paragraphs = [" ".join(sentences)]
        if len(sentences) > 3 and rng.random() < 0.4:
            cut = rng.randint(1, len(sentences) - 1)
            paragraphs = [" ".join(sentences[:cut]), " ".join(sentences[cut:])]
        if items:
            block = rng.choice(("\n", "\n", " ")).join(items)
            at = rng.randint(0, len(paragraphs))
            if at and rng.random() < 0.5:
                block = (
                    rng.choice(("In short:", "Details:", "At a glance:", "The figures:", "Please remember:"))
                    + "\n"
                    + block
                )
            paragraphs.insert(at, block)
        return rng.choice(("\n\n", "\n\n", "\n", " ")).join(p for p in paragraphs if p)


def _distinct(attributes: Sequence[Attribute]) -> list[Attribute]:
    """Attributes no two of which share a name, so that a question has one answer."""
    seen: set[str] = set()
    kept = []
    for attribute in attributes:
        names = set(attribute.nouns) or {attribute.key}
        if not names & seen:
            seen |= names
            kept.append(attribute)
    return kept
