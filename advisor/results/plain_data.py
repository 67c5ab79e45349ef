"""Frozen dataclasses to JSON values and back, by their type hints.

Required floats that are not finite become null and are read back as NaN, because JSON has no other word for them.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from advisor.errors import EvaluationError

T = TypeVar("T")

# Lone surrogates cannot be written as UTF-8, and the others end a line for many readers: JSON may escape any of them.
_UNSAFE_IN_TEXT_FILES = re.compile("[\ud800-\udfff\u0085\u2028\u2029]")
_MAYBE_HUGE_INTEGER = re.compile("[0-9]{19}")
_MAYBE_HUGE_INTEGER_IN_BYTES = re.compile(b"[0-9]{19}")


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


def from_json(text: str | bytes, *, exact_integers: bool = True) -> Any:
    """The value of a JSON text: what `json.loads` gives, several times as fast.

    Args:
        text: Bytes are UTF-8.
        exact_integers: Whole numbers beyond 64 bits stay whole, which takes longer to make sure of; else they may be
            rounded to floats.
    Raises:
        ValueError: not JSON, in the words of the standard library.
    """
    huge = _MAYBE_HUGE_INTEGER if isinstance(text, str) else _MAYBE_HUGE_INTEGER_IN_BYTES
    if not exact_integers or huge.search(text) is None:  # type: ignore[arg-type]
        # What is refused here, half a character or NaN, the standard library may know; or it says what is wrong.
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    return json.loads(text)


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """The dataclass `kind` from its JSON value. Unknown keys are ignored, so that older readers read newer files.

    Raises:
        EvaluationError: a key is missing or a value is of another type; the message names where.
    """
    try:
        decoder: _Decoder = _decoder(kind)  # type: ignore[arg-type]
        decoded: T = decoder(value)
    except _MisfitError as misfit:
        place = where
        for step in reversed(misfit.steps):
            place = f"{place}[{step}]" if isinstance(step, int) else _below(place, step)
        raise EvaluationError(f"{place or misfit.unnamed}{misfit.what}") from None
    return decoded


class _MisfitError(Exception):
    """A value that does not fit its type.

    Attributes:
        what: What is said after the place. unnamed: what the place is called where it is the whole.
        steps: From the value outwards: names of fields and places in lists.
    """

    def __init__(self, what: str, unnamed: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.unnamed = unnamed
        self.steps: list[str | int] = []


_Decoder = Callable[[Any], Any]


@cache
def _decoder(hint: Any) -> _Decoder:
    """Made once for each type: files hold the same one a hundred thousand times."""
    if hint is Any:
        return lambda value: value
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        present = _decoder(next(option for option in get_args(hint) if option is not NoneType))
        return lambda value: None if value is None else present(value)
    if origin is tuple:
        return _sequence_decoder(_decoder(get_args(hint)[0]))
    if origin is Mapping:
        return _mapping_decoder(_decoder(get_args(hint)[1]))
    if is_dataclass(hint):
        return _dataclass_decoder(hint)
    if issubclass(hint, Enum):
        return _member_decoder(hint)
    return _number_decoder(hint) if hint in (float, int) else _scalar_decoder(hint)


def _sequence_decoder(item_decoder: _Decoder) -> _Decoder:
    def decode(value: Any) -> tuple[Any, ...]:
        _expect(value, list, "a list")
        decoded: list[Any] = []
        try:
            for item in value:
                decoded.append(item_decoder(item))
        except _MisfitError as misfit:
            misfit.steps.append(len(decoded))
            raise
        return tuple(decoded)

    return decode


def _mapping_decoder(item_decoder: _Decoder) -> _Decoder:
    def decode(value: Any) -> dict[str, Any]:
        _expect(value, dict, "an object")
        decoded: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                decoded[key] = item_decoder(item)
        except _MisfitError as misfit:
            misfit.steps.append(key)
            raise
        return decoded

    return decode


def _dataclass_decoder(kind: Any) -> _Decoder:
    hints = get_type_hints(kind)
    parts = [
        (part.name, part.default is MISSING and part.default_factory is MISSING, _decoder(hints[part.name]))
        for part in fields(kind)
    ]

    def decode(value: Any) -> Any:
        _expect(value, dict, "an object")
        arguments: dict[str, Any] = {}
        name = ""
        try:
            for name, is_required, part_decoder in parts:
                if name in value:
                    arguments[name] = part_decoder(value[name])
                elif is_required:
                    raise _MisfitError(" is missing.")
        except _MisfitError as misfit:
            misfit.steps.append(name)
            raise
        return kind(**arguments)

    return decode


def _member_decoder(kind: type[Enum]) -> _Decoder:
    members = {member.value: member for member in kind}

    def decode(value: Any) -> Enum:
        if not isinstance(value, Hashable) or value not in members:
            raise _MisfitError(f" is {value!r}, expected one of {', '.join(map(repr, members))}.")
        return members[value]

    return decode


def _number_decoder(kind: type) -> _Decoder:
    def decode(value: Any) -> float | int:
        if kind is float and value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _MisfitError(f" is {value!r}, expected a number.")
        # Mean token counts are stored in integer fields; rounding them here would change the record.
        return float(value) if kind is float else value

    return decode


def _scalar_decoder(kind: type) -> _Decoder:
    name = {str: "text", bool: "true or false"}.get(kind, kind.__name__)

    def decode(value: Any) -> Any:
        _expect(value, kind, name)
        return value

    return decode


def _expect(value: Any, kind: type, name: str) -> None:
    if not isinstance(value, kind):
        raise _MisfitError(f" is {type(value).__name__}, expected {name}.", "the content")


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
