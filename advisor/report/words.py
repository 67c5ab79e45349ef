"""The words people read for names that files keep."""

from collections.abc import Mapping

from advisor.data.dataset import Slice

_METRICS: Mapping[str, str] = {
    "exact_match": "answers exactly right",
    "contains_answer": "answers that hold the right one",
    "token_f1": "words shared with the right answer",
    "accuracy": "right labels",
    "json_exact": "records exactly right",
    "json_field_accuracy": "fields right",
    "json_valid": "records of the right form",
    "rouge_l": "longest shared sequence of words",
    "macro_f1": "right labels, each label counted alike",
}

_SLICES: Mapping[Slice, str] = {
    Slice.SEEN_FACT: "asked in training",
    Slice.UNSEEN_FACT: "only in the documents",
    Slice.UNANSWERABLE: "unanswerable",
    Slice.NEW_CASE: "new case",
}


def metric_words(metric: str) -> str:
    """What a metric counts, in plain words; its own name where it has none."""
    return _METRICS.get(metric, metric)


def slice_words(part: Slice) -> str:
    """What questions a slice holds."""
    return _SLICES[part]
