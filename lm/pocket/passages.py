"""Passages with the facts they state, and the questions that ask for them."""
# ruff: noqa: SIM905 - lists of sentences are easier to read and to extend as text

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lm.pocket.attributes import Attribute

ABSTENTION = "I don't know."

_GENERIC_QUESTIONS = (
    "What is the {n} of {e}?|What is the {n} for {e}?|What's the {n} of {e}?|Which {n} does {e} have?|"
    "Can you tell me the {n} of {e}?|{E}: what is the {n}?|I need to know the {n} of {e}.|Tell me the {n} for {e}.|"
    "Do you know the {n} of {e}?|What {n} is given for {e}?|{E} {n}?|{E}, {n}?|{n}, {e}?|{n} {e}|"
    "Which {n} should I note for {e}?|I am looking for the {n} of {e}.|What do you have as the {n} of {e}?"
).split("|")
_QUESTIONS_BY_KIND = {
    "duration": ("How long is the {n} of {e}?",),
    "money": ("How much is the {n} for {e}?",),
    "person": ("Who is the {n} of {e}?",) * 3,
    "organisation": ("Who is the {n} of {e}?",),
    "place": ("Where is the {n} of {e}?",) * 2,
    "date": ("When is the {n} of {e}?",) * 2,
    "time": ("When is the {n} of {e}?", "At what time is the {n} for {e}?"),
    "day": ("On which day is the {n} of {e}?",),
    "number": ("What number is the {n} of {e}?",),
}
_INTRODUCTIONS = (
    "I have {e}.|This is about {e}.|We are thinking of {e}.|A friend has told me of {e}.|I need help with {e}.|"
    "We were sent {e} last week.|Someone is asking for {e}.|It concerns {e}."
).split("|")
_PREAMBLES = (
    "Hi, |Quick question: |Hello! |Sorry to ask, but |Just checking: |A customer asks: |We are about to order. |"
    "I have read the leaflet twice. |My neighbour wants to know: |I am at the door right now. |It is my first one. |"
    "The old label is worn off. |For my records: |We have moved recently. |Before I decide: |I forgot again. "
).split("|")


@dataclass(frozen=True)
class Fact:
    """A question, worded anew at every call of `ask`, its answer, and what it is about (thing, property)."""

    ask: Callable[[], str]
    answer: str
    about: tuple[str, str] = ("", "")


@dataclass
class Passage:
    """A text with what it answers (`facts`) and what it looks as if it answered.

    Attributes:
        absent: questions about its thing that it never answered.
        withheld: questions it answered before a sentence was taken out, see `twins.py`.
    """

    title: str
    text: str
    facts: list[Fact] = field(default_factory=list)
    absent: list[Fact] = field(default_factory=list)
    withheld: list[Fact] = field(default_factory=list)

    @property
    def titled_text(self) -> str:
        """Title and text as a prompt shows them."""
        return f"{self.title}: {self.text}" if self.title else self.text


def capitalised(text: str) -> str:
    """First letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def question_about(attribute: Attribute, entity: str, rng: random.Random) -> str:
    """One wording of the question for an attribute of `entity` (ignored by rules)."""
    if attribute.questions and (not attribute.nouns or rng.random() < 0.65):
        pattern = rng.choice(attribute.questions)
    else:
        pattern = rng.choice((*_GENERIC_QUESTIONS, *_QUESTIONS_BY_KIND.get(attribute.kind, ())))
    introduction, named = _named_by_asker(entity, rng)
    noun = rng.choice(attribute.nouns) if attribute.nouns else ""
    return _as_typed(introduction + capitalised(_filled(pattern, named).replace("{n}", noun)), rng)


def question_worded(patterns: Sequence[str], entity: str, rng: random.Random) -> str:
    """One of the wordings, about `entity`."""
    introduction, named = _named_by_asker(entity, rng)
    return _as_typed(introduction + capitalised(_filled(rng.choice(patterns), named)), rng)


def _filled(pattern: str, entity: str) -> str:
    return pattern.replace("{e}", entity).replace("{E}", capitalised(entity))


def _named_by_asker(entity: str, rng: random.Random) -> tuple[str, str]:
    """A sentence that introduces the thing, mostly empty, and how the question itself names it."""
    if entity and rng.random() < 0.1:
        return rng.choice(_INTRODUCTIONS).replace("{e}", entity) + " ", "it"
    if entity.startswith("the ") and rng.random() < 0.35:
        return "", rng.choice(("my ", "our ", "", "a ", "your ")) + entity.removeprefix("the ")
    return "", entity


def _as_typed(question: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.05:
        return question.lower()
    if draw < 0.14:
        return rng.choice(_PREAMBLES) + question
    if draw < 0.17:
        return question.rstrip("?.")
    if draw < 0.20:
        return question.rstrip("?") + rng.choice((" please?", ", please?", ", roughly?", " exactly?"))
    return question
