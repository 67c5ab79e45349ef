"""A folder is small enough to be read as a list, and docs/architecture.md names what there is."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULES = 20
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("tree", ["lm", "advisor", "rag", "finetune", "service", "ui", "tests", "benchmarks"])
def test_no_folder_holds_more_than_twenty_modules(tree: str) -> None:
    modules = [path for path in (ROOT / tree).rglob("*.py") if path.name != "__init__.py"]
    sizes = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules)
    assert {folder: size for folder, size in sizes.items() if size > MAX_MODULES} == {}
    assert sizes


def test_the_tree_names_every_folder() -> None:
    tree = ARCHITECTURE.split("```")[3]
    named = set(re.findall(r"(\w+)/", tree))
    packages = [path.parent for name in ("lm", "advisor", "rag", "finetune", "service", "ui")
                for path in (ROOT / name).rglob("*.py")]  # fmt: skip
    assert {folder.relative_to(ROOT).as_posix() for folder in packages if folder.name not in named} == set()


def test_reading_paths_name_files_that_are_there() -> None:
    today = [line.split("|")[2] for line in ARCHITECTURE.splitlines() if line.startswith("|") and ".py`" in line]
    files = [name for cell in today for name in re.findall(r"`(\w+(?:/\w+)+\.py)`", cell)]
    assert len(files) > 40
    assert [name for name in files if not (ROOT / name).is_file()] == []
