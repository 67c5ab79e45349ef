import json

import pytest

from service.safety.json_depth import MAX_JSON_VALUES, has_too_many_values, is_too_deep


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_the_limit_itself_is_allowed() -> None:
    assert not is_too_deep(nested(64))
    assert is_too_deep(nested(65))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":[', b"{[" * 3])
def test_unfinished_nesting_is_found(opening: bytes) -> None:
    assert is_too_deep(opening * 100_000)


def test_brackets_in_texts_do_not_count() -> None:
    text = '[{"\\' * 1000
    assert not is_too_deep(json.dumps({"text": text, "more": [text]}).encode())


def test_wide_json_is_not_deep() -> None:
    assert not is_too_deep(json.dumps([[i] for i in range(10_000)]).encode())


@pytest.mark.parametrize(
    "data", [b'"\\' * 500_000 + b"[" * 65, b'"' * 500_001 + b"[" * 65, b"[" * 64 + b'"' + b"\\" * 999_999]
)
def test_endless_strings_take_no_endless_time(data: bytes) -> None:
    assert is_too_deep(data) in (True, False)


@pytest.mark.parametrize("part", ["[],", "1,", '"a",', '{"a":1},', '"\\\\",', '"\\"",'])
def test_values_are_counted_whatever_they_are(part: str) -> None:
    def of(n: int) -> bytes:
        return f"[{(part * n).rstrip(',')}]".encode()

    assert not has_too_many_values(of(MAX_JSON_VALUES // 3))
    assert has_too_many_values(of(MAX_JSON_VALUES + 1))


def test_what_texts_hold_does_not_count() -> None:
    text = '{"a": [1, 2, "\\\\"]},\n' * MAX_JSON_VALUES
    assert not has_too_many_values(json.dumps({"files": {"answers.jsonl": text}}).encode())
