from pathlib import Path

import pytest

from advisor.data.prompt_template import read_prompt_template
from lm.completion import Message, Role
from lm.errors import ConfigError


def written(folder: Path, text: str, name: str = "prompt.txt") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_places_are_filled_and_doubled_braces_are_braces(tmp_path: Path) -> None:
    template = read_prompt_template(written(tmp_path, 'Read {passages}\nAs {{"a": 1}} like {examples}: {question}\n'))
    (turn,) = template.messages("Why {passages}?", ["one", "two"], "Q\nA")
    assert turn == Message(Role.USER, 'Read [1] one\n\n[2] two\nAs {"a": 1} like Q\nA: Why {passages}?')
    assert [template.has(place) for place in ("{passages}", "{examples}", "{question}")] == [True] * 3


def test_a_toml_file_has_a_system_text_too(tmp_path: Path) -> None:
    path = written(tmp_path, 'system = "Be brief."\nuser = "{question}"', "prompt.toml")
    assert read_prompt_template(path).messages("Q?") == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Q?"),
    )


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("no place", "p.txt", r"has no {question} in the user's text"),
        ("{{question}}", "p.txt", "has no {question}"),
        ("{question} {context}", "p.txt", r"has {context}, and nothing belongs there; .*write {{context}} for"),
        ('system = "{question}"\nuser = "x"', "p.toml", "has no {question}"),
        ('users = "{question}"', "p.toml", "it holds users"),
        ("user = 1", "p.toml", "may hold the texts"),
        ("user = ", "p.toml", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_told(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_prompt_template(written(tmp_path, text, name))


def test_a_missing_prompt_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prompt_template(tmp_path / "none.txt")
