import json

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage
from service.store.database import writing
from service.store.stages.answer_log import AnswerLog
from service.store.tables import answer_blocks

AB, CD, EF = ["a", "b"], ["c", "d"], ["e", "f"]


def answer(text: str) -> Answer:
    chunk = RetrievedChunk("d#0", "d", "Title", "Text \u2028 here", 0.5, used=False)
    return Answer(text, Usage(3, 2, 1, 0.25), FinishReason.LENGTH, (chunk,), "hash")


def answers(ids: list[str]) -> list[Answer]:
    return [answer(f"to {i}") for i in ids]


@pytest.fixture
def log(engine: Engine) -> AnswerLog:
    """A log of two blocks."""
    log = AnswerLog(engine, "stage")
    log.append(["a", "b"], [answer("1"), answer("zwei\r\nမင်္ဂလာပါ")], 1.5)
    log.append(["c"], [answer("3\x00")], 0.5)
    return log


def test_answers_read_back_equal(log: AnswerLog, engine: Engine) -> None:
    again = AnswerLog(engine, "stage")
    assert again.answers == log.answers
    assert again.answers == {"a": answer("1"), "b": answer("zwei\r\nမင်္ဂလာပါ"), "c": answer("3\x00")}
    assert again.wall_s == log.wall_s == 2.0


def test_half_characters_from_an_endpoint_are_kept(log: AnswerLog, engine: Engine) -> None:
    log.append(["d"], [answer("\ud83d")], 0.0)
    assert AnswerLog(engine, "stage").answers["d"].text == "\ud83d"


def test_stages_do_not_see_each_other(log: AnswerLog, engine: Engine) -> None:
    other = AnswerLog(engine, "other")
    assert other.answers == {}
    other.append(["a", "b"], answers(AB), 1.0)
    assert AnswerLog(engine, "stage").answers == log.answers


def test_a_block_is_one_row_with_its_seconds(log: AnswerLog, engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(select(answer_blocks.c.wall_s, answer_blocks.c.answers)).all()
    assert {wall_s: set(json.loads(text)) for wall_s, text in rows} == {1.5: {"a", "b"}, 0.5: {"c"}}


@pytest.mark.parametrize("damage", ["\x01\r", "", "[]", "3", '{"c": 3}', '{"c": {}}', "NaN", "[" * 100_000])
def test_a_damaged_block_costs_only_its_own_answers(log: AnswerLog, engine: Engine, damage: str) -> None:
    with writing(engine) as connection:
        connection.execute(update(answer_blocks).where(answer_blocks.c.wall_s == 0.5).values(answers=damage))
    again = AnswerLog(engine, "stage")
    assert set(again.answers) == {"a", "b"}
    assert again.wall_s == 1.5
    assert list(again.unanswered([["a", "b"], ["c"]])) == [["c"]]
    again.append(["c"], [answer("3")], 0.5)
    assert AnswerLog(engine, "stage").answers["c"] == answer("3")


def test_a_block_needs_an_answer_for_each_question(log: AnswerLog, engine: Engine) -> None:
    with pytest.raises(ValueError, match="shorter"):
        log.append(["x", "y"], [answer("1")], 0.0)
    assert set(AnswerLog(engine, "stage").answers) == {"a", "b", "c"}


def test_only_blocks_without_answers_are_drawn(engine: Engine) -> None:
    log = AnswerLog(engine, "stage")
    log.append(CD, answers(CD), 1.0)
    drawn = []
    for ids in log.unanswered([AB, CD, EF]):
        drawn.append(ids)
        log.append(ids, answers(list(ids)), 1.0)
    assert drawn == [AB, EF]
    assert set(log.answers) == {*AB, *CD, *EF}


def test_what_another_comparison_answered_meanwhile_is_not_asked_again(engine: Engine) -> None:
    first, second = AnswerLog(engine, "stage"), AnswerLog(engine, "stage")
    mine = first.unanswered([AB, CD, EF])
    assert next(mine) == AB
    second.append(CD, answers(CD), 2.0)
    first.append(AB, answers(AB), 1.0)
    assert next(mine) == EF
    first.append(EF, answers(EF), 3.0)
    assert list(mine) == []
    assert list(second.unanswered([AB, CD, EF])) == []
    assert first.answers == second.answers
    assert first.wall_s == second.wall_s == 6.0


def test_of_a_block_that_two_answered_the_first_commit_counts_for_both(engine: Engine) -> None:
    first, second = AnswerLog(engine, "stage"), AnswerLog(engine, "stage")
    first.append(AB, answers(AB), 1.0)
    with engine.connect() as connection:
        row = connection.execute(select(answer_blocks)).one()
    second.append(AB, [answer("late"), answer("later")], 9.0)
    assert second.answers == first.answers
    assert second.wall_s == 1.0
    with engine.connect() as connection:
        assert connection.execute(select(answer_blocks)).one() == row


def test_a_block_is_never_there_twice(log: AnswerLog, engine: Engine) -> None:
    with engine.connect() as connection:
        row = connection.execute(select(answer_blocks)).mappings().first()
    assert row is not None
    with pytest.raises(Exception, match="(?i)unique"), writing(engine) as connection:
        connection.execute(insert(answer_blocks).values(dict(row)))


def test_a_block_deleted_by_hand_is_asked_again(log: AnswerLog, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(delete(answer_blocks).where(answer_blocks.c.wall_s == 0.5))
    assert list(AnswerLog(engine, "stage").unanswered([["a", "b"], ["c"]])) == [["c"]]
