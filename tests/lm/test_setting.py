from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lm.errors import ConfigError
from lm.setting import Setting, check_settings, declared_settings, read_settings


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    width: Annotated[int, Setting("Width.", ge=1, lt=10, option="--inner-width")]
    share: Annotated[float, Setting("Share.", gt=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Outer:
    colour: Annotated[Colour, Setting("Colour.")] = Colour.RED
    names: Annotated[tuple[str, ...], Setting("Names.", choices=("a", "b"))] = ("a",)
    device: Annotated[str | None, Setting("Device.", pattern=r"cpu|cuda:\d", unset="any")] = None
    file: Annotated[Path | None, Setting("File.")] = None
    inner: Annotated[Inner | None, Setting("Inner.")] = None

    def __post_init__(self) -> None:
        check_settings(self)


def test_plain_data_is_read_as_the_declared_types() -> None:
    read = read_settings(Outer, {"colour": "blue", "names": ["b"], "file": "x", "inner": {"width": 3}})
    assert read == Outer(Colour.BLUE, ("b",), None, Path("x"), Inner(3))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"color": "red"}, "a comparison has no setting 'color'; it has colour"),
        ({"colour": "green"}, "colour is 'green'; give one of red, blue"),
        ({"colour": 3}, "colour is 3; give"),
        ({"names": ["c"]}, "names is .'c',.; give a list, each of it one of a, b"),
        ({"names": "a"}, "names is 'a'; give a list"),
        ({"device": "gpu"}, "device is 'gpu'; give a text like .*, or leave it out"),
        ({"file": 3}, "file is 3; give a path"),
        ({"inner": {"width": 10}}, "width is 10; give a whole number of at least 1 and below 10"),
        ({"inner": {"width": True}}, "width is True"),
        ({"inner": {"width": 1, "share": float("nan")}}, "share is nan; give a number above 0 and at most 1"),
        ({"inner": {}}, "inner.width is missing; give it, on the command line by --inner-width"),
        ({"inner": {"width": 1, "depth": 2}}, "inner has no setting 'depth'"),
        ({"inner": 3}, "inner is 3; give a table of settings"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_value_and_remedy(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_settings(Outer, given)


def test_unknown_names_may_be_passed_over_at_every_depth() -> None:
    read = read_settings(Outer, {"later": 1, "inner": {"width": 1, "later": 2}}, refuse_unknown=False)
    assert read.inner == Inner(1)


def test_pydantic_enforces_and_describes_the_same() -> None:
    adapter = TypeAdapter(Outer)
    for wrong in ({"names": ["c"]}, {"device": "gpu"}, {"inner": {"width": 10}}, {"inner": {"width": 1, "share": 0}}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
    fields = adapter.json_schema()["properties"]
    assert fields["names"]["items"]["enum"] == ["a", "b"]
    assert fields["device"]["anyOf"][0]["pattern"] == r"^(?:cpu|cuda:\d)$"
    assert fields["device"]["description"] == "Device."
    assert adapter.json_schema()["$defs"]["Inner"]["properties"]["width"]["exclusiveMaximum"] == 10


def test_options_and_choices_follow_name_and_type() -> None:
    declared = {one.name: one for one in declared_settings(Outer)}
    assert declared["device"].option == "--device"
    assert declared["colour"].choices == ("red", "blue")
    assert [one.option for one in declared["inner"].inner] == ["--inner-width", "--share"]
