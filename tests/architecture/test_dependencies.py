"""What is installed: its hashes; what .ci/audit.toml says cannot be reached, held by looking; what the audit makes of
findings.
"""

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lm.registry import LoadOptions
from service.run.settings import ComparisonSettings

ROOT = Path(__file__).parents[2]
PACKAGES = ("lm", "advisor", "rag", "finetune", "service", "ui")
OPENING = ("create_collection", "get_collection", "get_or_create_collection")
NAMED = re.compile(r"_collection\(|trust_remote_code|chromadb|ragas|[Dd]isk_?[Cc]ache")
LISTED = tomllib.loads((ROOT / ".ci" / "audit.toml").read_text(encoding="utf-8"))["unreachable"]


def test_every_package_that_setup_installs_has_a_version_and_hashes_of_that_version() -> None:
    pinned = set((ROOT / "constraints.txt").read_text().split())
    rows = (ROOT / "constraints-hashes.txt").read_text().replace("\\\n", " ").splitlines()
    hashed = {row.split()[0]: len(re.findall(r"--hash=sha256:[0-9a-f]{64}(?= |$)", row)) for row in rows}
    assert set(hashed) <= pinned
    assert min(hashed.values()) > 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=]", one)[0] for one in wanted}
    # The build of torch is chosen by the machine, so its hash cannot be known beforehand.
    assert names - {row.partition("==")[0] for row in hashed} == {"torch"}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """Those that name what is looked for."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    return {where: ast.parse(text) for where, text in texts.items() if NAMED.search(text)}


def calls(modules: dict[str, ast.Module]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Of each call where it is, what is called, and its named arguments."""
    for where, module in modules.items():
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                named = {one.arg: ast.unparse(one.value) for one in node.keywords if one.arg}
                yield where, ast.unparse(node.func), named


def imported(modules: dict[str, ast.Module]) -> set[str]:
    found: set[str] = set()
    for module in modules.values():
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_chroma_is_never_a_server_and_no_embedding_function_is_made_by_name(modules: dict[str, ast.Module]) -> None:
    ours = ("get_collection", "vector_search.get_collection")
    found = [one for one in calls(modules) if one[1].rpartition(".")[2] in OPENING and one[1] not in ours]
    made = [(where, named) for where, _, named in found]
    assert made
    assert [where for where, named in made if named.get("embedding_function") != "None"] == []
    parts = {name.removeprefix("chromadb.").partition(".")[0] for name in imported(modules) if "chromadb." in name}
    assert parts.isdisjoint({"server", "cli", "app", "utils"})


def test_code_of_a_model_runs_only_where_it_was_asked_for(modules: dict[str, ast.Module]) -> None:
    """That callers of the API and CI files cannot ask is tested with them."""
    given = [named["trust_remote_code"] for _, _, named in calls(modules) if "trust_remote_code" in named]
    assert "False" in given
    assert "True" not in given
    assert LoadOptions().trust_remote_code is False
    assert ComparisonSettings("x").trust_remote_code is False


def test_no_cache_of_pickles_is_made(modules: dict[str, ast.Module]) -> None:
    names = imported(modules)
    assert "ragas.metrics.collections" in names
    assert [name for name in names if name.startswith(("diskcache", "ragas.cache"))] == []
    assert [where for where, name, _ in calls(modules) if "DiskCache" in name] == []


@pytest.mark.parametrize("row", LISTED, ids=lambda row: row.get("id", row["package"]))
def test_each_listed_finding_names_a_reason_and_a_test_that_is_there(row: dict[str, str]) -> None:
    path, _, name = row["test"].partition(" ")[0].partition("::")
    assert row["why"]
    assert (ROOT / path).is_file()
    assert f"def {name}(" in (ROOT / path).read_text() or not name


def package(name: str, *vulnerabilities: str) -> dict[str, Any]:
    return {"name": name, "version": "1", "vulns": [{"id": one, "fix_versions": []} for one in vulnerabilities]}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ([package("a"), {"name": "torch", "skip_reason": "?"}], 0, "1 packages looked up.*\nNot looked up: torch"),
        ([package("chromadb", "CVE-2026-45829")], 0, "chromadb 1: CVE-2026-45829.*operator's"),
        ([package("a", "CVE-1")], 1, "a 1: CVE-1, fixed by no release yet. NOT LISTED"),
        ([{"name": "a", "skip_reason": "not found"}], 3, "not run: none of 1 packages"),
        ([], 3, "not run"),
    ],
)
def test_the_audit_tells_what_was_not_looked_up_from_what_is_sound(
    found: list[dict[str, Any]], code: int, told: str
) -> None:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    audit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(audit)
    judged = audit.judged(found, LISTED)
    assert judged[0] == code
    assert re.search(told, judged[1])
