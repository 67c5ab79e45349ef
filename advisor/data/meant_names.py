"""Names that are not ours and seem to mean one that is."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

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
