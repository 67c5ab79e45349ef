import pytest

from service.cli.terminal import plain_console, printable


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines\tand a tab", "[bold]x[/]", ":smile:", "မင်္ဂလာပါ", "مرحبا", "👩‍🔧", "€ 3"]
)
def test_text_for_people_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\r", "\u202e", "\u2066", "\ud83d"])
def test_what_could_steer_a_terminal_is_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a\ufffdb"


def test_line_ends_of_windows_are_line_ends() -> None:
    assert printable("a\r\nb") == "a\nb"


def test_the_console_prints_brackets_and_colons_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console().print("[bold]x[/] :smile: 3")
    assert capsys.readouterr().out == "[bold]x[/] :smile: 3\n"
