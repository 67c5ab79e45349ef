"""JSON objects as a program would read them, and what a schema allows."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from advisor.errors import EvaluationError


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is, or None.

    Strict, as a program reading the answer would be: code fences or words around it, repeated keys, NaN and Infinity
    make it no JSON object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def schema_check(schema: Mapping[str, Any], whose: str) -> Callable[[str], bool]:
    """A function that says whether a text is a JSON object which a schema allows.

    Args:
        whose: Schema it is, for the message.
    Raises:
        EvaluationError: it is itself no valid JSON Schema; or, when asked, it refers to one that is not in it.
    """
    import jsonschema
    import referencing
    import referencing.exceptions

    def unusable(error: Exception) -> EvaluationError:
        return EvaluationError(f"the schema of {whose} cannot be used: {error}; correct its file")

    validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        validator_class.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise unusable(error) from error
    # An explicit registry, since the default one fetches remote references over the network.
    validator = validator_class(schema, registry=referencing.Registry())

    def is_valid(text: str) -> bool:
        value = parse_object(text)
        try:
            return value is not None and bool(validator.is_valid(value))
        except referencing.exceptions.Unresolvable as error:
            raise unusable(error) from error

    return is_valid


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is repeated")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
