"""Starts the page: a process of its own that talks to the API like any other client."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lm.errors import MissingDependencyError

API_VARIABLE = "TUNING_FORK_API"
_STOP_GRACE_S = 5.0

# Streamlit's own colours leave captions, chosen pills and buttons too pale to be read by everyone: WCAG 2 asks for a
# contrast of 4.5. Buttons are white on the primary colour.
_COLOURS = {
    "theme.light.primaryColor": "#0060A8",
    "theme.light.textColor": "#11131A",
    "theme.dark.primaryColor": "#2878C8",
    "theme.dark.textColor": "#FAFAFA",
}


def page_command(port: int, *, max_upload_mb: int = 128) -> list[str]:
    """The command line that serves the page on this machine's own address.

    Raises:
        MissingDependencyError: what the page is made with is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise MissingDependencyError("the web UI needs streamlit, which is not installed; `pip install streamlit`")
    spec = importlib.util.find_spec("ui")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": max_upload_mb,
        "browser.gatherUsageStats": "false",
        # A traceback would tell a visitor nothing and an attacker much.
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        # A constant's docstring would be drawn on the page.
        "runner.magicEnabled": "false",
        "logger.level": "warning",
        **_COLOURS,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(Path(folders[0]) / "app.py"), *arguments]


def page_environment(api_url: str) -> dict[str, str]:
    """The environment of the page: ours, with the address of the API."""
    return {**os.environ, API_VARIABLE: api_url}


@contextmanager
def running_page(api_url: str, port: int, *, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The page as a child of this process, ended with it."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command, environment = page_command(port), page_environment(api_url)
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            # A page left behind by a killed service would keep its port from the next one.
            [sys.executable, "-m", "service.server.page", str(os.getpid()), *command],
            env=_without_key(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """A key meant for this process must not open the service to whoever opens the page."""
    return {name: value for name, value in environment.items() if name != "TUNING_FORK_API_KEY"}


def main() -> None:
    """Become the command behind the first argument, which is the process to end with."""
    from service.jobs.job import die_with_parent

    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
