"""Indexes and adapters of a finished comparison, opened from what lies on disk: nothing is built in a request."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.results.answer import BuildUsage
from finetune.adapter import RECORD, AdapterRecord
from finetune.recipe import TuningRecipe
from rag.errors import DamagedIndexError
from rag.index import MARKER, Index, mend_search, open_index, read_record
from service.run.composition import BuiltStages, IndexRun, TrainingRun, opened_adapter
from service.run.progress import silent
from service.serving.errors import NotServableError
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from finetune.search import Trial
    from lm.local.huggingface import HuggingFaceModel

_AGAIN = (
    "create a comparison with the same settings (POST /v1/comparisons, or New comparison in the web UI), which builds "
    "it again and asks only what was never asked, and ask that one"
)


class OpenedStages:
    """Opens parts that others made.

    An index that is damaged is built again; an adapter is not, which would take hours.
    """

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory

    def index(self, run: IndexRun, folder: Path) -> tuple[Index, BuildUsage]:
        """The index, open.

        Raises:
            NotServableError: it is not there, or cannot be copied.
        """
        if not (folder / MARKER).is_file():
            raise _gone("index")
        try:
            try:
                record = read_record(folder)
                if record.chroma_server:
                    record = mend_search(folder)
                return open_index(folder, run.embedder), record.build_usage
            except DamagedIndexError:
                return BuiltStages(self._directory, silent).index(run, folder)
        except OSError as error:
            raise NotServableError(
                f"the index {folder.name} cannot be copied ({error.strerror}); make room on the disk, then ask again"
            ) from error

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder.

        Raises:
            NotServableError: it is not there.
            ConfigError: it is damaged.
        """
        if not (folder / RECORD).is_file():
            raise _gone("adapter")
        return opened_adapter(folder)

    def search(
        self,
        run: TrainingRun,
        base: "HuggingFaceModel",
        n_trials: int,
        folder: Path,
        adapter_folder: Callable[[TuningRecipe], Path],
    ) -> "tuple[Trial, ...]":
        """The trials of a finished search.

        Raises:
            NotServableError: it is not there, or not whole.
        """
        from finetune.search import RECORD as TRIALS
        from finetune.search import read_trials

        trials = read_trials(folder / TRIALS)
        if len(trials) < n_trials:
            raise _gone("search")
        return trials[:n_trials]


def _gone(what: str) -> NotServableError:
    return NotServableError(
        f"the {what} of this comparison is not in the data directory, or was built by another version of this program; "
        f"{_AGAIN}"
    )
