"""Extraction: is the answer the JSON object that was asked for?"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from advisor.data.dataset import Example
from advisor.data.json_schema import parse_object, schema_check
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoringResources, unscored

_Leaves = dict[tuple[str, ...], Any]


def json_valid(examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources) -> list[Score]:
    """1 if the answer is a JSON object that satisfies the card's schema, if it has one.

    Raises:
        EvaluationError: as `schema_check`.
    """
    if resources.card.schema is None:
        return [Score(float(parse_object(answer.text) is not None)) for answer in answers]
    is_valid = schema_check(resources.card.schema, f"dataset {resources.card.name!r}")
    return [Score(float(is_valid(answer.text))) for answer in answers]


def json_exact(example: Example, answer: Answer) -> Score:
    """1 if the answer equals a reference object: the same fields, all with equal values."""
    references = _reference_objects(example)
    if not references:
        return unscored("no reference is a JSON object")
    value = parse_object(answer.text)
    return Score(float(value is not None and any(_equal(value, reference) for reference in references)))


def json_field_accuracy(example: Example, answer: Answer) -> Score:
    """Share of the reference's fields that the answer has right, by the nearest reference.

    Fields of nested objects count one by one, a list counts as one field. Fields the reference lacks are ignored;
    `json_exact` and a schema with `additionalProperties: false` punish them.
    """
    references = _reference_objects(example)
    if not references:
        return unscored("no reference is a JSON object")
    value = parse_object(answer.text)
    if value is None:
        return Score(0.0)
    given = _leaves(value)
    return Score(max(_share_right(_leaves(reference), given) for reference in references))


def _share_right(wanted: _Leaves, given: _Leaves) -> float:
    right = sum(path in given and _equal(given[path], value) for path, value in wanted.items())
    return right / len(wanted)


def _reference_objects(example: Example) -> list[dict[str, Any]]:
    return [value for reference in example.answers if (value := parse_object(reference)) is not None]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> _Leaves:
    if isinstance(value, dict) and value:
        return {leaf: v for key, inner in value.items() for leaf, v in _leaves(inner, (*path, key)).items()}
    return {path: value}


def _equal(first: Any, second: Any) -> bool:
    """JSON equality: 1 equals 1.0 but not true; texts are equal up to Unicode form and white space around them."""
    if isinstance(first, str) and isinstance(second, str):
        return unicodedata.normalize("NFC", first.strip()) == unicodedata.normalize("NFC", second.strip())
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_equal(value, second[key]) for key, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)
