"""The side run that lets a model write questions from documents, and stores them as a version of a dataset."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from advisor.data.dataset import Document
from advisor.data.files import DOCUMENTS_FILE, Problem, load_dataset, problem_list
from advisor.data.folder_import import read_documents_alone
from advisor.errors import DatasetError
from advisor.money.prices import load_prices
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from lm.setting import read_settings
from service.contract.settings import QuestionSettings
from service.run.progress import Progress
from service.run.settings import ComparisonSettings
from service.run.side_run import RESULT_FILES, SideResult, SideRun
from service.run.spending import Spending
from service.store.dataset_store import dataset_folder, store_folder
from service.store.tables import QUESTION_RUN

MADE_FILE = RESULT_FILES[QUESTION_RUN]
"""What was made, what was dropped, and with what settings: beside the dataset, and kept with the run."""

Load = Callable[[ComparisonSettings], tuple[LanguageModel, Embedder]]


def load_parts(settings: ComparisonSettings) -> tuple[LanguageModel, Embedder]:
    """The model that writes, and the embedder that must find the passages."""
    from service.run.composition import LoadedParts

    parts = LoadedParts(settings)
    return parts.model(settings.model), parts.embedder()


def parts_of(dataset: str, settings: QuestionSettings) -> ComparisonSettings:
    """The model and embedder as those of a comparison; what is paid for writing is counted as for judging."""
    return ComparisonSettings(
        dataset, arms=("base",), model=settings.model, embedder=settings.embedder, judge=settings.model
    )


def write_questions(run: SideRun, load: Load = load_parts) -> SideResult:
    """Write questions and store them as a version of a dataset.

    Raises:
        TuningForkError: no document can be read, no question could be kept, the model failed, or the key that pays has
            spent what it may.
    """
    from service.run.composition.question_making import make_dataset

    settings = read_settings(QuestionSettings, run.row.settings)
    run.on_progress(Progress("questions", "", 0, settings.facts))
    documents = _documents(run)
    parts = parts_of(run.row.dataset, settings)
    model, embedder = load(parts)
    writer = Spending(parts, load_prices(), run.budget).metered(model) or model

    def tell(n_kept: int, n_wanted: int) -> None:
        run.on_progress(Progress("questions", "", n_kept, n_wanted))

    workplace = run.directory.root / "incoming"
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="questions-", dir=workplace) as place:
        folder = Path(place) / "dataset"
        make_dataset(documents, folder, writer, embedder, settings, name=run.row.name, on_progress=tell)
        version = store_folder(run.engine, folder, load_dataset(folder))
        return SideResult(version, (folder / MADE_FILE).read_bytes())


def _documents(run: SideRun) -> Sequence[Document]:
    """Those that came with the run, else those of its dataset."""
    problems: list[Problem] = []
    if (sent := run.file(DOCUMENTS_FILE)) is None:
        folder = dataset_folder(run.engine, run.directory, run.row.dataset)
        documents, _ = read_documents_alone(folder, problems)
    else:
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / DOCUMENTS_FILE).write_bytes(sent)
            documents, _ = read_documents_alone(Path(place), problems)
    if problems:
        raise DatasetError(problem_list("the documents cannot be used", problems))
    return documents
