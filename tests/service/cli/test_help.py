import pytest

from service.cli.app import app, main
from service.cli.help import help_page


def test_every_command_has_a_section() -> None:
    page = help_page()
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        assert f"\n## tuningfork {name}\n" in page


def test_no_summary_of_a_command_is_cut_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "..." not in capsys.readouterr().out.split("Commands:")[1]


def test_the_page_is_the_same_on_every_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = help_page()
    for columns in ("40", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        assert help_page() == page
    assert max(map(len, page.splitlines())) <= 100
