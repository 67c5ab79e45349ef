"""Every command's help as one Markdown page: `python -m service.cli.help > docs/cli.md`."""

import sys
from typing import Any

import typer

from service.cli.app import app

_WIDTH = 100


def help_page() -> str:
    """The page; the same on every terminal."""
    command = typer.main.get_command(app)
    parts = [
        "# The command line",
        "Written by `make help-docs` from the program itself; a test compares the two.",
        _section("tuningfork", command),
    ]
    parts += _sections("tuningfork", command)
    return "\n\n".join(parts) + "\n"


def _sections(path: str, group: Any) -> list[str]:
    sections = []
    for name, command in getattr(group, "commands", {}).items():
        sections += [_section(f"{path} {name}", command), *_sections(f"{path} {name}", command)]
    return sections


def _section(path: str, command: Any) -> str:
    context = command.make_context(path, ["--help"], resilient_parsing=True)
    context.terminal_width = context.max_content_width = _WIDTH
    text = "\n".join(line.rstrip() for line in command.get_help(context).strip().splitlines())
    return f"## {path}\n\n```text\n{text}\n```"


if __name__ == "__main__":
    sys.stdout.write(help_page())
