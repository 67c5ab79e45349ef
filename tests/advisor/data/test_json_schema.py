import pytest

from advisor.data.json_schema import parse_object


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "null", '{"a": 1', '```json\n{"a": 1}\n```', 'Here: {"a": 1}', '{"a": 1}{"a": 2}', '{"a": NaN}']
    + ['{"a": 1, "a": 2}', '{"a": ' * 100_000, "{'a': 1}", '{"a": ' + "9" * 5000 + "}"],
)
def test_anything_but_one_json_object_is_none(text: str) -> None:
    assert parse_object(text) is None


def test_white_space_around_the_object_is_fine() -> None:
    assert parse_object(' {"a": 1}\n') == {"a": 1}
