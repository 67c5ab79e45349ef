import pytest

from advisor.data.dataset import Slice
from advisor.data.normalisation import normalise
from advisor.data.prompt import RetrievedChunk
from advisor.evidence.failure import NEXT_STEPS, ArmNature, Failure, classify_failure
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
        (_record("12 months", part=Slice.UNANSWERABLE), RAG, Failure.ANSWERED_UNANSWERABLE),
        (_record("it is covered for 36 months", retrieved=(GOLD,)), RAG, Failure.WRONG_FORM),
        (_record("12 months", retrieved=(SIBLING,)), RAG, Failure.GOLD_NOT_RETRIEVED),
        (_record("I don't know.", retrieved=(SIBLING, GOLD)), RAG, Failure.ABSTAINED),
        (_record("12 months", retrieved=(SIBLING, GOLD)), RAG, Failure.WRONG_PASSAGE),
        (_record("1.7 litres", retrieved=(SIBLING, GOLD)), RAG, Failure.MISREAD),
        (_record("five weeks", retrieved=(SIBLING, GOLD)), RAG, Failure.FABRICATED),
        (_record("", retrieved=(GOLD,)), RAG, Failure.FABRICATED),
        (_record("five weeks"), TUNED, Failure.NOT_TRAINED),
        (_record("five weeks"), READER, Failure.NOT_LEARNED),
        (_record("five weeks", part=Slice.SEEN_FACT), TUNED, Failure.NOT_LEARNED),
        (_record("24 months.", part=Slice.SEEN_FACT, gold="red"), TUNED, Failure.COLLAPSED),
        (_record("five weeks"), BASE, Failure.UNAIDED),
        (_record("refund", part=Slice.NEW_CASE, gold="billing"), TUNED, Failure.WRONG_VALUE),
    ],
)
def test_each_wrong_answer_is_of_the_kind_its_making_shows(
    record: QuestionRecord, nature: ArmNature, expected: Failure
) -> None:
    assert classify_failure(record, nature) is expected


def test_a_passage_cut_from_the_prompt_does_not_count_as_retrieved() -> None:
    cut = RetrievedChunk(GOLD.chunk_id, GOLD.document_id, GOLD.title, GOLD.text, GOLD.score, used=False)
    assert classify_failure(_record("12 months", retrieved=(SIBLING, cut)), RAG) is Failure.GOLD_NOT_RETRIEVED


def test_every_kind_has_a_next_step() -> None:
    assert set(NEXT_STEPS) == set(Failure)
