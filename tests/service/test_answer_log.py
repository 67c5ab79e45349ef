import json
from pathlib import Path

import pytest

from advisor.answer import Answer, RetrievedChunk
from lm.completion import FinishReason, Usage
from service.answer_log import AnswerLog


def answer(text: str) -> Answer:
    chunk = RetrievedChunk("d#0", "d", "Title", "Text \u2028 here", 0.5, used=False)
    return Answer(text, Usage(3, 2, 1, 0.25), FinishReason.LENGTH, (chunk,), "hash")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of two blocks."""
    path = tmp_path / "log.jsonl"
    log = AnswerLog(path)
    log.append(["a", "b"], [answer("1"), answer("zwei\r\nမင်္ဂလာပါ")], 1.5)
    log.append(["c"], [answer("3")], 0.5)
    return path


def test_answers_read_back_equal(path: Path) -> None:
    log = AnswerLog(path)
    assert log.answers == {"a": answer("1"), "b": answer("zwei\r\nမင်္ဂလာပါ"), "c": answer("3")}
    assert log.wall_s == 2.0


def test_half_characters_from_an_endpoint_are_kept(path: Path) -> None:
    AnswerLog(path).append(["d"], [answer("\ud83d")], 0.0)
    assert AnswerLog(path).answers["d"].text == "\ud83d"


def test_a_torn_last_line_is_dropped_and_the_next_block_starts_on_a_line_of_its_own(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 3])
    log = AnswerLog(path)
    assert set(log.answers) == {"a", "b", "c"}
    assert path.read_bytes() == whole
    log.append(["d"], [answer("4")], 1.0)
    assert set(AnswerLog(path).answers) == {"a", "b", "c", "d"}


def test_every_torn_length_keeps_the_whole_lines_before(path: Path) -> None:
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        assert set(AnswerLog(path).answers) == ({"a", "b"} if length >= first else set())


@pytest.mark.parametrize(
    "damage",
    [b"\x00\x01\r\xff", b"[]", b"{}", b'{"answers": {"a": 3}, "wall_s": 1}', b'{"answers": [], "wall_s": 1}', b"NaN"],
)
def test_a_damaged_line_costs_only_its_own_answers(path: Path, damage: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(damage + b"\n" + lines[1])
    assert set(AnswerLog(path).answers) == {"c"}
    assert path.read_bytes() == lines[1]


def test_a_line_is_one_json_object_with_the_seconds_of_its_block(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [row["wall_s"] for row in rows] == [1.5, 0.5]


def test_a_block_needs_an_answer_for_each_question(path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        AnswerLog(path).append(["x", "y"], [answer("1")], 0.0)
    assert set(AnswerLog(path).answers) == {"a", "b", "c"}
