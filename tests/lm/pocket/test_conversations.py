import random
from pathlib import Path

import pytest

from lm.pocket.attributes import AttributeSource, participle, read_attributes
from lm.pocket.conversations import ConversationSource
from lm.pocket.documents import DocumentSource
from lm.pocket.held_out import HeldOutSource
from lm.pocket.passages import ABSTENTION, capitalised
from lm.pocket.real_text import RealText, read_real_text
from lm.pocket.tasks import Turn
from lm.pocket.values import KINDS_OF_VALUE, Values

WORDS = ("anchor", "bucket", "carpet", "painted", "restored", "visited")


@pytest.fixture(scope="module")
def real(text_folder: Path) -> RealText:
    return read_real_text(text_folder)


def _documents(seed: int) -> DocumentSource:
    rng = random.Random(seed)
    values = Values(rng, WORDS)
    attributes = AttributeSource(rng, values, WORDS[3:], read_attributes())
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


def test_about_one_reading_question_in_seven_is_unanswerable(real: RealText) -> None:
    source = ConversationSource(4, real)
    answers = [text for _ in range(600) for role, text in source.invented_reading(3, 60) if role == "assistant"]
    assert 0.10 < sum(answer == ABSTENTION for answer in answers) / len(answers) < 0.18


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
    import json

    source = ConversationSource(2, real)
    turns = source.tasks.records(20)
    for (_, prompt), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
        for value in json.loads(answer).values():
            assert value in prompt or capitalised(value) in prompt


def test_label_answers_are_among_the_labels_offered(real: RealText) -> None:
    source = ConversationSource(2, real)
    for _ in range(50):
        turns = source.tasks.labels(6)
        assert all(answer in turns[0][1] for role, answer in turns if role == "assistant")


def test_held_out_attributes_and_wordings_are_not_trained_on() -> None:
    trained = read_attributes()
    held_out = HeldOutSource(0).attributes
    assert not {n for a in trained for n in a.nouns} & {n for a in held_out for n in a.nouns}
    assert not {q for a in trained for q in a.questions} & {q for a in held_out for q in a.questions}
    assert not {s for a in trained for s in a.statements} & {s for a in held_out for s in a.statements}
