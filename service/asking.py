"""Opening one arm of a finished comparison for questions."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from advisor.answer import Pipeline
from lm.errors import ConfigError
from service.composition import LocalComposition
from service.data_directory import DataDirectory
from service.progress import silent
from service.settings import ComparisonSettings
from service.workflow import load_limited_dataset


@contextmanager
def open_arm(directory: DataDirectory, comparison: str, kind: str) -> Iterator[Pipeline]:
    """The pipeline of one candidate arm, from the stages on disk; what is missing there is built again.

    Raises:
        ConfigError: no such comparison, or it has no such arm.
        TuningForkError: the data set or model is gone.
    """
    folder = directory.find_comparison(comparison)
    settings = ComparisonSettings.from_json(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    if kind not in settings.pipelines:
        raise ConfigError(
            f"the comparison {folder.name} has no pipeline {kind!r}; it has {', '.join(settings.pipelines)}"
        )
    composition = LocalComposition(settings, directory, silent)
    try:
        yield composition.arm(kind, load_limited_dataset(settings)).pipeline
    finally:
        composition.close()
