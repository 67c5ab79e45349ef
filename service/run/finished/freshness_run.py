"""The side run that asks the arms of a comparison again with later editions of its documents."""

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from advisor.data.revision import EDITION_FILES, REVISION_FOLDER
from advisor.errors import DatasetError
from advisor.money.prices import load_prices
from lm.errors import ConfigError
from service.contract.comparison_state import ComparisonState
from service.run.arm import Compose
from service.run.composition import LocalComposition
from service.run.finished.asking import FinishedComparison, read_finished_folder
from service.run.finished.base_model import with_base_model
from service.run.finished.freshness import freshness_json, measure_freshness, read_change
from service.run.side_run import SideResult, SideRun
from service.run.spending import check_budget
from service.run.stored_comparison import job_settings
from service.safety.json_depth import MAX_JSON_DEPTH, is_too_deep
from service.store.comparisons.comparison_store import (
    ComparisonConflictError,
    StoredComparison,
    create_comparison,
    find_comparison,
)
from service.store.comparisons.runs import restore_run
from service.store.data_directory import DataDirectory
from service.store.key_budget import KeyBudget
from service.store.tables import FRESHNESS_RUN


def check_freshness(
    engine: Engine,
    directory: DataDirectory,
    stored: StoredComparison,
    sent: Mapping[str, bytes],
    budget: KeyBudget | None,
) -> None:
    """Refuse what could not be run: later editions that cannot be asked about, and what its key may not pay for.

    Args:
        sent: Of `EDITION_FILES`; none for those that came with the dataset.

    Raises:
        ComparisonConflictError: the comparison is not finished.
        ConfigError, DatasetError: as `read_change`.
        KeySpentError: the key may spend no more.
    """
    if stored.state is not ComparisonState.SUCCEEDED:
        raise ComparisonConflictError(f"{stored.id} is {stored.state}; its arms can be asked once it has succeeded")
    finished = _finished(engine, directory, stored)
    settings = finished.settings
    check_budget(settings, load_prices(settings.prices).on_machine(settings.machine), budget)
    if not sent and not (settings.dataset_folder / REVISION_FOLDER).is_dir():
        raise DatasetError(
            f"the dataset came without later editions of its documents (a folder {REVISION_FOLDER}); send "
            f"{' and '.join(EDITION_FILES)}, which say what changed (docs/data-format.md)"
        )
    if any(is_too_deep(line) for content in sent.values() for line in content.splitlines()):
        raise DatasetError(f"a line is nested more than {MAX_JSON_DEPTH} deep; flatten it")
    with _folder(sent, settings.dataset_folder) as folder:
        read_change(finished, folder)


def queue_freshness(
    engine: Engine, stored: StoredComparison, sent: Mapping[str, bytes], **by: Any
) -> tuple[StoredComparison, bool]:
    """A queued run on a comparison, and whether it is new.

    Args:
        sent: As `check_freshness` let it pass.
        by: Who queues it, as `create_comparison` takes it.
    """
    return create_comparison(
        engine,
        comparison_id=FRESHNESS_RUN + secrets.token_hex(8),
        name=stored.name,
        dataset=stored.dataset,
        settings={"comparison_id": stored.id},
        files=sent,
        **by,
    )


def run_freshness(run: SideRun, compose: Compose | None = None) -> SideResult:
    """Ask the arms again, after each refresh that they can have.

    Raises:
        TuningForkError: as `measure_freshness`.
    """
    stored = find_comparison(run.engine, str(run.row.settings["comparison_id"]))
    finished = _finished(run.engine, run.directory, stored)
    sent = {name: content for name in EDITION_FILES if (content := run.file(name)) is not None}
    run_id = run.row.id.replace(":", "-")
    with _folder(sent, finished.settings.dataset_folder) as folder:
        found = measure_freshness(
            finished,
            run.directory,
            compose or LocalComposition,
            revision_folder=folder,
            on_progress=run.on_progress,
            budget=run.budget,
            run_id=run_id,
        )
    # It is known by its id here; its run's may be that of several.
    return SideResult(run_id, freshness_json(replace(found, comparison=stored.id)).encode())


def _finished(engine: Engine, directory: DataDirectory, stored: StoredComparison) -> FinishedComparison:
    """As it was measured, with dataset and files written where this machine finds them."""
    finished = read_finished_folder(restore_run(engine, directory, stored.id, stored.run_id or stored.id))
    stored_settings = find_comparison(engine, stored.id, sent_files=True).settings
    written = job_settings(engine, directory, stored.dataset, stored_settings)
    settings = with_base_model(finished.settings, None)
    return replace(finished, settings=replace(settings, dataset=written.dataset))


@contextmanager
def _folder(sent: Mapping[str, bytes], dataset: Path) -> Iterator[Path]:
    """Where the later editions are; what is wrong with them is told without our paths."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / REVISION_FOLDER if sent else dataset / REVISION_FOLDER
        if sent:
            folder.mkdir()
        for name, content in sent.items():
            (folder / name).write_bytes(content)
        try:
            yield folder
        except (ConfigError, DatasetError) as error:
            told = str(error).replace(str(folder), REVISION_FOLDER).replace(str(dataset), dataset.name)
            raise type(error)(told) from error
