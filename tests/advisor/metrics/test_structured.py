import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import DatasetCard, Example
from advisor.data.json_schema import parse_object
from advisor.errors import EvaluationError
from advisor.metrics.structured import json_exact, json_field_accuracy, json_valid
from advisor.results.answer import Answer
from advisor.results.score import ScoringResources

REFERENCE = '{"name": "Kaw", "price": {"amount": 5, "currency": "EUR"}, "tags": ["a", "b"]}'


def test_json_valid_without_a_schema_is_parsing(
    card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    answers = [answer('{"a": 1}'), answer("a: 1")]
    scores = json_valid([example("{}")] * 2, answers, ScoringResources(card))
    assert [score.value for score in scores] == [1, 0]


def test_json_valid_holds_the_answer_against_the_schema(
    card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    answers = [answer('{"a": 1}'), answer('{"a": "1"}'), answer("{}")]
    scores = json_valid([example("{}")] * 3, answers, ScoringResources(replace(card, schema=schema)))
    assert [score.value for score in scores] == [1, 0, 0]


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"$ref": "https://example.org/schema.json"}])
def test_an_unusable_schema_is_an_error_that_names_the_data_set(
    schema: dict[str, Any], card: DatasetCard, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    with pytest.raises(EvaluationError, match="'toy'"):
        json_valid([example("{}")], [answer("{}")], ScoringResources(replace(card, schema=schema)))


@pytest.mark.parametrize(
    ("text", "exact", "share"),
    [
        (REFERENCE, 1, 1),
        (json.dumps(json.loads(REFERENCE), indent=1, sort_keys=True), 1, 1),
        ('{"name": " Kaw", "price": {"amount": 5.0, "currency": "EUR"}, "tags": ["a", "b"], "more": 1}', 0, 1),
        ('{"name": "Kaw", "price": {"amount": 6, "currency": "EUR"}, "tags": ["b", "a"]}', 0, 0.5),
        ('{"name": "kaw", "price": 5, "tags": null}', 0, 0),
        ("Kaw", 0, 0),
        ("", 0, 0),
    ],
)
def test_fields_are_compared_by_value(
    text: str, exact: float, share: float, example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    assert json_exact(example(REFERENCE), answer(text)).value == exact
    assert json_field_accuracy(example(REFERENCE), answer(text)).value == share


def test_true_is_not_one(example: Callable[..., Example], answer: Callable[..., Answer]) -> None:
    assert json_exact(example('{"a": 1}'), answer('{"a": true}')).value == 0


def test_a_reference_that_is_no_object_is_unscored(
    example: Callable[..., Example], answer: Callable[..., Answer]
) -> None:
    assert json_exact(example("Kaw"), answer("{}")).value is None
    assert "reference" in json_field_accuracy(example("Kaw"), answer("{}")).reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_an_object_equals_itself_in_every_spelling(value: dict[str, Any]) -> None:
    parsed = parse_object(json.dumps(value, ensure_ascii=True))
    assert parsed == value
