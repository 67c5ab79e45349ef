"""The arms of a finished comparison, opened to be asked: from what lies on disk, never built in a request."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.data.dataset import Dataset, Example, TrainingView
from advisor.results.answer import BuildUsage
from finetune.adapter import RECORD, AdapterRecord, load_adapter_record
from finetune.recipe import TuningRecipe
from lm.completion import Messages
from lm.embedding import Embedder
from lm.errors import TuningForkError
from lm.language_model import LanguageModel
from rag.embedder import load_embedder
from rag.index import MARKER, Index, build_index, copy_index, open_index
from service.run.composition import LocalComposition
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.serving.errors import NotServableError
from service.store.data_directory import DataDirectory
from service.store.recorded_stages import RecordedStages

if TYPE_CHECKING:
    from lm.huggingface import HuggingFaceModel

_AGAIN = (
    "create a comparison with the same settings (POST /v1/comparisons, or New comparison on the page), which builds it "
    "again and asks only what was never asked, and ask that one"
)


class ServedComposition(LocalComposition):
    """Composes arms from parts that others made.

    An index is copied before it is opened: Chroma's files belong to one process, and the job of another comparison may
    hold the same index open in its own.

    Args:
        model: Shared with other comparisons, as is `embedder`; each is asked for when an arm first needs it.
        private: A folder of this process for the copies; it need not exist.
    """

    def __init__(
        self,
        settings: ComparisonSettings,
        directory: DataDirectory,
        recorded: RecordedStages | None,
        *,
        model: Callable[[], LanguageModel],
        embedder: Callable[[], Embedder],
        private: Path,
    ) -> None:
        super().__init__(settings, directory, silent, recorded)
        self._take_model = model
        self._take_embedder = embedder
        self._private = private

    @cached_property
    def model(self) -> LanguageModel:
        """The base model, loaded once for all comparisons."""
        return self._take_model()

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, loaded once for all comparisons."""
        return self._take_embedder()

    def close(self) -> None:
        """Release indexes and adapters; model and embedder are others' to release."""
        super().close()
        while self._adapted:
            adapted = self._adapted.popitem()[1][0]
            if hasattr(adapted, "close"):
                adapted.close()

    def _open_index(self, dataset: Dataset, directory: Path) -> tuple[Index, BuildUsage]:
        if not (directory / MARKER).is_file():
            raise _gone("index")
        copied = self._private / directory.name
        try:
            copy_index(directory, copied)
            # Of a whole index nothing is built; a copy whose search structure is damaged gets another.
            record = build_index(dataset.documents, self.embedder, copied, chunking=self._chunking)
            return open_index(copied, self.embedder), record.build_usage
        except OSError as error:
            raise NotServableError(
                f"the index cannot be copied to {copied} ({error.strerror}); make room on the disk, then ask again"
            ) from error

    def _train(
        self,
        base: "HuggingFaceModel",
        view: TrainingView,
        recipe: TuningRecipe,
        directory: Path,
        messages_of: Callable[[Example], Messages] | None,
        texts: Sequence[str],
    ) -> AdapterRecord:
        if not (directory / RECORD).is_file():
            raise _gone("adapter")
        try:
            return load_adapter_record(directory)
        except TuningForkError as error:
            raise NotServableError(
                f"{error}; delete the folder stages/adapters/{directory.name} in the data directory, then {_AGAIN}"
            ) from error


def registered_embedder(settings: ComparisonSettings) -> Embedder:
    """The embedder that settings name."""
    return load_embedder(settings.embedder)


def _gone(what: str) -> NotServableError:
    return NotServableError(
        f"the {what} of this comparison is not in the data directory, or was built by another version of this program; "
        f"{_AGAIN}"
    )
