import json
from typing import Any

import pytest

from advisor.data.json_schema import parse_object, schema_check
from advisor.errors import EvaluationError

EXPONENTIAL = "^(a+)+$"
LONG = "a" * 5_000 + "!"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"pattern": EXPONENTIAL}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"pattern": EXPONENTIAL}}},
        {"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#", "pattern": EXPONENTIAL}}},
        {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"pattern": EXPONENTIAL}}},
        {"properties": {"a": {}}, "patternProperties": {EXPONENTIAL: {}}, "additionalProperties": False},
        {"properties": {"a": {}}, "additionalProperties": {"pattern": EXPONENTIAL}},
        {"properties": {"a": {"anyOf": [{"pattern": EXPONENTIAL}]}}, "propertyNames": {"pattern": "^a$"}},
    ],
)
def test_a_regular_expression_that_would_take_for_ever_is_matched_at_once(schema: dict[str, Any]) -> None:
    is_valid = schema_check(schema, "a stranger")
    assert is_valid(json.dumps({"a": "aaa"}))
    assert not is_valid(json.dumps({"a": LONG, LONG: LONG}))


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "^(a{1000}){1000}$", "("])
@pytest.mark.parametrize("where", ["pattern", "patternProperties"])
def test_one_that_cannot_be_matched_in_linear_time_is_refused_by_name(pattern: str, where: str) -> None:
    inner = {"pattern": pattern} if where == "pattern" else {"patternProperties": {pattern: {}}}
    with pytest.raises(EvaluationError, match="the schema of a stranger cannot be used: "):
        schema_check({"properties": {"a": {"not": inner}}}, "a stranger")


def test_properties_are_found_by_patterns_as_json_schema_says() -> None:
    schema = {"properties": {"a": {}}, "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False}
    is_valid = schema_check(schema, "ours")
    told = {text: is_valid(text) for text in ('{"a": 1, "n_x": 2}', '{"n_x": "2"}', '{"b": 1}', '{"an_": 1}')}
    assert list(told.values()) == [True, False, False, False]
    typed = schema_check({"additionalProperties": {"type": "integer"}}, "ours")
    assert (typed('{"b": 1}'), typed('{"b": "1"}')) == (True, False)
    with pytest.raises(EvaluationError, match="beside unevaluatedProperties"):
        schema_check({"unevaluatedProperties": False, "patternProperties": {"a": {}}}, "ours")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "null", '{"a": 1', '```json\n{"a": 1}\n```', 'Here: {"a": 1}', '{"a": 1}{"a": 2}', '{"a": NaN}']
    + ['{"a": 1, "a": 2}', '{"a": ' * 100_000, "{'a': 1}", '{"a": ' + "9" * 5000 + "}"],
)
def test_anything_but_one_json_object_is_none(text: str) -> None:
    assert parse_object(text) is None


def test_white_space_around_the_object_is_fine() -> None:
    assert parse_object(' {"a": 1}\n') == {"a": 1}
