"""What is declared of a setting: its words and bounds, of which checks, command line, REST schema and page are made.

A group of settings is a frozen dataclass whose fields are `Annotated[type, Setting(...)]`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

from lm.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Setting(GroupedMetadata):
    """What a field's name, type and default do not say. pydantic reads it too.

    Attributes:
        help: A sentence; what is before its first colon, semicolon or comma, or a question, labels the page's field.
        ge: At least; gt: above; le: at most; lt: below.
        choices: What a text may be, or each of several.
        pattern: What a text must match as a whole.
        unset: What it means that nothing is given.
        option: On the command line, where not the name with hyphens.
        group: Under what it is listed on the page.
        is_local: Whether only who runs the comparison may set it: no remote caller, and no file of a pull request.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    unset: str = ""
    option: str = ""
    group: str = ""
    is_local: bool = False

    def __iter__(self) -> Iterator[object]:
        """Its parts, as pydantic asks for them."""
        from pydantic import AfterValidator

        for bound, value in ((Ge, self.ge), (Gt, self.gt), (Le, self.le), (Lt, self.lt)):
            if value is not None:
                yield bound(value)
        if self.choices or self.pattern:
            yield AfterValidator(self._check_text)
        yield _Described(self)

    def allows(self, value: Any) -> bool:
        """Whether a value that is given is within bounds, choices and pattern."""
        if isinstance(value, str | tuple):
            texts = (value,) if isinstance(value, str) else value
            return all(not self.choices or text in self.choices for text in texts) and all(
                not self.pattern or re.fullmatch(self.pattern, text) is not None for text in texts
            )
        return not (
            (self.ge is not None and not value >= self.ge)
            or (self.gt is not None and not value > self.gt)
            or (self.le is not None and not value <= self.le)
            or (self.lt is not None and not value < self.lt)
        )

    def expected(self, kind: Any) -> str:
        """What may be given, in words."""
        if self.choices:
            each = "a list, each of it " if get_origin(kind) is tuple else ""
            return f"{each}one of {', '.join(self.choices)}"
        if self.pattern:
            return f"a text like {self.pattern}"
        words = (("of at least", self.ge), ("above", self.gt), ("at most", self.le), ("below", self.lt))
        bounds = " and ".join(f"{word} {value:.15g}" for word, value in words if value is not None)
        name = "a list" if get_origin(kind) is tuple else _NAMES.get(kind, "a value")
        return f"{name} {bounds}".rstrip()

    def _check_text(self, value: Any) -> Any:
        if value is not None and not self.allows(value):
            raise ValueError(f"give {self.expected(str)}")
        return value


@dataclass(frozen=True, slots=True)
class _Described:
    """Puts words and choices into pydantic's JSON schema."""

    setting: Setting

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Callable[[Any], dict[str, Any]]) -> Any:
        schema = handler(core_schema) | {"description": self.setting.help}
        for part in (schema, *schema.get("anyOf", ())):
            text = part.get("items", part)
            if text.get("type") == "string":
                text |= {"enum": list(self.setting.choices)} if self.setting.choices else {}
                text |= {"pattern": f"^(?:{self.setting.pattern})$"} if self.setting.pattern else {}
        return schema


@dataclass(frozen=True, slots=True)
class DeclaredSetting:
    """One field of a group.

    Attributes:
        annotation: Its whole type, for pydantic; kind: the type of a value that is given.
        default: Where nothing is given; MISSING where something must be.
    """

    name: str
    annotation: Any
    kind: Any
    is_optional: bool
    default: Any
    setting: Setting

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return self.setting.option or f"--{self.name.replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where that can be listed."""
        return self.setting.choices or (tuple(self.kind) if _is_kind(self.kind, StrEnum) else ())

    @property
    def inner(self) -> "tuple[DeclaredSetting, ...]":
        """The settings of a group."""
        return declared_settings(self.kind) if is_dataclass(self.kind) else ()

    def read(self, value: Any, where: str, *, refuse_unknown: bool) -> Any:
        """A value as plain data has it, as the field's type; what is of another type is left for `check_settings`."""
        if isinstance(value, Mapping) and is_dataclass(self.kind):
            return read_settings(self.kind, value, _within(where, self.name), refuse_unknown=refuse_unknown)  # type: ignore[arg-type]
        if isinstance(value, list) and get_origin(self.kind) is tuple:
            return tuple(value)
        if isinstance(value, str) and self.kind is Path:
            return Path(value)
        if isinstance(value, str) and _is_kind(self.kind, StrEnum):
            if value not in self.choices:
                raise ConfigError(f"{self.name} is {value!r}; give one of {', '.join(self.choices)}")
            return self.kind(value)
        return value


def declared_settings(group: Any) -> tuple[DeclaredSetting, ...]:
    """The settings of a group, a dataclass, in the order in which they are declared."""
    return _declared(group)


@cache
def _declared(group: Any) -> tuple[DeclaredSetting, ...]:
    hints = get_type_hints(group, include_extras=True)
    found = []
    for field in fields(group):
        annotation = hints[field.name]
        hint, *extra = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        parts = get_args(hint) if get_origin(hint) is not tuple else ()
        setting = next((one for one in extra if isinstance(one, Setting)), None)
        if setting is not None:
            kind = next((part for part in parts if part is not NoneType), hint)
            found.append(DeclaredSetting(field.name, annotation, kind, NoneType in parts, field.default, setting))
    return tuple(found)


def check_settings(group: object) -> None:
    """Refuse a value of another type than declared, or beyond its bounds.

    Raises:
        ConfigError: names the field, its value and what is allowed.
    """
    for one in declared_settings(type(group)):
        value = getattr(group, one.name)
        if value is None and one.is_optional:
            continue
        if not _is_of(value, one.kind) or not one.setting.allows(value):
            expected = "a table of settings" if one.inner else one.setting.expected(one.kind)
            optional = ", or leave it out" if one.is_optional else ""
            raise ConfigError(f"{one.name} is {value!r}; give {expected}{optional}")


def read_settings(group: type[T], given: Mapping[str, Any], where: str = "", *, refuse_unknown: bool = True) -> T:
    """A group of settings from plain data; what is left out has its default.

    Raises:
        ConfigError: a name is unknown, one that must be there is missing, or a value is wrong.
    """
    declared = {one.name: one for one in declared_settings(group)}
    unknown = [name for name in given if name not in declared]
    if unknown and refuse_unknown:
        what = where or "a comparison"
        raise ConfigError(f"{what} has no setting {unknown[0]!r}; it has {', '.join(sorted(declared))}")
    values = {}
    for name, one in declared.items():
        if name in given:
            values[name] = one.read(given[name], where, refuse_unknown=refuse_unknown)
        elif one.default is MISSING:
            raise ConfigError(f"{_within(where, name)} is missing; give it, on the command line by {one.option}")
    return group(**values)


_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(one, get_args(kind)[0]) for one in value)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool) and value == value
    return isinstance(value, kind)


def _within(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_kind(kind: Any, wanted: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, wanted)
