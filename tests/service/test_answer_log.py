import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from advisor.answer import Answer
from advisor.prompt import RetrievedChunk
from lm.completion import FinishReason, Usage
from service.answer_log import AnswerLog
from service.database import writing
from service.lease import Leases, LostLeaseError, release_all
from service.tables import answer_blocks

AB, CD, EF = ["a", "b"], ["c", "d"], ["e", "f"]


def answer(text: str) -> Answer:
    chunk = RetrievedChunk("d#0", "d", "Title", "Text \u2028 here", 0.5, used=False)
    return Answer(text, Usage(3, 2, 1, 0.25), FinishReason.LENGTH, (chunk,), "hash")


def answers(ids: list[str]) -> list[Answer]:
    return [answer(f"to {i}") for i in ids]


@pytest.fixture
def processes(engine: Engine) -> Iterator[Callable[[str], Leases]]:
    """Leases of a process by its name; a wait of any of them fails the test."""

    def never(pause_s: float) -> None:
        raise AssertionError("waited for a block")

    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Leases(engine, name, pause=never))


@pytest.fixture
def leases(processes: Callable[[str], Leases]) -> Leases:
    return processes("first")


@pytest.fixture
def log(leases: Leases) -> AnswerLog:
    """A log of two blocks."""
    log = AnswerLog(leases, "stage")
    log.append(["a", "b"], [answer("1"), answer("zwei\r\nမင်္ဂလာပါ")], 1.5)
    log.append(["c"], [answer("3\x00")], 0.5)
    return log


def test_answers_read_back_equal(log: AnswerLog, leases: Leases) -> None:
    again = AnswerLog(leases, "stage")
    assert again.answers == log.answers
    assert again.answers == {"a": answer("1"), "b": answer("zwei\r\nမင်္ဂလာပါ"), "c": answer("3\x00")}
    assert again.wall_s == log.wall_s == 2.0


def test_half_characters_from_an_endpoint_are_kept(log: AnswerLog, leases: Leases) -> None:
    log.append(["d"], [answer("\ud83d")], 0.0)
    assert AnswerLog(leases, "stage").answers["d"].text == "\ud83d"


def test_stages_do_not_see_each_other(log: AnswerLog, leases: Leases) -> None:
    other = AnswerLog(leases, "other")
    assert other.answers == {}
    other.append(["a", "b"], answers(AB), 1.0)
    assert AnswerLog(leases, "stage").answers == log.answers


def test_a_block_is_one_row_with_its_seconds(log: AnswerLog, engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(select(answer_blocks.c.wall_s, answer_blocks.c.answers)).all()
    assert {wall_s: set(json.loads(text)) for wall_s, text in rows} == {1.5: {"a", "b"}, 0.5: {"c"}}


@pytest.mark.parametrize("damage", ["\x01\r", "", "[]", "3", '{"c": 3}', '{"c": {}}', "NaN", "[" * 100_000])
def test_a_damaged_block_costs_only_its_own_answers(
    log: AnswerLog, leases: Leases, engine: Engine, damage: str
) -> None:
    with writing(engine) as connection:
        connection.execute(update(answer_blocks).where(answer_blocks.c.wall_s == 0.5).values(answers=damage))
    again = AnswerLog(leases, "stage")
    assert set(again.answers) == {"a", "b"}
    assert again.wall_s == 1.5
    assert list(again.unanswered([["a", "b"], ["c"]], wait=False)) == [["c"]]
    again.append(["c"], [answer("3")], 0.5)
    assert AnswerLog(leases, "stage").answers["c"] == answer("3")


def test_a_block_needs_an_answer_for_each_question(log: AnswerLog, leases: Leases) -> None:
    with pytest.raises(ValueError, match="shorter"):
        log.append(["x", "y"], [answer("1")], 0.0)
    assert set(AnswerLog(leases, "stage").answers) == {"a", "b", "c"}


def test_only_blocks_without_answers_are_drawn(leases: Leases) -> None:
    log = AnswerLog(leases, "stage")
    log.append(CD, answers(CD), 1.0)
    drawn = []
    for ids in log.unanswered([AB, CD, EF]):
        drawn.append(ids)
        log.append(ids, answers(list(ids)), 1.0)
    assert drawn == [AB, EF]
    assert set(log.answers) == {*AB, *CD, *EF}


def test_two_processes_draw_different_blocks_and_both_end_with_all_answers(
    processes: Callable[[str], Leases],
) -> None:
    first, second = (AnswerLog(processes(name), "stage") for name in ("first", "second"))
    blocks = [AB, CD, EF]
    mine, theirs = first.unanswered(blocks), second.unanswered(blocks)
    assert next(mine) == AB
    assert next(theirs) == CD
    second.append(CD, answers(CD), 2.0)
    assert next(theirs) == EF
    first.append(AB, answers(AB), 1.0)
    second.append(EF, answers(EF), 3.0)
    assert list(mine) == list(theirs) == []
    assert first.answers == second.answers
    assert first.wall_s == second.wall_s == 6.0


def test_without_waiting_the_blocks_of_others_are_left(processes: Callable[[str], Leases]) -> None:
    first, second = (AnswerLog(processes(name), "stage") for name in ("first", "second"))
    drawn = first.unanswered([AB, CD])
    assert next(drawn) == AB
    assert [list(ids) for ids in second.unanswered([AB, CD], wait=False)] == [CD]


def test_a_block_that_was_drawn_but_not_answered_is_free_again(processes: Callable[[str], Leases]) -> None:
    first, second = (AnswerLog(processes(name), "stage") for name in ("first", "second"))
    drawn = first.unanswered([AB])
    assert next(drawn) == AB
    drawn.close()
    assert next(second.unanswered([AB])) == AB


def test_who_waits_for_a_block_gets_its_answers(engine: Engine, processes: Callable[[str], Leases]) -> None:
    first = AnswerLog(processes("first"), "stage")
    drawn = first.unanswered([AB])
    assert next(drawn) == AB

    def answer_meanwhile(pause_s: float) -> None:
        first.append(AB, answers(AB), 1.0)

    with Leases(engine, "second", pause=answer_meanwhile) as leases:
        second = AnswerLog(leases, "stage")
        assert list(second.unanswered([AB])) == []
        assert second.answers == first.answers


def test_who_waits_for_a_dead_process_takes_its_block(engine: Engine, processes: Callable[[str], Leases]) -> None:
    dead = AnswerLog(processes("dead"), "stage").unanswered([AB])
    assert next(dead) == AB

    def runs_out(pause_s: float) -> None:
        release_all(engine, "dead")

    with Leases(engine, "second", pause=runs_out) as leases:
        assert next(AnswerLog(leases, "stage").unanswered([AB])) == AB


def test_a_process_woken_after_its_block_was_taken_over_writes_nothing(
    engine: Engine, processes: Callable[[str], Leases]
) -> None:
    frozen, quick = (AnswerLog(processes(name), "stage") for name in ("frozen", "quick"))
    drawn = frozen.unanswered([AB])
    assert next(drawn) == AB
    release_all(engine, "frozen")
    assert next(taken := quick.unanswered([AB])) == AB
    with pytest.raises(LostLeaseError):
        frozen.append(AB, answers(AB), 100.0)
    quick.append(AB, answers(AB), 1.0)
    assert list(taken) == []
    with pytest.raises(LostLeaseError):
        frozen.append(AB, answers(AB), 100.0)
    with engine.connect() as connection:
        assert connection.execute(select(answer_blocks.c.wall_s)).scalars().all() == [1.0]


def test_of_a_block_that_nobody_drew_the_first_answers_count(processes: Callable[[str], Leases]) -> None:
    first, second = (AnswerLog(processes(name), "stage") for name in ("first", "second"))
    first.append(AB, answers(AB), 1.0)
    second.append(AB, [answer("late"), answer("later")], 9.0)
    assert second.answers == first.answers
    assert second.wall_s == 1.0


def test_a_block_is_never_there_twice(log: AnswerLog, engine: Engine) -> None:
    with engine.connect() as connection:
        row = connection.execute(select(answer_blocks)).mappings().first()
    assert row is not None
    with pytest.raises(Exception, match="(?i)unique"), writing(engine) as connection:
        connection.execute(insert(answer_blocks).values(dict(row)))


def test_a_block_deleted_by_hand_is_asked_again(log: AnswerLog, leases: Leases, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(delete(answer_blocks).where(answer_blocks.c.wall_s == 0.5))
    assert list(AnswerLog(leases, "stage").unanswered([["a", "b"], ["c"]], wait=False)) == [["c"]]
