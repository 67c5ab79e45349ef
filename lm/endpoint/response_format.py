"""The `response_format` that asks an endpoint for a constraint, and what its reply says in plain text.

Endpoints take JSON Schema alone. Labels and texts that are allowed beside a record go into an object with one field,
and the reply is unwrapped again, so that an answer reads the same whatever model gave it.
"""

import json
from typing import Any

from lm.constraint import Constraint, OneOf

WRAPPER_TOKENS = 16
"""Room for the object around a label, beside `max_output_tokens`, which is meant for the label alone."""

_FIELD = "answer"
_DEFINITIONS = ("$defs", "definitions")


def is_wrapped(constraint: Constraint) -> bool:
    """Whether the reply has the answer in a field."""
    return isinstance(constraint, OneOf) or bool(constraint.alternatives)


def response_format(constraint: Constraint, *, strict: bool) -> dict[str, Any]:
    """The value of `response_format`.

    Args:
        strict: Whether the endpoint may be asked to hold the reply to the schema whatever it takes. It is only asked
            where every object lists and requires all its fields, as OpenAI wants it.
    """
    schema = _schema(constraint)
    return {
        "type": "json_schema",
        "json_schema": {"name": _FIELD, "schema": schema, "strict": strict and _is_closed(schema)},
    }


def unwrapped(constraint: Constraint, reply: str) -> str:
    """The answer in a reply; a reply that is no such object is the answer as it stands."""
    if not is_wrapped(constraint):
        return reply
    try:
        value = json.loads(reply)
    except (ValueError, RecursionError):
        return reply
    if not isinstance(value, dict) or value.keys() != {_FIELD}:
        return reply
    answer = value[_FIELD]
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _schema(constraint: Constraint) -> dict[str, Any]:
    if isinstance(constraint, OneOf):
        return _object({"type": "string", "enum": list(constraint.choices)})
    schema = dict(json.loads(constraint.schema))
    if not constraint.alternatives:
        return schema
    # References in the schema count from the root, which is now one level up.
    definitions = {name: schema.pop(name) for name in _DEFINITIONS if name in schema}
    either = {"anyOf": [schema, {"type": "string", "enum": list(constraint.alternatives)}]}
    return _object(either) | definitions


def _object(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {_FIELD: value}, "required": [_FIELD], "additionalProperties": False}


def _is_closed(schema: Any) -> bool:
    """Whether every object in a schema refuses other fields and requires all its own."""
    if isinstance(schema, list):
        return all(_is_closed(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    if "properties" in schema or kind == "object" or (isinstance(kind, list) and "object" in kind):
        fields = schema.get("properties", {})
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or set(required) != set(fields):
            return False
    return all(_is_closed(part) for part in schema.values())
