import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.data.prompt import RetrievedChunk
from advisor.errors import EvaluationError
from advisor.evidence.records import read_record, read_records, read_scored_answers, record_line
from advisor.evidence.scored_answers import ScoredAnswers, scored_answers
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord, SeedAnswer
from advisor.results.plain_data import from_json
from advisor.results.score import Score
from lm.completion import FinishReason, Usage

numbers = st.floats(allow_nan=False, allow_infinity=False)
chunks = st.builds(RetrievedChunk, st.text(), st.text(), st.text(), st.text(), numbers, st.booleans())
answers = st.builds(
    Answer,
    st.text(),
    st.builds(Usage, st.integers(), st.integers(), st.integers(), numbers),
    st.sampled_from(FinishReason),
    st.lists(chunks, max_size=2).map(tuple),
    st.text(),
)
question_records = st.builds(
    QuestionRecord,
    st.text(),
    st.text(),
    st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
    st.lists(st.text(), max_size=3).map(tuple),
    st.sampled_from(Slice),
    st.text(),
    st.text(),
    answers,
    st.dictionaries(st.text(), st.builds(Score, st.none() | numbers, st.text()), max_size=3),
    st.text(),
)


@given(question_records)
def test_any_record_comes_back_equal_from_one_line(record):
    line = record_line(record)

    assert read_record(line) == record
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


def test_a_file_of_records_comes_back_in_order(records):
    text = "".join(record_line(record) + "\n" for record in records[:70]) + "\n"

    assert read_records(io.StringIO(text, newline="\n")) == records[:70]


def test_scripts_stay_readable_in_the_file(records):
    assert any("စက်ကို" in record_line(record) for record in records)


def test_a_line_cut_off_by_an_interruption_is_named(records):
    lines = [record_line(records[0]), record_line(records[1])[:200]]

    with pytest.raises(EvaluationError, match=r"^results.jsonl, line 2: the line is cut off.*Delete the line"):
        read_records(lines)


def test_a_line_without_a_field_is_named(records):
    line = record_line(records[0]).replace('"cluster"', '"clutter"')

    with pytest.raises(EvaluationError, match=r"^line 9: cluster is missing\. Delete"):
        read_record(line, "line 9")


def test_a_line_that_is_no_object_is_named():
    with pytest.raises(EvaluationError, match="the content is list, expected an object"):
        read_record("[]")


def without_reader(line: str) -> Any:
    """What the standard library makes of a line: its value, or that it refuses it."""
    try:
        return json.loads(line)
    except ValueError as error:
        return f"refused: {error}"


def of_reader(line: str | bytes) -> Any:
    try:
        return from_json(line)
    except ValueError as error:
        return f"refused: {error}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def types_of(value: Any) -> Any:
    """The value with its types: 1, 1.0 and true are equal to Python, and NaN is not even equal to itself."""
    if isinstance(value, dict):
        return {key: types_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [types_of(item) for item in value]
    return type(value), repr(value)


@given(json_values, st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert types_of(of_reader(text)) == types_of(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "18446744073709551616",
            "-9223372036854775809",
            "[123456789012345678901234567890]",
            "1e400",
            "-0.0",
            "5e-324",
        ),
        *('"\\ud800"', '"\\ud83d\\ude00"', "NaN", "[-Infinity]", '{"a": 1, "a": 2}', '"\\u0000"', '"\u2028"', "0.1e1"),
        *("", "01", "1.", "[1,]", "{", '"\x01"', "\ufeff1", "nul", "[1] 2", "'a'"),
    ],
)
def test_odd_json_is_read_or_refused_as_by_the_standard_library(text):
    expected = types_of(without_reader(text))

    assert types_of(of_reader(text)) == expected
    if not text.startswith("\ufeff"):
        assert types_of(of_reader(text.encode())) == expected


METRIC = "exact_match"
said = st.sampled_from(["Paris", "I don't know.", "unknown", "စက်ကို", "Sorry, I do not know"]) | st.text(max_size=8)
seed_scores = st.dictionaries(st.sampled_from([METRIC, "token_f1"]), st.builds(Score, st.none() | numbers), max_size=2)


def answered(text: str) -> Answer:
    return Answer(text, Usage(), FinishReason.STOP, (), "")


@st.composite
def arms(draw: st.DrawFn) -> list[QuestionRecord]:
    """Records of one arm: of one training, or of several that every question has, in any order."""
    seeds = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=3, unique=True) | st.none())
    records = []
    for i in range(draw(st.integers(1, 5))):
        order = draw(st.permutations(seeds)) if seeds else [None]
        own, *others = [(seed, draw(said), draw(seed_scores)) for seed in order]
        records.append(
            QuestionRecord(
                "rag", f"q{i}", draw(st.text(max_size=5)), tuple(draw(st.lists(said, max_size=2))), (),
                draw(st.sampled_from(Slice)), draw(st.text(max_size=3)), draw(st.text(max_size=3)),
                answered(own[1]), own[2], "",
                own[0], tuple(SeedAnswer(seed, answered(text), scores) for seed, text, scores in others),
            )
        )  # fmt: skip
    return records


def assert_same_columns(ours: ScoredAnswers, theirs: ScoredAnswers) -> None:
    for mine, other in ((ours.values, theirs.values), (ours.declined, theirs.declined), (ours.applies, theirs.applies)):
        assert mine.dtype == other.dtype
        assert np.array_equal(mine, other, equal_nan=mine.dtype == np.float64)
    assert (ours.slices, ours.groups, ours.clusters) == (theirs.slices, theirs.groups, theirs.clusters)


def as_file(records: Sequence[QuestionRecord]) -> bytes:
    return "".join(record_line(record) + "\n" for record in records).encode()


@given(arms(), arms())
def test_the_columns_of_a_file_are_those_of_its_records(first, second):
    second = [replace(record, arm="base") for record in second]

    columns = read_scored_answers(as_file([*first, *second]), METRIC)

    assert list(columns) == ["rag", "base"]
    assert_same_columns(columns["rag"], scored_answers(first, METRIC))
    assert_same_columns(columns["base"], scored_answers(second, METRIC))


def test_columns_of_a_damaged_file_are_refused_by_line(records):
    good = as_file(records[:2])

    with pytest.raises(EvaluationError, match=r"^results.jsonl, line 3: the line is cut off"):
        read_scored_answers(good + as_file(records[2:3])[:200], METRIC)
    with pytest.raises(EvaluationError, match=r"^results.jsonl, line 3: cluster is missing"):
        read_scored_answers(good + as_file(records[2:3]).replace(b'"cluster"', b'"clutter"'), METRIC)


def test_a_question_without_an_answer_of_a_seed_is_named():
    def one(i: int, seeds: Sequence[int]) -> QuestionRecord:
        others = tuple(SeedAnswer(seed, answered("x"), {}) for seed in seeds[1:])
        return QuestionRecord(
            "tuned", f"q{i}", "", (), (), Slice.NEW_CASE, "g", "c", answered("x"), {}, "", seeds[0], others
        )

    records = [one(0, [1, 2]), one(1, [1])]
    for read in (lambda: read_scored_answers(as_file(records), METRIC), lambda: scored_answers(records, METRIC)):
        with pytest.raises(EvaluationError, match="tuned has no answer of training seed 2 to q1"):
            read()
