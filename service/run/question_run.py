"""One run that lets a model write questions from documents, from its row to the version of a dataset."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine, select, update

from advisor.data.dataset import Document
from advisor.data.files import DOCUMENTS_FILE, Problem, load_dataset, problem_list
from advisor.data.folder_import import read_documents_alone
from advisor.errors import DatasetError
from advisor.money.prices import load_prices
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from lm.setting import read_settings
from service.contract.comparison_state import ComparisonState
from service.contract.settings import QuestionSettings
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.store.comparisons.comparison_store import StoredComparison, keep_files, set_state
from service.store.data_directory import DataDirectory
from service.store.database import patiently, writing
from service.store.dataset_store import dataset_folder, store_folder
from service.store.key_budget import KeyBudget
from service.store.tables import comparisons, report_files
from service.store.workspaces import in_workspace

MADE_FILE = "questions-made.json"
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


def run_questions(
    engine: Engine, directory: DataDirectory, run: StoredComparison, on_progress: OnProgress, load: Load = load_parts
) -> None:
    """Write questions and store them as a version of a dataset, which ends the run. A second start begins anew.

    Raises:
        TuningForkError: no document can be read, no question could be kept, the model failed, or the key that pays has
            spent what it may.
    """
    from service.run.composition.question_making import make_dataset

    settings = read_settings(QuestionSettings, run.settings)
    with engine.connect() as connection:
        whose = connection.execute(select(comparisons.c.workspace).where(comparisons.c.id == run.id)).scalar_one()
    # What is read and made is of the workspace of who asked for it.
    engine = in_workspace(engine, whose)
    on_progress(Progress("questions", "", 0, settings.facts))
    documents = _documents(engine, directory, run)
    parts = parts_of(run.dataset, settings)
    model, embedder = load(parts)
    budget = KeyBudget(engine, run.made_by) if run.made_by is not None else None
    writer = Spending(parts, load_prices(), budget).metered(model) or model

    def tell(n_kept: int, n_wanted: int) -> None:
        on_progress(Progress("questions", "", n_kept, n_wanted))

    workplace = directory.root / "incoming"
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="questions-", dir=workplace) as place:
        folder = Path(place) / "dataset"
        make_dataset(documents, folder, writer, embedder, settings, name=run.name, on_progress=tell)
        version = store_folder(engine, folder, load_dataset(folder))
        made = (folder / MADE_FILE).read_bytes()

    def end() -> None:
        with writing(engine) as connection:
            if set_state(connection, run.id, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING]):
                connection.execute(update(comparisons).where(comparisons.c.id == run.id).values(run_id=version))
                keep_files(connection, run.id, {MADE_FILE: made})

    patiently(end)


def made_record(engine: Engine, run_id: str) -> dict[str, object] | None:
    """What the file of a finished run says; None where it is not finished."""
    content = _file(engine, run_id, MADE_FILE)
    return None if content is None else json.loads(content)


def _documents(engine: Engine, directory: DataDirectory, run: StoredComparison) -> Sequence[Document]:
    """Those that came with the run, else those of its dataset."""
    problems: list[Problem] = []
    if (sent := _file(engine, run.id, DOCUMENTS_FILE)) is None:
        documents, _ = read_documents_alone(dataset_folder(engine, directory, run.dataset), problems)
    else:
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / DOCUMENTS_FILE).write_bytes(sent)
            documents, _ = read_documents_alone(Path(place), problems)
    if problems:
        raise DatasetError(problem_list("the documents cannot be used", problems))
    return documents


def _file(engine: Engine, run_id: str, name: str) -> bytes | None:
    named = select(report_files.c.content).where(report_files.c.comparison_id == run_id, report_files.c.name == name)
    with engine.connect() as connection:
        return connection.execute(named).scalar()
