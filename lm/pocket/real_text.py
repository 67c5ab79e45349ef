"""Real prose of the training set: paragraphs, question-answering contexts, and questions made from sentences."""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm.pocket.neighbours import Neighbours

SOURCES = ("squadshifts_new_wiki", "squad_dev_v1.1", "squad_dev_v2.0_unanswerable")
"""The question-answering rows that may be used: text of Wikipedia, CC BY-SA."""
MAX_ANSWER_WORDS = 8
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[0-9][0-9,.]*[0-9]|[2-9]"
_NAME = r"[A-Z][\w'-]+(?: (?:of |the |de |van )?[A-Z][\w'-]+){0,3}"
_DATE = rf"(?:\d{{1,2}} (?:{_MONTHS})|(?:{_MONTHS}) \d{{1,2}},?) \d{{4}}"
_SPANS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(rf"\b(?:on )?({_DATE})"), ("on what date", "when", "on which day")),
    (re.compile(r"\b(?:in|since|by|until) ((?:1[5-9]|20)\d\d)\b"), ("in what year", "in which year", "when")),
    (re.compile(rf"\b({_NUMBERS}) (?=[a-z]+s\b)"), ("how many ",)),
    (re.compile(rf"\bby ({_NAME})"), ("by whom", "by who")),
    (re.compile(rf"\b(?:in|at|near) (?:the )?({_NAME})"), ("where", "in which place", "in what place")),
    (re.compile(rf"\bfrom (?:the )?({_NAME})"), ("from where", "from which place")),
    (re.compile(rf"\b(?:named|called|known as) (?:the )?({_NAME})"), ("named what", "with what name")),
    (re.compile(r"\bas an? ([a-z]+(?: [a-z]+)?)(?=[,.;])"), ("as what", "in which role")),
)  # fmt: skip
_SUBJECT = re.compile(rf"^((?:The )?{_NAME}) ((?:is|was|has|had|won|became|wrote|made|led|played|served|\w+ed)\b.+)$")
_AUXILIARY = re.compile(r"^((?:\S+ ){1,7}?)(was|is|were|are|has|had|can|will|must|may) (.+)$")
_PRONOUN = re.compile(r"^(?:He|She|It|The film|The album|The song|The book)\b")
_STOPWORDS = set(
    re.findall(
        r"\w+", "the a an of and to in on at for with by from as is was were are be been it its his her that which who"
    )
)


@dataclass(frozen=True)
class Context:
    """A paragraph with questions; an empty answer means that it does not answer."""

    title: str
    text: str
    questions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RealText:
    """Everything real that the generator draws on."""

    paragraphs: tuple[tuple[str, str], ...]
    """(title, text)"""
    contexts: tuple[Context, ...]
    neighbours: Neighbours = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """Sentences of 30-160 characters, in order of appearance."""
        return [s for _, text in self.paragraphs for s in split_sentences(text) if 30 < len(s) < 160]

    @property
    def open_words(self) -> list[str]:
        """Lower-case words of 4-11 letters that occur at least four times."""
        counts = Counter(w for _, text in self.paragraphs for w in re.findall(r"(?<= )[a-z]{4,11}(?=[ .,])", text))
        return [word for word, n in counts.items() if n >= 4]


def read_real_text(folder: Path) -> RealText:
    """Read `general_text.jsonl.gz` and `train.jsonl.gz` of `folder`; only rows of `SOURCES` are used."""
    paragraphs = tuple((d["title"], _respaced(d["text"])) for d in _rows(folder / "general_text.jsonl.gz"))
    return RealText(paragraphs, tuple(read_contexts(folder / "train.jsonl.gz")))


def read_contexts(path: Path) -> list[Context]:
    """Contexts with all their short-answer questions, in order of appearance."""
    by_text: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for row in _rows(path):
        if row["source"] in SOURCES:
            answers = sorted((str(a["text"]) for a in row["answers"]), key=len)
            answer = " ".join(answers[0].split()) if answers else ""
            if len(answer.split()) <= MAX_ANSWER_WORDS:
                text = " ".join(row["context"].split())
                title = "" if re.search(r"_\d+$", row["title"]) else row["title"].replace("_", " ")
                by_text.setdefault(text, (title, []))[1].append((" ".join(row["question"].split()), answer))
    return [Context(title, text, tuple(questions)) for text, (title, questions) in by_text.items()]


def _respaced(text: str) -> str:
    """Undo the spacing of a tokenizer around brackets and possessives."""
    text = re.sub(r"(?<=\w)\( ", " (", " ".join(text.split()))
    return re.sub(r"(?<=\w)' (?=s\b)", "'", re.sub(r"(?<=\w)- (?=in\b|law\b)", "-", text))


def _rows(path: Path) -> Iterable[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def split_sentences(text: str) -> list[str]:
    """Sentences by full stop, question or exclamation mark before a capital letter."""
    return re.split(r"(?<=[.!?])(?<![ (][A-Z]\.)(?<!Dr\.)(?<!St\.)(?<!Mr\.)(?<!Jr\.)(?<!U\.S\.) (?=[A-Z])", text)


def questions_from(title: str, text: str, rng: random.Random) -> list[tuple[str, str]]:
    """Questions made by putting a question phrase in the place of a span, or a subject, of a sentence."""
    made = []
    born = re.search(rf"\(born ({_DATE})", text)
    if born and title:
        name = re.sub(r" \(.*", "", title)
        made.append((rng.choice((f"When was {name} born?", f"What is the date of birth of {name}?")), born[1]))
    for sentence in split_sentences(text):
        if not 6 <= len(sentence.split()) <= 45:
            continue
        plain = sentence.rstrip(".")
        if title:
            plain = _PRONOUN.sub(re.sub(r" \(.*", "", title), plain)
        subject = _SUBJECT.match(plain)
        if subject and plain == sentence.rstrip(".") and not subject[1].startswith("The "):
            rest = _clipped_after(subject[2], rng)
            made.append((f"{rng.choice(('Who', 'Who', 'What', 'Who or what'))} {rest}?", subject[1]))
        for pattern, phrases in _SPANS:
            for span in pattern.finditer(plain):
                if plain[: span.start()].count("(") > plain[: span.start()].count(")"):
                    continue
                question = _question(plain[: span.start()], rng.choice(phrases), plain[span.end() :], rng)
                answer = span[1].rstrip(".,")
                if answer in text and answer not in question and text.count(answer) == 1:
                    made.append((question, answer))
    return made


def _clipped_after(text: str, rng: random.Random) -> str:
    clauses = re.split(r"(?<=\w)(?:[,;] | and (?=[a-z]+ed\b))", text)
    kept = clauses[0]
    words = kept.split()
    return " ".join(words[: rng.randint(7, 12)])


def _question(before: str, phrase: str, after: str, rng: random.Random) -> str:
    if rng.random() < 0.6:
        before = re.split(r"[,;] ", before)[-1] if rng.random() < 0.5 else before
        after = _clipped_after(after, rng) if not after.startswith((",", ";")) else ""
    form = rng.random()
    inverted = _AUXILIARY.match(before)
    if inverted and form < 0.55:
        subject, auxiliary, rest = inverted[1].strip(), inverted[2], inverted[3].strip()
        return (
            _tidied(f"{phrase} {auxiliary} {subject} {rest} {after}")
            if phrase != "how many "
            else _tidied(f"{before}{phrase}{after}")
        )
    if form < 0.75 or phrase == "how many ":
        return _tidied(f"{before}{phrase}{after}")
    content = [w for w in re.findall(r"[\w'-]+", before + after) if w.lower() not in _STOPWORDS and rng.random() < 0.75]
    return _tidied(f"{phrase} {' '.join(content[:10])}")


def _tidied(question: str) -> str:
    question = re.sub(r"\s+", " ", question).strip(" ,;:-")
    return question[:1].upper() + question[1:] + "?"


def contexts_by_title(contexts: Sequence[Context]) -> dict[str, list[int]]:
    """Positions of the contexts of each article; untitled ones belong to no article."""
    positions: dict[str, list[int]] = {}
    for i, context in enumerate(contexts):
        if context.title:
            positions.setdefault(context.title, []).append(i)
    return positions
