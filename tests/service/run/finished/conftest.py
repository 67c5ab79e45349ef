"""A finished comparison to be asked, checked again and damaged: run once, copied for each test."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Workplace


@pytest.fixture(scope="session")
def compared_once(workplace_class: "type[Workplace]", tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    workplace_class(root).run()
    return root


@pytest.fixture
def compared(compared_once: Path, workplace_class: "type[Workplace]", tmp_path: Path) -> "Workplace":
    """A workplace of the test's own in which a comparison has finished."""
    workplace = workplace_class(tmp_path)
    shutil.copytree(compared_once / "home", workplace.directory.root)
    for path in workplace.directory.root.glob("comparisons/*/*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace(str(compared_once), str(tmp_path)), encoding="utf-8")
    return workplace


@pytest.fixture
def report_folder(compared: "Workplace") -> Path:
    (folder,) = (compared.directory.root / "comparisons").iterdir()
    return folder
