"""Frozen dataclasses to JSON values and back, by their type hints.

Required floats that are not finite become null and are read back as NaN, because JSON has no other word for them.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from advisor.errors import EvaluationError

T = TypeVar("T")

# Lone surrogates cannot be written as UTF-8, and the others end a line for many readers: JSON may escape any of them.
_UNSAFE_IN_TEXT_FILES = re.compile("[\ud800-\udfff\u0085\u2028\u2029]")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text of plain data: readable in every script, safe to write as UTF-8, never NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE_IN_TEXT_FILES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def to_plain(value: object, where: str = "") -> Any:
    """The JSON value of a dataclass, mapping, sequence or scalar.

    Raises:
        EvaluationError: a value has no JSON form; the message names where it stands.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name), _below(where, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, _below(where, str(key))) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise EvaluationError(
        f"{where or 'the value'} is a {type(value).__name__}, which a report cannot hold: "
        "store it as text, numbers, lists and mappings."
    )


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """The dataclass `kind` from its JSON value. Unknown keys are ignored, so that older readers read newer files.

    Raises:
        EvaluationError: a key is missing or a value is of another type; the message names where.
    """
    decoded: T = _decode(kind, value, where)
    return decoded


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        if value is None:
            return None
        return _decode(next(option for option in get_args(hint) if option is not NoneType), value, where)
    if origin is tuple:
        _expect(value, list, "a list", where)
        return tuple(_decode(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        _expect(value, dict, "an object", where)
        return {key: _decode(get_args(hint)[1], item, _below(where, key)) for key, item in value.items()}
    if is_dataclass(hint):
        _expect(value, dict, "an object", where)
        return _decode_dataclass(hint, value, where)
    if issubclass(hint, Enum):
        return _decode_member(hint, value, where)
    return _decode_scalar(hint, value, where)


def _decode_dataclass(hint: Any, value: dict[str, Any], where: str) -> Any:
    arguments: dict[str, Any] = {}
    for part in fields(hint):
        if part.name in value:
            arguments[part.name] = _decode(_hints(hint)[part.name], value[part.name], _below(where, part.name))
        elif part.default is MISSING and part.default_factory is MISSING:
            raise EvaluationError(f"{_below(where, part.name)} is missing.")
    return hint(**arguments)


def _decode_member(hint: type[Enum], value: Any, where: str) -> Enum:
    known = [member.value for member in hint]
    if value not in known:
        raise EvaluationError(f"{where} is {value!r}, expected one of {', '.join(map(repr, known))}.")
    return hint(value)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and value is None:
        return math.nan
    if hint in (float, int):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EvaluationError(f"{where} is {value!r}, expected a number.")
        # Mean token counts are stored in integer fields; rounding them here would change the record.
        return float(value) if hint is float else value
    _expect(value, hint, {str: "text", bool: "true or false"}.get(hint, hint.__name__), where)
    return value


def _expect(value: Any, kind: type, name: str, where: str) -> None:
    if not isinstance(value, kind):
        raise EvaluationError(f"{where or 'the content'} is {type(value).__name__}, expected {name}.")


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
