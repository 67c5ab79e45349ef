import pytest

from lm.answer_text import certain_part, cut_at_stop


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("abc", (), ("abc", False)),
        ("abc", ("x",), ("abc", False)),
        ("abcabc", ("c",), ("ab", True)),
        ("abc", ("c", "b"), ("a", True)),
        ("abc", ("",), ("abc", False)),
    ],
)
def test_text_is_cut_at_the_first_stop_text(text: str, stop: tuple[str, ...], expected: tuple[str, bool]) -> None:
    assert cut_at_stop(text, stop) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Two", "Two"),
        ("Two ", "Two"),
        ("Two\nQ", "Two"),
        ("Two\nQ:", "Two"),
        ("Two\nQx", "Two\nQx"),
        ("caf\ufffd", "caf"),
        ("Two\nQ: three", "Two"),
    ],
)
def test_what_later_tokens_may_change_is_held_back(text: str, expected: str) -> None:
    assert certain_part(text, ("\nQ:",)) == expected


def test_certain_parts_only_ever_grow_into_the_final_text() -> None:
    whole = "  It is two years\nand a day.\nQuestion: what"
    stop = ("\nQuestion:", "never")
    final = cut_at_stop(whole, stop)[0].strip()
    parts = [certain_part(whole[:i], stop) for i in range(len(whole) + 1)]
    assert parts[-1] == final
    for earlier, later in zip(parts, parts[1:], strict=False):
        assert later.startswith(earlier)
    assert all(final.startswith(part) for part in parts)
