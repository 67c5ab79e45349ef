# ruff: noqa: SIM905 - lists of words are easier to read and to extend as text
import random
import re

import pytest

from lm.pocket import clauses
from lm.pocket.clauses import ClauseSource, noun_forms, read_frames, verb_forms
from lm.pocket.values import KINDS_OF_VALUE, Values

_WORDS = "memory engine winner outcome method burden journey shelter reason market season theory".split()
_NEIGHBOURS = {
    "lantern": ("lamp", "torches"),
    "memory": ("recall",),
    "painted": ("varnished", "drawn"),
    "fade": ("wither",),
}

_REQUESTS = ("Tell me ", "Please tell me ", "I wonder ", "I would like to know ")


def _source(seed: int = 0) -> ClauseSource:
    return ClauseSource(random.Random(seed), Values(random.Random(seed), _WORDS, _NEIGHBOURS), _WORDS)


@pytest.mark.parametrize("frame", read_frames(), ids=lambda frame: "".join(map(str, frame.nouns[0])))
def test_every_frame_fills_for_every_kind(frame: clauses.Frame) -> None:
    source = _source()
    for kind in frame.kinds:
        for _ in range(5):
            attribute = source.filled(frame, kind)
            assert attribute.kind == kind
            assert 1 <= len(set(attribute.nouns)) <= 2
            assert 2 <= len(attribute.statements) <= 4
            assert 3 <= len(attribute.questions) <= 6
            for text in (*attribute.nouns, *attribute.statements, *attribute.questions):
                assert set(re.findall(r"\{.*?\}", text)) <= {"{e}", "{E}", "{v}"}
                assert "  " not in text
                assert text == text.strip()
            for statement in attribute.statements:
                assert (statement.count("{e}"), statement.count("{v}"), statement.count("{E}")) == (1, 1, 0)
                assert statement[0] == "{" or statement[0].isupper()
                assert not statement.endswith(".")
            for question in attribute.questions:
                assert "{v}" not in question
                assert "{e}" in question or question.startswith("{E}")
                assert question.startswith("{E}") or question[0].isupper()
                assert question.endswith("." if question.startswith(_REQUESTS) else "?")


def test_there_are_many_frames_and_each_kind_has_some() -> None:
    frames = read_frames()
    assert len(frames) >= 70
    assert all(sum(kind in frame.kinds for frame in frames) >= 3 for kind in KINDS_OF_VALUE)


def test_equal_seeds_draw_equally() -> None:
    one, other = _source(7), _source(7)
    assert [one.attribute() for _ in range(200)] == [other.attribute() for _ in range(200)]


def test_questions_share_a_word_with_every_statement_or_have_a_neighbour_of_one() -> None:
    """Without neighbours, every question has a content word in some form that the statements have too."""
    source = ClauseSource(random.Random(1), Values(random.Random(1), _WORDS), _WORDS)
    function_words = set(
        "the a an of to by is was for on at in and who what which when where how does do did has have be been with "
        "its it your i must may can many much that {e} {v} {e}'s".split()
    )
    for _ in range(300):
        attribute = source.attribute()
        for question in attribute.questions:
            asked = {_stem(word) for word in re.findall(r"[a-z{}']+", question.lower()) if word not in function_words}
            for statement in attribute.statements:
                said = {_stem(word) for word in re.findall(r"[a-z{}']+", statement.lower())}
                assert asked & said, (question, statement)


def _stem(word: str) -> str:
    for table in clauses.VERBS.values():
        for base, forms in table.items():
            if word in forms.values():
                return base[:5]
    return clauses._SINGULAR_OF.get(word, word)[:5]  # regular and invented words differ at their end only


def test_a_question_may_use_a_neighbour_of_the_verb_in_the_right_form() -> None:
    source = _source()
    frame = next(f for f in source.frames if f.kinds == ("person", "organisation"))
    for _ in range(4000):
        attribute = source.filled(frame, "person")
        if "painting" in attribute.nouns[0] and any(" varnished?" in question for question in attribute.questions):
            return
    pytest.fail("no neighbour was ever drawn")


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("stay", "stays stayed stayed staying"),
        ("carry", "carries carried carried carrying"),
        ("trim", "trims trimmed trimmed trimming"),
        ("pour", "pours poured poured pouring"),
        ("fix", "fixes fixed fixed fixing"),
        ("bake", "bakes baked baked baking"),
        ("dye", "dyes dyed dyed dyeing"),
        ("tie", "ties tied tied tying"),
        ("echo", "echoes echoed echoed echoing"),
        ("deliver", "delivers delivered delivered delivering"),
        ("keep", "keeps kept kept keeping"),
        ("swim", "swims swam swum swimming"),
        ("write", "writes wrote written writing"),
        ("control", "controls controlled controlled controlling"),
        ("forget", "forgets forgot forgotten forgetting"),
    ],
)
def test_verbs(base: str, forms: str) -> None:
    known = next((table[base] for table in clauses.VERBS.values() if base in table), None) or verb_forms(base)
    assert [known[mark] for mark in "sdng"] == forms.split()


def test_pasts_among_the_words_of_prose_give_verbs() -> None:
    words = "adopt adopted classify classified need needed hundred plot plotted second seconded bake baked".split()
    assert {base: forms["g"] for base, forms in clauses.open_verbs(words).items()} == {
        "adopt": "adopting",
        "classify": "classifying",
        "plot": "plotting",
        "bake": "baking",
    }


def test_nouns() -> None:
    assert [noun_forms(noun)["p"] for noun in ("ferry", "key", "torch", "lamp")] == [
        "ferries",
        "keys",
        "torches",
        "lamps",
    ]
    assert clauses.NOUNS["knife"]["p"] == "knives"
    assert len(clauses.NOUNS) > 450
    assert len(set().union(*clauses.VERBS.values())) >= 240
