import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lm.pocket.attributes import AttributeSource, participle, read_attributes
from lm.pocket.clauses import ClauseSource
from lm.pocket.conversations import ConversationSource
from lm.pocket.documents import DocumentSource
from lm.pocket.held_out import WRITTEN, HeldOutSource
from lm.pocket.passages import ABSTENTION, capitalised
from lm.pocket.real_text import RealText, read_real_text
from lm.pocket.tasks import Turn
from lm.pocket.values import KINDS_OF_VALUE, Values
from lm.pocket.vocabulary import THEMES

WORDS = ("anchor", "bucket", "carpet", "painted", "restored", "visited")


@pytest.fixture(scope="module")
def real(text_folder: Path) -> RealText:
    return read_real_text(text_folder)


def _documents(seed: int) -> DocumentSource:
    rng = random.Random(seed)
    values = Values(rng, WORDS)
    attributes = AttributeSource(rng, values, ClauseSource(rng, values, WORDS).attribute, read_attributes())
    return DocumentSource(rng, values, attributes, ["The river is quiet at this time of the year."])


def _prompt_of(turns: list[Turn]) -> str:
    return max((text for role, text in turns if role == "user"), key=len)


def test_equal_seeds_give_equal_conversations(real: RealText) -> None:
    one, two = ConversationSource(7, real), ConversationSource(7, real)
    for stage in (0, 1, 2):
        assert [one.conversation(stage, 150) for _ in range(40)] == [two.conversation(stage, 150) for _ in range(40)]


def test_other_seeds_give_other_conversations(real: RealText) -> None:
    assert ConversationSource(7, real).conversation(1, 150) != ConversationSource(8, real).conversation(1, 150)


def test_turns_alternate_and_end_with_the_assistant(real: RealText) -> None:
    source = ConversationSource(1, real)
    for _ in range(200):
        roles = [role for role, _ in source.conversation(1, 150) if role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


@pytest.mark.parametrize("kind", ["invented", "context", "paragraph"])
def test_reading_answers_stand_literally_in_the_passages(real: RealText, kind: str) -> None:
    source = ConversationSource(3, real)
    draw = {
        "invented": lambda: source.invented_reading(3, 60),
        "context": lambda: source.context_reading(2),
        "paragraph": lambda: source.paragraph_reading(2),
    }[kind]
    for _ in range(150):
        turns = draw()
        for role, answer in turns:
            if role == "assistant" and answer != ABSTENTION:
                assert answer in _prompt_of(turns) or capitalised(answer) in _prompt_of(turns)


def test_about_one_reading_question_in_five_is_unanswerable(real: RealText) -> None:
    source = ConversationSource(4, real)
    answers = [text for _ in range(600) for role, text in source.invented_reading(3, 60) if role == "assistant"]
    assert 0.16 < sum(answer == ABSTENTION for answer in answers) / len(answers) < 0.26


def test_unanswerable_questions_ask_what_no_passage_states() -> None:
    documents = _documents(5)
    for _ in range(300):
        passages = documents.family(3, 60)
        stated = {fact.about for passage in passages for fact in passage.facts}
        assert not stated & {fact.about for passage in passages for fact in passage.absent}


def test_a_question_has_one_answer_in_its_context() -> None:
    documents = _documents(6)
    for _ in range(300):
        abouts = [fact.about for passage in documents.family(4, 60) for fact in passage.facts]
        assert len(abouts) == len(set(abouts))


def test_family_members_share_attributes_with_other_values() -> None:
    documents = _documents(9)
    shared = 0
    for _ in range(100):
        first, second = documents.family(2, 90)
        shared += bool({f.about[1] for f in first.facts} & {f.about[1] for f in second.facts})
    assert shared > 30


def test_every_kind_of_value_can_be_drawn() -> None:
    values = Values(random.Random(0), WORDS)
    assert all(values.value(kind) for kind in KINDS_OF_VALUE for _ in range(30))


def test_written_attribute_lines_name_known_kinds_and_their_value() -> None:
    attributes = read_attributes()
    assert len(attributes) > 200
    for attribute in attributes:
        assert attribute.kind in KINDS_OF_VALUE
        assert all(("{v}" in statement) for statement in attribute.statements), attribute
        assert all(("{e}" in question) == bool(attribute.nouns) for question in attribute.questions), attribute


@pytest.mark.parametrize(
    ("verb", "expected"),
    [("take out", "taken out"), ("replace", "replaced"), ("dry", "dried"), ("keep", "kept"), ("plug in", "plugged in")],
)
def test_participles(verb: str, expected: str) -> None:
    assert participle(verb) == expected


def test_records_are_json_of_values_in_the_text(real: RealText) -> None:
    source = ConversationSource(2, real)
    turns = source.tasks.records(20)
    for (_, prompt), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
        for value in json.loads(answer).values():
            assert value is None or value in prompt or capitalised(value) in prompt


def test_records_hold_null_for_what_their_text_does_not_state(real: RealText) -> None:
    tasks = ConversationSource(2, real).tasks
    turns = [turn for _ in range(10) for turn in tasks.records(8)]
    records = [json.loads(text) for role, text in turns if role == "assistant"]
    with_null = [record for record in records if None in record.values()]
    assert 0 < len(with_null) < len(records)
    assert any(len(record) >= 5 for record in records)


def test_no_phrase_of_a_theme_is_said_again_before_all_are(real: RealText) -> None:
    tasks = ConversationSource(2, real).tasks
    unsaid: list[str] = []
    said = [tasks._next(unsaid, ["rain", "snow", "fog"]) for _ in range(6)]
    assert sorted(said[:3]) == sorted(said[3:]) == ["fog", "rain", "snow"]


def test_no_phrase_belongs_to_two_themes() -> None:
    phrases = [phrase for listed in THEMES.values() for phrase in listed]
    assert len(phrases) == len(set(phrases))


def test_held_out_themes_are_not_trained_on() -> None:
    held_out = json.loads(WRITTEN.read_text(encoding="utf-8"))["themes"]
    assert not set(THEMES) & set(held_out)
    assert not {p for listed in THEMES.values() for p in listed} & {p for listed in held_out.values() for p in listed}


def test_label_answers_are_offered_or_shown_among_the_first_messages(real: RealText) -> None:
    source = ConversationSource(2, real)
    n_only_shown = 0
    for _ in range(80):
        turns = source.tasks.labels(20)
        answers = [text for role, text in turns if role == "assistant"]
        if not all(answer in turns[0][1] for answer in answers):
            n_only_shown += 1
            assert set(answers[: len(set(answers))]) == set(answers)
    assert 5 < n_only_shown < 40


def test_open_themes_are_made_of_neighbours_and_share_no_word(real: RealText) -> None:
    neighbours = {f"word{i}": tuple(f"word{i + k}" for k in (1, 2, 3)) for i in range(40)}
    source = ConversationSource(2, replace(real, neighbours=neighbours))
    themes = source.tasks._open_themes(6)
    words = [word for theme, close in themes.items() for word in (theme, *close)]
    assert len(words) == len(set(words)) > 7
    assert all(set(close) <= set(neighbours[theme]) for theme, close in themes.items())


def test_an_open_name_may_be_asked_for_by_a_neighbour() -> None:
    values = Values(random.Random(1), ("price",), {"price": ("cost",)})
    clauses = ClauseSource(values.rng, values, WORDS)
    attributes = AttributeSource(values.rng, values, clauses.attribute, read_attributes())
    names = [attribute.nouns for _ in range(60) if "price" in (attribute := attributes._open_noun()).nouns]
    assert any("cost" in nouns for nouns in names)


def test_a_lineup_answers_every_filled_cell_and_no_empty_one() -> None:
    documents = _documents(3)
    n_empty = 0
    for _ in range(200):
        things = ["the Rolm fan", "the Rolm fan Mini", "the Rolm fan Pro"]
        page = documents.pages.lineup(things, [documents.attributes.of_thing() for _ in range(3)], 60)
        assert all(fact.answer in page.text for fact in page.facts)
        assert all(fact.answer == ABSTENTION for fact in page.withheld)
        n_empty += len(page.withheld)
    assert n_empty > 20


def test_twins_follow_the_conversation_whose_answers_were_withheld(real: RealText) -> None:
    source = ConversationSource(5, real)
    for _ in range(200):
        n_before = len(source._twins)
        turns = source.invented_reading(1, 60)
        if len(source._twins) > n_before:
            given = [text for role, text in turns if role == "assistant"]
            given_by_twin = [text for role, text in source._twins[-1] if role == "assistant"]
            assert ABSTENTION in given
            assert set(given_by_twin) - set(given)
            return
    pytest.fail("no twin was made")


def test_held_out_attributes_and_wordings_are_not_trained_on() -> None:
    trained = read_attributes()
    held_out = HeldOutSource(0).attributes
    assert not {n for a in trained for n in a.nouns} & {n for a in held_out for n in a.nouns}
    assert not {q for a in trained for q in a.questions} & {q for a in held_out for q in a.questions}
    assert not {s for a in trained for s in a.statements} & {s for a in held_out for s in a.statements}
