from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.evidence.records import record_line
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.plain_data import to_plain
from advisor.results.score import Score
from lm.completion import FinishReason, Usage
from service.store.reports.loaded_results import load_results
from service.store.reports.question_grid import GridFilter, question_page
from service.store.reports.results import ResultFilter, finished_results

ARMS = ("base", "rag", "hybrid")
texts = st.sampled_from(["", "Paris", "PARIS is it", "\n", "a\nb", "စက်ကို", "x" * 200 + "far", "İstanbul"])
kinds = st.sampled_from(["", "", "misread", "made up"])


@st.composite
def comparisons(draw: st.DrawFn) -> list[QuestionRecord]:
    """Some questions to some arms; after a race not all of them were asked of each."""
    records = []
    for i in range(draw(st.integers(0, 4))):
        question, references = draw(texts), tuple(draw(st.lists(texts, max_size=2)))
        for arm in ARMS:
            if draw(st.integers(0, 4)):
                answer = Answer(draw(texts), Usage(), FinishReason.STOP, (), "")
                scores = {"token_f1": Score(draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])))}
                records.append(
                    QuestionRecord(
                        arm, f"q{i}", question, references, (), draw(st.sampled_from(Slice)), "g", "c", answer,
                        scores if draw(st.integers(0, 4)) else {}, draw(kinds),
                    )
                )  # fmt: skip
    return records


def as_file(records: list[QuestionRecord]) -> bytes:
    return "".join(record_line(record) + "\n" for record in records).encode()


def counted(records: list[QuestionRecord], arm: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        if record.failure and arm in (None, record.arm):
            found[record.failure] = found.get(record.failure, 0) + 1
    return found


result_filters = st.builds(
    ResultFilter,
    st.none() | st.sampled_from(ARMS), st.none() | kinds, st.none() | st.sampled_from(["q0", "q1", "q9"]),
    st.none() | texts,
)  # fmt: skip


@given(comparisons(), result_filters, st.integers(0, 3))
def test_results_are_those_that_fulfil_the_filter_in_file_order(
    records: list[QuestionRecord], wanted: ResultFilter, offset: int
) -> None:
    expected: list[Mapping[str, Any]] = [
        to_plain(record)
        for record in records
        if wanted.arm in (None, record.arm)
        and wanted.failure in (None, record.failure)
        and wanted.example_id in (None, record.example_id)
        and (wanted.contains or "").casefold() in f"{record.question}\n{record.answer.text}".casefold()
    ]
    found = finished_results(load_results(as_file(records), "token_f1"), wanted, limit=2, offset=offset)
    assert found.rows == expected[offset : offset + 2]
    assert found.total == len(expected)
    assert found.arms == list(dict.fromkeys(record.arm for record in records))
    assert found.failures == counted(records, wanted.arm)


grid_filters = st.builds(
    GridFilter,
    st.none() | st.sampled_from(ARMS), st.none() | st.sampled_from(["any", "misread"]),
    st.none() | st.sampled_from([str(part) for part in Slice]), st.none() | texts, st.booleans(),
)  # fmt: skip


@given(comparisons(), grid_filters, st.integers(0, 2))
def test_questions_are_those_that_fulfil_the_filter_in_file_order(
    records: list[QuestionRecord], wanted: GridFilter, offset: int
) -> None:
    by_question: dict[str, list[QuestionRecord]] = {}
    for record in records:
        by_question.setdefault(record.example_id, []).append(record)

    def fulfils(rows: list[QuestionRecord]) -> bool:
        scores = {row.scores["token_f1"].value if "token_f1" in row.scores else None for row in rows}
        failures = [row.failure for row in rows if row.failure and wanted.arm in (None, row.arm)]
        said = [rows[0].question, *rows[0].references]
        said += [row.answer.text if len(row.answer.text) <= 160 else row.answer.text[:159] + "…" for row in rows]
        return (
            wanted.slice in (None, rows[0].slice)
            and (not wanted.differing or len(scores) > 1)
            and (wanted.failure is None or (bool(failures) if wanted.failure == "any" else wanted.failure in failures))
            and any((wanted.contains or "").casefold() in text.casefold() for text in said)
        )

    expected = [example_id for example_id, rows in by_question.items() if fulfils(rows)]
    page = question_page(load_results(as_file(records), "token_f1"), wanted, limit=2, offset=offset)
    assert [row.example_id for row in page.items] == expected[offset : offset + 2]
    assert page.total == len(expected)
    assert page.failures == counted(records, wanted.arm)
    assert list(page.arms) == list(dict.fromkeys(record.arm for record in records))


@given(comparisons(), comparisons())
def test_what_changed_is_what_an_arm_of_both_is_scored_otherwise_for(
    now: list[QuestionRecord], before: list[QuestionRecord]
) -> None:
    loaded, held = (load_results(as_file(records), "token_f1") for records in (now, before))
    was = {row.example_id: row for row in held.rows}
    expected = {}
    for row in loaded.rows:
        if row.example_id in was and was[row.example_id].question == row.question:
            scores = was[row.example_id].scores
            earlier = {arm: scores[arm] for arm in scores if arm in row.scores and scores[arm] != row.scores[arm]}
            expected |= {row.example_id: earlier} if earlier else {}
    page = question_page(loaded, GridFilter(), limit=9, offset=0, before=held)
    assert {row.example_id: row.earlier for row in page.items} == expected
    assert page.total == len(expected)


def test_long_answers_are_searched_in_the_results_and_shown_short_among_the_questions() -> None:
    answer = Answer("x" * 200 + "far", Usage(), FinishReason.STOP, (), "")
    record = QuestionRecord("rag", "q", "Where?", (), (), Slice.NEW_CASE, "g", "c", answer, {})
    loaded = load_results(as_file([record]), "token_f1")
    assert finished_results(loaded, ResultFilter(contains="FAR"), limit=9, offset=0).total == 1
    assert question_page(loaded, GridFilter(contains="FAR"), limit=9, offset=0).total == 0
