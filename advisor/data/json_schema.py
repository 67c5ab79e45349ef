"""JSON objects as a program would read them, and what a schema allows.

Schemas come from strangers. Their regular expressions are matched in time that is linear in the text, by the engine of
pydantic: Python's own takes exponential time for some, holds the interpreter meanwhile, and cannot be ended.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
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
        EvaluationError: it is itself no valid JSON Schema, or has a regular expression that cannot be matched in linear
            time; or, when asked, it refers to a schema that is not in it.
    """
    import jsonschema
    import referencing
    import referencing.exceptions

    def unusable(error: Exception | str) -> EvaluationError:
        return EvaluationError(f"the schema of {whose} cannot be used: {error}; correct its file")

    validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        validator_class.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise unusable(error) from error
    if (fault := _unmatchable(schema)) is not None:
        raise unusable(fault)
    # A dialect named within it would be read by the library's own classes, and those match by Python's engine.
    schema = _without_dialects(schema)
    validator_class = jsonschema.validators.extend(validator_class, _LINEAR)
    # An explicit registry, since the default one fetches remote references over the network.
    validator = validator_class(schema, registry=referencing.Registry())

    def is_valid(text: str) -> bool:
        value = parse_object(text)
        try:
            return value is not None and bool(validator.is_valid(value))
        except referencing.exceptions.Unresolvable as error:
            raise unusable(error) from error

    return is_valid


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text has the pattern somewhere.

    Raises:
        pydantic_core.SchemaError: it cannot be matched in linear time, or is no regular expression.
    """
    from pydantic_core import SchemaValidator, core_schema

    # A validator is handed its pattern in a schema of pydantic's own, which takes any text.
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")).isinstance_python


def _unmatchable(schema: Any) -> str | None:
    """What is wrong with the first regular expression of a schema that cannot be used."""
    from pydantic_core import SchemaError

    parts = list(_parts(schema))
    named = [part["patternProperties"] for part in parts if isinstance(part.get("patternProperties"), dict)]
    patterns = [part["pattern"] for part in parts if isinstance(part.get("pattern"), str)]
    for pattern in (*patterns, *(name for names in named for name in names)):
        try:
            _matcher(pattern)
        except SchemaError as error:
            reason = str(error).rpartition("error: ")[2].rpartition("SchemaError: ")[2].strip()
            return f"the regular expression {pattern[:80]!r} cannot be matched in linear time ({reason})"
    if named and any("unevaluatedProperties" in part for part in parts):
        return "patternProperties beside unevaluatedProperties are not supported"
    return None


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object within a schema, whatever it stands for."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield dict(part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _without_dialects(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if key != "$schema" or not isinstance(value, str)}
        return {key: _without_dialects(value) for key, value in kept.items()}
    return [_without_dialects(item) for item in schema] if isinstance(schema, list) else schema


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not _matcher(pattern)(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, named: Mapping[str, Any], value: Any, _: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for pattern, schema in named.items():
            for key in filter(_matcher(pattern), value):
                yield from validator.descend(value[key], schema, path=key, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(value, dict):
        return
    named = [_matcher(pattern) for pattern in schema.get("patternProperties", {})]
    for key in value:
        if key in schema.get("properties", {}) or any(matches(key) for matches in named):
            continue
        if isinstance(allowed, Mapping):
            yield from validator.descend(value[key], allowed, path=key)
        elif not allowed:
            yield ValidationError(f"{key!r} is not among the properties")


_LINEAR = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
}
"""The keywords of JSON Schema that match regular expressions."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is repeated")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
