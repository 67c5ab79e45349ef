"""A folder is small enough to be read as a list."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULES = 20


@pytest.mark.parametrize("tree", ["lm", "advisor", "rag", "finetune", "service", "ui", "tests", "benchmarks"])
def test_no_folder_holds_more_than_twenty_modules(tree: str) -> None:
    modules = [path for path in (ROOT / tree).rglob("*.py") if path.name != "__init__.py"]
    sizes = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules)
    assert {folder: size for folder, size in sizes.items() if size > MAX_MODULES} == {}
    assert sizes
