"""Indexes and adapters that a comparison was measured with: noted when it ends, and opened by that note ever after.

Stages are named by what decides them, the program's own version among it. Whoever asks a finished comparison wants the
ones it was measured with, under whatever name an older version gave them.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lm.errors import ConfigError
from lm.files import ASIDE, write_whole
from service.store.data_directory import DataDirectory

Training = tuple[str, str, int]
"""The model an adapter was trained from, what on (`questions`, or `raft` for questions with passages), and the seed."""


@dataclass(frozen=True, slots=True)
class RecordedStages:
    """Folders of a comparison's stages, all of them there.

    Attributes:
        index: None where it has no arm that retrieves.
        adapters: By training.
    """

    index: Path | None
    adapters: Mapping[Training, Path]


def note_stages(run_id: str, markers: Sequence[Path], directory: DataDirectory) -> None:
    """Keep which stages a comparison rests on.

    Args:
        markers: The file that marks each as whole, adapters in the order of the settings' trainings.
    """
    below = [marker.relative_to(directory.root).as_posix() for marker in markers]
    write_whole(_note(run_id, directory), json.dumps(below))


def read_stages(run_id: str, directory: DataDirectory, trainings: Sequence[Training]) -> RecordedStages | None:
    """The stages of a comparison as they were noted; None where there is no note, or a stage is gone."""
    try:
        markers = [directory.below(below) for below in json.loads(_note(run_id, directory).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, ConfigError):
        return None
    indexes = [marker.parent for marker in markers if marker.parent.parent.name == "indexes"]
    adapters = [marker.parent for marker in markers if marker.parent.parent.name == "adapters"]
    if len(indexes) > 1 or len(adapters) != len(trainings) or not all(marker.is_file() for marker in markers):
        return None
    return RecordedStages(indexes[0] if indexes else None, dict(zip(trainings, adapters, strict=True)))


def forget_stages(run_id: str, directory: DataDirectory) -> None:
    """Remove the indexes and adapters that are noted for this run alone, and the note."""
    own = _note(run_id, directory)
    for folder in noted_stages(directory) - noted_stages(directory, but=own):
        for path in (folder, folder.with_name(f"{folder.name}{ASIDE}")):
            shutil.rmtree(path, ignore_errors=True)
    own.unlink(missing_ok=True)


def noted_stages(directory: DataDirectory, *, but: Path | None = None) -> set[Path]:
    """Folders of the indexes and adapters that finished comparisons rest on.

    Args:
        but: A note that does not count.
    """
    notes = [note for note in (directory.root / "stages" / "used").glob("*.json") if note != but]
    folders = set()
    for marker in {marker for note in notes for marker in _noted(note)}:
        with suppress(ConfigError, TypeError):
            folders.add(directory.below(marker).parent)
    # A marker is in a folder of its own below its kind.
    return {folder for folder in folders if folder.parent.parent == directory.root / "stages"}


def _noted(note: Path) -> set[str]:
    with suppress(OSError, ValueError, TypeError):
        return set(json.loads(note.read_text(encoding="utf-8")))
    return set()


def _note(run_id: str, directory: DataDirectory) -> Path:
    return directory.stage("used", f"{run_id}.json")
