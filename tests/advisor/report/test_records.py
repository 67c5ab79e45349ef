import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.answer import Answer, RetrievedChunk
from advisor.comparison import QuestionRecord
from advisor.dataset import Slice
from advisor.errors import EvaluationError
from advisor.report.records import read_record, read_records, record_line
from advisor.score import Score
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
