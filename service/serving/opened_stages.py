"""Indexes and adapters of a finished comparison, opened from what lies on disk: nothing is built in a request."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.results.answer import BuildUsage
from finetune.adapter import RECORD, AdapterRecord, load_adapter_record
from finetune.recipe import TuningRecipe
from lm.errors import TuningForkError
from rag.index import MARKER, Index, copy_index, mend_search, open_index
from service.run.composition import IndexRun, TrainingRun
from service.serving.errors import NotServableError

if TYPE_CHECKING:
    from finetune.search import Trial
    from lm.local.huggingface import HuggingFaceModel

_AGAIN = (
    "create a comparison with the same settings (POST /v1/comparisons, or New comparison in the web UI), which builds "
    "it again and asks only what was never asked, and ask that one"
)


class OpenedStages:
    """Opens parts that others made.

    An index is copied before it is opened: Chroma's files belong to one process, and the job of another comparison may
    hold the same index open in its own.

    Args:
        private: A folder of this process for the copies; it need not exist.
    """

    def __init__(self, private: Path) -> None:
        self._private = private

    def index(self, run: IndexRun, folder: Path) -> tuple[Index, BuildUsage]:
        """A copy of the index, open.

        Raises:
            NotServableError: it is not there, or cannot be copied.
        """
        if not (folder / MARKER).is_file():
            raise _gone("index")
        copied = self._private / folder.name
        try:
            copy_index(folder, copied)
            record = mend_search(copied)
            return open_index(copied, run.embedder), record.build_usage
        except OSError as error:
            raise NotServableError(
                f"the index cannot be copied to {copied} ({error.strerror}); make room on the disk, then ask again"
            ) from error

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder.

        Raises:
            NotServableError: it is not there, or damaged.
        """
        if not (folder / RECORD).is_file():
            raise _gone("adapter")
        try:
            return load_adapter_record(folder)
        except TuningForkError as error:
            raise NotServableError(
                f"{error}; delete the folder stages/adapters/{folder.name} in the data directory, then {_AGAIN}"
            ) from error

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
