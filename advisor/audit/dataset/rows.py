"""Rows that would teach or test something else than was meant."""

import re
from collections import defaultdict
from collections.abc import Iterator

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Example, Split, Task
from advisor.data.json_schema import parse_object
from advisor.data.normalisation import normalise
from advisor.results.comparison import AuditFinding, Severity

_CHAT_MARKS = re.compile(r"<\|[\w-]+\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>")
_UNFILLED = re.compile(r"\{\s*(?:question|answer|input|output|context|label)\s*\}|<(?:question|answer)>")
_NO_ANSWERS = frozenset({"nan", "#n/a", "#ref!", "#value!", "null", "undefined"})


def audit_rows(dataset: Dataset) -> list[AuditFinding]:
    """Malformed rows of any split, labels that are tested and never shown, and questions that no person wrote."""
    return [*_malformed(dataset), *_unshown_labels(dataset), *_made_by_models(dataset)]


def _malformed(dataset: Dataset) -> list[AuditFinding]:
    faults = [f"{example.id}: {fault}" for example in dataset.examples for fault in _faults(example, dataset.card.task)]
    faults += _spellings(dataset)
    if not faults:
        return []
    return [
        AuditFinding(
            Check.MALFORMED_ROWS,
            Severity.WARN,
            f"Rows that look broken: {len(faults)}. Tuning learns such rows as they are.",
            "Fix or remove them in questions.jsonl.",
            tuple(faults[:MAX_ITEMS]),
        )
    ]


def _faults(example: Example, task: Task) -> Iterator[str]:
    texts = (example.asked, *example.answers)
    if marks := next((found for text in texts if (found := _CHAT_MARKS.search(text))), None):
        yield f"has the chat marker {marks.group()}"
    if unfilled := next((found for text in texts if (found := _UNFILLED.search(text))), None):
        yield f"has the unfilled placeholder {unfilled.group()}"
    if any("\ufffd" in text for text in texts):
        yield "holds the character for unreadable text (U+FFFD)"
    if empty := next((answer for answer in example.answers if answer.strip().casefold() in _NO_ANSWERS), None):
        yield f"its answer is {empty.strip()!r}, as spreadsheets write for an empty cell"
    if task is Task.EXTRACTION and any(parse_object(answer) is None for answer in example.answers):
        yield "its answer is not a JSON object"


def _spellings(dataset: Dataset) -> list[str]:
    """Labels that differ in case, spaces or punctuation alone."""
    if dataset.card.task is not Task.CLASSIFICATION:
        return []
    spellings: dict[str, set[str]] = defaultdict(set)
    for example in dataset.examples:
        for answer in example.answers:
            spellings[normalise(answer)].add(answer)
    return [
        f"one label is spelt {' and '.join(repr(name) for name in sorted(names))}"
        for names in spellings.values()
        if len(names) > 1
    ]


def _unshown_labels(dataset: Dataset) -> list[AuditFinding]:
    taught = dataset.split(Split.TRAIN) or dataset.split(Split.VALIDATION)
    if dataset.card.task is not Task.CLASSIFICATION or not taught:
        return []
    shown = {normalise(answer) for example in taught for answer in example.answers}
    unshown = {
        example.answers[0]
        for example in dataset.split(Split.TEST)
        if example.answers and not any(normalise(answer) in shown for answer in example.answers)
    }
    if not unshown:
        return []
    return [
        AuditFinding(
            Check.UNSHOWN_LABELS,
            Severity.WARN,
            f"Labels that are tested but never shown in training: {len(unshown)}. No arm can learn them, or give them "
            "if answers are constrained to the labels.",
            "Add training questions of these labels, or leave them out of the test.",
            tuple(sorted(unshown)[:MAX_ITEMS]),
        )
    ]


def _made_by_models(dataset: Dataset) -> list[AuditFinding]:
    test = dataset.split(Split.TEST)
    made = [example for example in test if example.made_by]
    if not made:
        return []
    models = ", ".join(sorted({example.made_by for example in made}))
    return [
        AuditFinding(
            Check.MADE_QUESTIONS,
            Severity.WARN,
            f"Test questions written by a model ({models}): {len(made)} of {len(test)}. Their words come from the "
            "passages, so that retrieval finds these sooner than for people's questions.",
            "Test on questions that people asked, at least a hundred of them, before you rely on the verdict.",
            tuple(example.id for example in made[:MAX_ITEMS]),
        )
    ]
