from dataclasses import replace

import pytest

from advisor.data.dataset import Slice
from advisor.data.normalisation import normalise
from advisor.data.prompt import RetrievedChunk
from advisor.evidence.failure import (
    NEXT_STEPS,
    ArmNature,
    Failure,
    classify_failure,
    current_name,
    same_content,
)
from advisor.evidence.records import read_record, record_line
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from lm.completion import FinishReason, Usage

RAG = ArmNature(retrieves=True, tuned=False)
TUNED = ArmNature(retrieves=False, tuned=True, frequent_answers=frozenset({normalise("24 months")}))
READER = ArmNature(retrieves=False, tuned=True, read_documents=True)
BASE = ArmNature(retrieves=False, tuned=False)
GOLD = RetrievedChunk("d1#0", "d1", "Kettle", "The Kettle S is covered for 36 months and holds 1.7 litres.", 0.9)
SIBLING = RetrievedChunk("d2#0", "d2", "Toaster", "The Toaster S is covered for 12 months.", 0.8)


def _record(
    said: str, *, retrieved: tuple[RetrievedChunk, ...] = (), part: Slice = Slice.UNSEEN_FACT, gold: str = "36 months"
) -> QuestionRecord:
    answer = Answer(said, Usage(), FinishReason.STOP, retrieved, "")
    references = () if part is Slice.UNANSWERABLE else (gold,)
    return QuestionRecord(
        "arm", "q", "How long is the Kettle S covered?", references, ("d1",), part, "g", "d1", answer, {}
    )


@pytest.mark.parametrize(
    ("record", "nature", "expected"),
    [
        (_record("12 months", part=Slice.UNANSWERABLE), RAG, Failure.MADE_UP),
        (_record("it is covered for 36 months", retrieved=(GOLD,)), RAG, Failure.WRONG_FORM),
        (_record("12 months", retrieved=(SIBLING,)), RAG, Failure.NOT_RETRIEVED),
        (_record("I don't know.", retrieved=(SIBLING,)), RAG, Failure.NOT_RETRIEVED),
        (_record("I don't know.", retrieved=(SIBLING, GOLD)), RAG, Failure.DECLINED),
        (_record("12 months", retrieved=(SIBLING, GOLD)), RAG, Failure.CONTRADICTED),
        (_record("1.7 litres", retrieved=(SIBLING, GOLD)), RAG, Failure.CONTRADICTED),
        (_record("five weeks", retrieved=(SIBLING, GOLD)), RAG, Failure.MADE_UP),
        (_record("", retrieved=(GOLD,)), RAG, Failure.MADE_UP),
        (_record("five weeks"), TUNED, Failure.NOT_TAUGHT),
        (_record("five weeks"), READER, Failure.NOT_LEARNT),
        (_record("I don't know."), READER, Failure.DECLINED),
        (_record("five weeks", part=Slice.SEEN_FACT), TUNED, Failure.NOT_LEARNT),
        (_record("24 months.", part=Slice.SEEN_FACT, gold="red"), TUNED, Failure.COLLAPSED),
        (_record("five weeks"), BASE, Failure.MADE_UP),
        (_record("refund", part=Slice.NEW_CASE, gold="billing"), TUNED, Failure.WRONG_VALUE),
    ],
)
def test_each_wrong_answer_is_of_the_kind_its_making_shows(
    record: QuestionRecord, nature: ArmNature, expected: Failure
) -> None:
    assert classify_failure(record, nature) is expected


def test_a_passage_cut_from_the_prompt_does_not_count_as_retrieved() -> None:
    cut = RetrievedChunk(GOLD.chunk_id, GOLD.document_id, GOLD.title, GOLD.text, GOLD.score, used=False)
    assert classify_failure(_record("12 months", retrieved=(SIBLING, cut)), RAG) is Failure.NOT_RETRIEVED


def test_every_kind_has_a_next_step() -> None:
    assert set(NEXT_STEPS) == set(Failure)


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ("9 USD", "29 USD"),
        ("It costs 9 USD a month.", "29 USD"),
        ("C#", "C++"),
        ("C++", "C"),
        ("<= 5 V", ">= 5 V"),
        ("under 5 V", "over 5 V"),
        ("€10", "$10"),
        ("10 €", "$10"),
        ("not covered by the warranty", "covered by the warranty"),
        ("36 weeks", "36 months"),
        ("it is covered for 36 weeks from purchase", "covered for 36 months from purchase"),
        ("The Kettle M", "The Kettle S"),
        ("Anna Schmidt", "Anna Meyer"),
        ("36 months or 24 months", "36 months"),
    ],
)
def test_other_values_are_other_content_however_many_words_are_shared(said: str, reference: str) -> None:
    assert not same_content(said, reference)
    assert not same_content(reference, said)
    assert classify_failure(_record(said, gold=reference), BASE) is not Failure.WRONG_FORM


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ("It takes 90 minutes.", "90 minutes"),
        ("1,250 kg", "1250 kg"),
        ("The Kettle S is covered for 36 months.", "36 months"),
        ("It must be at least 5 V", "≥ 5 V"),
        ("$10 a month", "10 $"),
        ("Use the C++ compiler", "C++"),
        ("the left button below the display", "left button below display"),
    ],
)
def test_the_same_values_in_other_words_are_wrong_form(said: str, reference: str) -> None:
    assert same_content(said, reference, "How long is the Kettle S covered?")


def test_kinds_that_older_reports_name_otherwise_are_read() -> None:
    old = replace(_record("12 months"), failure="gold not retrieved")
    assert read_record(record_line(old)).failure == "not retrieved"
    assert {current_name(name) for name in map(str, Failure)} == set(map(str, Failure))
