"""Other tools' formats, known by their fields, so that a user is told which field becomes which."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True, slots=True)
class ForeignFormat:
    """A format that is recognised and not read.

    Attributes:
        fields: That it has and ours has not.
        remedy: Which field becomes which.
    """

    name: str
    fields: frozenset[str]
    remedy: str


_FORMATS = (
    ForeignFormat(
        "a test set of ragas",
        frozenset({"user_input"}),
        "rename user_input to question and reference to answer (answers, a list, in questions.jsonl), and leave "
        "reference_contexts and what else there is out: the texts themselves are the documents",
    ),
    ForeignFormat(
        "chat messages, as for fine-tuning by an API",
        frozenset({"messages"}),
        "write the user's message as question and the assistant's as answers (a list), with an id of each",
    ),
    ForeignFormat(
        "ShareGPT conversations",
        frozenset({"conversations"}),
        "write what the human says as question and what the model says as answers (a list), with an id of each",
    ),
    ForeignFormat(
        "a whole SQuAD file",
        frozenset({"paragraphs"}),
        "write each context into documents.jsonl as text, and each question on a line with answers, a list of texts",
    ),
    ForeignFormat(
        "BEIR",
        frozenset({"_id"}),
        "rename _id to id and, in questions, text to question; the documents that qrels names are document_ids, and "
        "answers, which BEIR has not, must be added",
    ),
    ForeignFormat(
        "Alpaca instructions",
        frozenset({"instruction", "output"}),
        "write instruction and input together as question and output as answers (a list), with an id of each",
    ),
    ForeignFormat(
        "prompts and completions",
        frozenset({"prompt", "completion"}),
        "rename prompt to question and completion to answers (a list), with an id of each",
    ),
    ForeignFormat(
        "inputs with expected outputs, as for DeepEval",
        frozenset({"input", "expected_output"}),
        "rename input to question and expected_output to answers (a list), with an id of each",
    ),
)

_MEANINGS: Mapping[str, str] = {
    **dict.fromkeys(
        ("document", "documents", "document_id", "doc_id", "doc_ids", "context_ids", "source_ids"), "document_ids"
    ),
    **dict.fromkeys(("is_impossible", "impossible", "unanswerable", "is_answerable", "has_answer"), "answerable"),
    **dict.fromkeys(("answer", "reference", "references", "expected_answer", "ground_truth"), "answers"),
    **dict.fromkeys(("group_id", "cluster"), "group"),
    **dict.fromkeys(("subset", "fold"), "split"),
}
"""Names that others give to fields of a question."""


def foreign_format(row: Mapping[str, Any], needed: Collection[str]) -> str:
    """What a row or a table's columns look like, and the remedy; "" where it could be ours.

    Args:
        needed: Fields of ours; a row with all of them is ours, whatever else it has.
    """
    if isinstance(row.get("answers"), dict) and "text" in row["answers"]:
        return (
            'the rows look like SQuAD; write "answers" as the list that is under "text" there, and "answerable": false '
            "where it is empty"
        )
    if all(name in row for name in needed):
        return ""
    found = next((one for one in _FORMATS if one.fields <= row.keys()), None)
    return f"the rows look like {found.name}; {found.remedy}" if found else ""


def meant_field(name: str, known: Collection[str]) -> str:
    """The field of ours that an unknown one seems to be; "" where it seems to be none."""
    folded = name.strip().lower().replace(" ", "_").replace("-", "_")
    close = get_close_matches(folded, known, n=1, cutoff=0.8)
    meant = _MEANINGS.get(folded) or (close[0] if close else "")
    return meant if meant in known else ""


def suggestion(name: str, names: Collection[str]) -> str:
    """Which of some names is meant by one that is none of them, and else what to do about it."""
    by_key = {one.casefold(): one for one in sorted(names)}
    close = get_close_matches(name.casefold(), by_key, n=1, cutoff=0.75)
    return f'did you mean "{by_key[close[0]]}"?' if close else "fix the name"
