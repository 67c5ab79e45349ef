"""Why an answer is wrong, from what the arm was given and what it said, and what to do about each kind of failure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from advisor.data.dataset import Slice
from advisor.data.normalisation import is_abstention, normalise, tokens
from advisor.results.comparison import QuestionRecord


class Failure(StrEnum):
    """Kinds of wrong answers; every wrong answer is of exactly one."""

    ANSWERED_UNANSWERABLE = "answered though unanswerable"
    WRONG_FORM = "right content, wrong form"
    GOLD_NOT_RETRIEVED = "gold not retrieved"
    ABSTAINED = "abstained though the passage was there"
    WRONG_PASSAGE = "taken from another passage"
    MISREAD = "misread the right passage"
    FABRICATED = "in no passage"
    NOT_TRAINED = "fact not in training data"
    NOT_LEARNED = "seen in training, not learned"
    COLLAPSED = "collapsed onto a frequent answer"
    UNAIDED = "the model does not know"
    WRONG_VALUE = "wrong label or value"


NEXT_STEPS: Mapping[Failure, str] = {
    Failure.ANSWERED_UNANSWERABLE: "add unanswerable questions to training, or ask more firmly for abstention",
    Failure.WRONG_FORM: "add the accepted form to the references, or show the form in worked examples",
    Failure.GOLD_NOT_RETRIEVED: "raise top_k, cut chunks otherwise, or take another embedder",
    Failure.ABSTAINED: "take a stronger reader, or a prompt that abstains less readily",
    Failure.WRONG_PASSAGE: "put what tells siblings apart into titles and headings; lower top_k",
    Failure.MISREAD: "take a stronger reader, or tune it on retrieved passages (raft)",
    Failure.FABRICATED: "ask for answers in the passage's words; take a stronger reader",
    Failure.NOT_TRAINED: "retrieve such facts, or ask about them in training",
    Failure.NOT_LEARNED: "add wordings of these facts, or train longer",
    Failure.COLLAPSED: "balance the training answers, train longer, or lower the learning rate",
    Failure.UNAIDED: "give it the documents, or tune it",
    Failure.WRONG_VALUE: "read which are confused; sharpen their definitions, add training examples of both",
}
"""What to do about each kind."""

_WRONG_FORM_F1 = 0.6


@dataclass(frozen=True, slots=True)
class ArmNature:
    """What an arm works with.

    Attributes:
        retrieves: It reads passages.
        tuned: It answers from what training questions taught it.
        read_documents: Tuning read the documents, so that no fact was out of its sight.
        frequent_answers: Normal forms of the most frequent training answers; a collapsed model says nothing else.
    """

    retrieves: bool
    tuned: bool
    frequent_answers: frozenset[str] = frozenset()
    read_documents: bool = False


def classify_failure(record: QuestionRecord, nature: ArmNature) -> Failure:
    """The kind of a wrong answer. Only for records whose main score is below full marks."""
    said = normalise(record.answer.text)
    abstained = is_abstention(record.answer.text)
    if record.slice is Slice.UNANSWERABLE:
        return Failure.ANSWERED_UNANSWERABLE
    if not abstained and any(_same_content(said, normalise(reference)) for reference in record.references):
        return Failure.WRONG_FORM
    if record.slice is Slice.NEW_CASE:
        return Failure.WRONG_VALUE
    if nature.retrieves:
        return _of_retrieval(record, said, abstained)
    if not nature.tuned:
        return Failure.UNAIDED
    if record.slice is Slice.UNSEEN_FACT and not nature.read_documents:
        return Failure.NOT_TRAINED
    return Failure.COLLAPSED if said in nature.frequent_answers else Failure.NOT_LEARNED


def _of_retrieval(record: QuestionRecord, said: str, abstained: bool) -> Failure:
    used = [chunk for chunk in record.answer.retrieved if chunk.used]
    gold = [chunk for chunk in used if chunk.document_id in record.gold_document_ids]
    if record.gold_document_ids and not gold:
        return Failure.GOLD_NOT_RETRIEVED
    if abstained:
        return Failure.ABSTAINED
    if any(_stands_in(said, chunk.text) for chunk in gold):
        return Failure.MISREAD
    if any(_stands_in(said, chunk.text) for chunk in used):
        return Failure.WRONG_PASSAGE
    return Failure.FABRICATED


def _stands_in(said: str, text: str) -> bool:
    return bool(said) and f" {said} " in f" {normalise(text)} "


def _same_content(said: str, reference: str) -> bool:
    """One holds all words of the other, or most words are shared."""
    ours, theirs = set(tokens(said)), set(tokens(reference))
    if not ours or not theirs:
        return False
    shared = len(ours & theirs)
    return theirs <= ours or 2 * shared / (len(ours) + len(theirs)) >= _WRONG_FORM_F1
