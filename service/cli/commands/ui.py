"""`tuningfork ui`: the page alone, for a service that runs elsewhere."""

import subprocess
from typing import Annotated

import typer

from service.cli.terminal import show


def ui(
    api: Annotated[str, typer.Option(help="Address of the service.")] = "http://127.0.0.1:8000",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web UI on this machine.")] = 8501,
) -> None:
    """Open the web UI of a running service.

    If the service asks for an API key, type it into the web UI, or set TUNING_FORK_API_KEY.
    """
    from service.server.page import page_command, page_environment

    command = page_command(port)
    show(f"The web UI is at http://127.0.0.1:{port} and asks {api}. Ctrl-C stops it.")
    process = subprocess.Popen(command, env=page_environment(api))
    try:
        raise typer.Exit(2 if process.wait() else 0)
    finally:
        process.terminate()
        process.wait()
