"""Dockerfile and compose.yaml fit the program: they are checked here, and built where there is Docker."""

import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from service.cli.app import app
from service.cli.commands.serve import serve

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Of the compose specification, what is used.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "init", "ports", "restart",
    "secrets", "security_opt", "stop_grace_period", "volumes",
}  # fmt: skip


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return [line.removeprefix(f"{name} ") for line in joined.splitlines() if line.startswith(f"{name} ")]


def commands() -> list[list[str]]:
    return [json.loads(one) for one in instructions("CMD")[-1:]] + [SERVICES["service"]["command"]]


def test_what_is_copied_is_there_and_sent_to_the_build() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source for copy in instructions("COPY") if "--from" not in copy for source in copy.split()[:-1]}
    assert sources == sent
    assert [source for source in sources if not (ROOT / source).exists()] == []
    packages = re.search(r"include = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    assert {name.strip('"* ') for name in packages[1].split(",")} < sources


@pytest.mark.parametrize("command", commands(), ids=["Dockerfile", "compose.yaml"])
def test_the_program_takes_its_options(command: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    # Parses, and does not run it.
    with group.make_context("tuningfork", list(command)) as context:
        name, found, rest = group.resolve_command(context, list(command))
        assert found.make_context(name, list(rest)).params["host"] == "0.0.0.0"


def test_only_the_ports_of_api_and_web_ui_are_published_and_only_on_this_machine() -> None:
    defaults = {name: one.default for name, one in inspect.signature(serve).parameters.items()}
    ports = {str(defaults["port"]), str(defaults["ui_port"])}
    assert set(instructions("EXPOSE")[0].split()) == ports
    assert {one for name in SERVICES for one in SERVICES[name].get("ports", [])} == {
        f"127.0.0.1:{port}:{port}" for port in ports
    }
    assert f"127.0.0.1:{defaults['port']}/readyz" in DOCKERFILE


def test_every_variable_of_ours_is_one_that_the_program_reads_and_documents() -> None:
    used = set(re.findall(r"TUNING_FORK_\w+", DOCKERFILE + (ROOT / "compose.yaml").read_text()))
    read = "".join(path.read_text() for package in ("lm", "service") for path in (ROOT / package).rglob("*.py"))
    documented = (ROOT / "docs" / "service.md").read_text()
    assert used
    assert [name for name in used if f'"{name}"' not in read or f"`{name}`" not in documented] == []


def test_no_password_is_written_down_and_nothing_runs_as_root() -> None:
    for service in SERVICES.values():
        assert set(service) <= SERVICE_KEYS
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        secrets = {name: value for name, value in service["environment"].items() if "PASSWORD" in name or "KEY" in name}
        assert all(value is None or value.startswith("/run/secrets/") for value in secrets.values())
        assert all(not re.search(r"://[^/]*:", str(value)) for value in service["environment"].values())
        mounted = {volume.split(":")[0] for volume in service["volumes"]}
        assert mounted <= set(COMPOSE["volumes"])
    for secret in COMPOSE["secrets"].values():
        assert Path(secret["file"]).parent.name + "/" in (ROOT / ".gitignore").read_text().splitlines()
    assert instructions("USER")[-1].isdecimal()
    assert int(instructions("USER")[-1]) > 0


def test_images_are_named_by_release_and_backups_fit_the_server() -> None:
    images = [one.split()[0] for one in instructions("FROM")] + [
        service["image"] for service in SERVICES.values() if "image" in service
    ]
    assert [image for image in images if not re.fullmatch(r"[a-z]+:\d+\.\d+[\w.-]*", image)] == []
    server = re.fullmatch(r"postgres:(\d+)\..*", SERVICES["postgres"]["image"])
    assert server is not None
    assert f"postgresql-client-{server[1]} " in DOCKERFILE


def test_the_linter_finds_nothing() -> None:
    if (linter := shutil.which("hadolint")) is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
