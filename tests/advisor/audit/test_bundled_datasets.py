"""The bundled datasets are clean: what is found in them would be a false alarm, or ours to fix."""

from pathlib import Path

import pytest

from advisor.audit.dataset.audit import audit_dataset
from advisor.data.files import load_dataset

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[3] / "datasets").glob("*/dataset.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_bundled_data_set_has_no_finding(folder: Path) -> None:
    assert audit_dataset(load_dataset(folder)) == []


def test_there_are_bundled_data_sets() -> None:
    assert len(FOLDERS) >= 3
