"""docs/cli.md is what the program says of itself."""

from pathlib import Path

from service.cli.help import help_page

CLI_PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_command_line_page_is_current() -> None:
    assert CLI_PAGE.read_text(encoding="utf-8") == help_page(), "run `make help-docs`"
