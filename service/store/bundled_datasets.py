"""The datasets that ship, in the repository or beside the installed packages."""

import sys
from pathlib import Path

_IN_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "datasets"
_INSTALLED = Path(sys.prefix) / "share" / "tuning-fork" / "datasets"
BUNDLED_DATASETS = _IN_THE_REPOSITORY if any(_IN_THE_REPOSITORY.glob("*/dataset.toml")) else _INSTALLED


def bundled_datasets() -> list[str]:
    """Names of the datasets that ship."""
    return sorted(path.parent.name for path in BUNDLED_DATASETS.glob("*/dataset.toml"))
