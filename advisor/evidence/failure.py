"""Why an answer is wrong, from what the arm was given and what it said, and what to do about each kind of failure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from advisor.data.dataset import Slice
from advisor.data.normalisation import is_abstention, normalise, tokens
from advisor.results.comparison import QuestionRecord


class Failure(StrEnum):
    """Kinds of wrong answers; every wrong answer is of exactly one."""

    MADE_UP = "made up"
    DECLINED = "declined"
    WRONG_FORM = "wrong form"
    CONTRADICTED = "contradicted"
    NOT_RETRIEVED = "not retrieved"
    NOT_TAUGHT = "not taught"
    NOT_LEARNT = "not learnt"
    COLLAPSED = "collapsed"
    WRONG_VALUE = "wrong value"


NEXT_STEPS: Mapping[Failure, str] = {
    Failure.MADE_UP: "give it the documents, add unanswerable questions to training, or ask more firmly to decline",
    Failure.DECLINED: "use a stronger reader, or a prompt that declines less readily",
    Failure.WRONG_FORM: "add the accepted form to the references, or show the form in worked examples",
    Failure.CONTRADICTED: "use a stronger reader, tune it on retrieved passages (raft), or lower top_k",
    Failure.NOT_RETRIEVED: "raise top_k, change the chunk size, or use another embedder",
    Failure.NOT_TAUGHT: "retrieve such facts, or ask about them in training",
    Failure.NOT_LEARNT: "add wordings of these facts, or train longer",
    Failure.COLLAPSED: "balance the training answers, train longer, or lower the learning rate",
    Failure.WRONG_VALUE: "read which are confused; sharpen their definitions, add training examples of both",
}
"""What to do about each kind."""

_FORMER_NAMES = {
    "answered though unanswerable": Failure.MADE_UP,
    "right content, wrong form": Failure.WRONG_FORM,
    "gold not retrieved": Failure.NOT_RETRIEVED,
    "abstained though the passage was there": Failure.DECLINED,
    "taken from another passage": Failure.CONTRADICTED,
    "misread the right passage": Failure.CONTRADICTED,
    "in no passage": Failure.MADE_UP,
    "fact not in training data": Failure.NOT_TAUGHT,
    "seen in training, not learned": Failure.NOT_LEARNT,
    "collapsed onto a frequent answer": Failure.COLLAPSED,
    "the model does not know": Failure.MADE_UP,
    "wrong label or value": Failure.WRONG_VALUE,
}


def current_name(failure: str) -> str:
    """The name of a kind today, of one that an older report names otherwise too."""
    return str(_FORMER_NAMES.get(failure, failure))


_WRONG_FORM_F1 = 0.6
_NEGATIONS = frozenset(
    ("not", "no", "never", "without", "none", "nor", "cannot", "dont", "doesnt", "isnt", "arent", "wont", "cant")
)
_NUMBER = re.compile(r"\^?-?[\d.,/:-]*\d")
_COMPARISONS = {
    "<": "<", ">": ">", "≤": "≤", "≥": "≥", "under": "<", "below": "<", "less": "<", "fewer": "<", "over": ">",
    "above": ">", "more": ">", "least": "≥", "most": "≤",
}  # fmt: skip
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)\b[^\W\d_a-z][\w'-]*")


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
    said = record.answer.text
    abstained = is_abstention(said)
    if record.slice is Slice.UNANSWERABLE:
        return Failure.MADE_UP
    if not abstained and any(same_content(said, reference, record.question) for reference in record.references):
        return Failure.WRONG_FORM
    if record.slice is Slice.NEW_CASE:
        return Failure.DECLINED if abstained else Failure.WRONG_VALUE
    if nature.retrieves:
        return _of_retrieval(record, abstained)
    if abstained:
        return Failure.DECLINED
    if not nature.tuned:
        return Failure.MADE_UP
    if record.slice is Slice.UNSEEN_FACT and not nature.read_documents:
        return Failure.NOT_TAUGHT
    return Failure.COLLAPSED if normalise(said) in nature.frequent_answers else Failure.NOT_LEARNT


def _of_retrieval(record: QuestionRecord, abstained: bool) -> Failure:
    used = [chunk for chunk in record.answer.retrieved if chunk.used]
    if record.gold_document_ids and not any(chunk.document_id in record.gold_document_ids for chunk in used):
        return Failure.NOT_RETRIEVED
    if abstained:
        return Failure.DECLINED
    # What stands in a passage was read there, and the right passage before it says otherwise.
    said = normalise(record.answer.text)
    stands = any(said and f" {said} " in f" {normalise(chunk.text)} " for chunk in used)
    return Failure.CONTRADICTED if stands else Failure.MADE_UP


def same_content(said: str, reference: str, question: str = "") -> bool:
    """Whether two texts say the same in other words: the same values, and most words shared or all of one.

    Values are numbers, the unit or currency after or before each, comparison signs, negation and names; a name may also
    come from the question. Shared words alone are no content: 9 USD is not 29 USD.
    """
    ours, theirs = ([_COMPARISONS.get(word, word) for word in tokens(text)] for text in (said, reference))
    if not ours or not theirs or _values(ours) != _values(theirs) or not _units_agree(ours, theirs):
        return False
    named = {name.casefold() for name in _NAME.findall(said)}
    known = {word.casefold() for text in (reference, question) for word in re.findall(r"[\w'-]+", text)}
    wanted = {name.casefold() for name in _NAME.findall(f". {reference}")}
    if not named <= known or not wanted <= {word.casefold() for word in re.findall(r"[\w'-]+", said)}:
        return False
    shared = len(set(ours) & set(theirs))
    return set(theirs) <= set(ours) or 2 * shared / (len(set(ours)) + len(set(theirs))) >= _WRONG_FORM_F1


def _values(words: Sequence[str]) -> tuple[Counter[str], bool, frozenset[str]]:
    """Numbers, whether something is denied, and by what it is compared or in which currency."""
    numbers = Counter(word for word in words if _NUMBER.fullmatch(word))
    signs = {word for word in words if word in _COMPARISONS or _is_currency(word)}
    return numbers, any(word in _NEGATIONS for word in words), frozenset(signs)


def _units_agree(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether the word after each number is the same, wherever both texts have one."""
    first, second = _units(ours), _units(theirs)
    return all(unit == second.get(number, unit) for number, unit in first.items())


def _units(words: Sequence[str]) -> dict[str, str]:
    return {
        number: unit.removesuffix("s")
        for number, unit in pairwise(words)
        if _NUMBER.fullmatch(number) and unit.isalpha()
    }


def _is_currency(word: str) -> bool:
    return len(word) == 1 and unicodedata.category(word) == "Sc"
