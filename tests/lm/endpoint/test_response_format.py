import json
from typing import Any

import pytest

from lm.constraint import JsonSchema, OneOf
from lm.endpoint.response_format import response_format, unwrapped

LABELS = OneOf(("billing", "I don't know."))
CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
RECORD = JsonSchema(json.dumps(CLOSED))
RECORD_OR_NOTHING = JsonSchema(json.dumps(CLOSED), ("I don't know.",))


def sent(constraint: OneOf | JsonSchema, *, strict: bool = True) -> dict[str, Any]:
    form = response_format(constraint, strict=strict)
    assert form["type"] == "json_schema"
    found: dict[str, Any] = form["json_schema"]
    return found


def test_labels_are_asked_for_in_the_field_of_an_object() -> None:
    assert sent(LABELS) == {
        "name": "answer",
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["billing", "I don't know."]}},
            "required": ["answer"],
            "additionalProperties": False,
        },
        "strict": True,
    }


def test_a_schema_is_asked_for_as_it_is() -> None:
    assert sent(RECORD) == {"name": "answer", "schema": CLOSED, "strict": True}
    assert sent(RECORD, strict=False)["strict"] is False


def test_a_schema_with_alternatives_goes_into_a_field_and_its_definitions_to_the_root() -> None:
    schema = CLOSED | {"$defs": {"x": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/x"}}}
    form = sent(JsonSchema(json.dumps(schema), ("I don't know.",)))
    record, alternatives = form["schema"]["properties"]["answer"]["anyOf"]
    assert alternatives == {"type": "string", "enum": ["I don't know."]}
    assert "$defs" not in record
    assert form["schema"]["$defs"] == {"x": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        CLOSED | {"additionalProperties": True},
        CLOSED | {"required": []},
        CLOSED | {"properties": {"a": {"type": ["object", "null"], "properties": {}}}},
        CLOSED | {"properties": {"a": {"type": "array", "items": [{"type": "object"}]}}},
    ],
)
def test_strict_is_not_asked_of_a_schema_that_leaves_fields_open(schema: dict[str, Any]) -> None:
    assert sent(JsonSchema(json.dumps(schema)))["strict"] is False


@pytest.mark.parametrize(
    ("constraint", "reply", "answer"),
    [
        (LABELS, '{"answer": "billing"}', "billing"),
        (LABELS, "billing", "billing"),
        (LABELS, '{"label": "billing"}', '{"label": "billing"}'),
        (LABELS, '{"answer": "bil', '{"answer": "bil'),
        (LABELS, "5", "5"),
        (RECORD, '{"answer": "x"}', '{"answer": "x"}'),
        (RECORD_OR_NOTHING, '{"answer": {"a": "é"}}', '{"a": "é"}'),
        (RECORD_OR_NOTHING, '{"answer": "I don\'t know."}', "I don't know."),
    ],
)
def test_replies_are_unwrapped_where_the_answer_stands_in_a_field(
    constraint: OneOf | JsonSchema, reply: str, answer: str
) -> None:
    assert unwrapped(constraint, reply) == answer
