"""Comparisons of earlier versions' command line, which left folders and no rows: given rows, so that all are listed."""

import json
import logging
import math
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select

from advisor.data.files import load_dataset
from advisor.errors import DatasetError, EvaluationError
from advisor.results.json_report import read_comparison
from service.contract.comparison_state import ComparisonState
from service.store.bundled_datasets import bundled_datasets
from service.store.data_directory import REPORT_FILE, SETTINGS_FILE, DataDirectory
from service.store.database import writing
from service.store.dataset_store import store_folder
from service.store.tables import comparisons, report_files
from service.store.workspaces import EVERY_WORKSPACE

_LOG = logging.getLogger("tuning_fork.store")


def adopt_folders(engine: Engine, directory: DataDirectory) -> None:
    """Give each finished folder a row, where its dataset is still what was compared.

    A folder written since a comparison that is not over was asked for may be that one's, whose job was killed before it
    could say so; it is left to it.
    """
    columns = (comparisons.c.id, comparisons.c.run_id, comparisons.c.state, comparisons.c.created_at)
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).execution_options(**EVERY_WORKSPACE)).all()
    told = {name for row in rows for name in (row.id, row.run_id)}
    may_be_theirs_from = min(
        (row.created_at for row in rows if not ComparisonState(row.state).is_final), default=math.inf
    )
    for report in sorted((directory.root / "comparisons").glob(f"*/{REPORT_FILE}")):
        if report.parent.name not in told and report.stat().st_mtime < may_be_theirs_from:
            try:
                _adopt(engine, report.parent)
            except (OSError, ValueError, KeyError, TypeError, EvaluationError, DatasetError) as error:
                _LOG.info("%s is not listed among the comparisons: %s", report.parent, error)


def _adopt(engine: Engine, folder: Path) -> None:
    made = read_comparison((folder / REPORT_FILE).read_text(encoding="utf-8"))
    settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    made_at = datetime.fromisoformat(made.created_at).timestamp()
    row = {
        "id": made.id,
        "run_id": made.id,
        "name": made.card.name,
        "dataset": _version(engine, settings["dataset"], made.dataset_hash),
        "settings": json.dumps(settings),
        "state": ComparisonState.SUCCEEDED,
        "cancel_requested": False,
        "created_at": made_at,
        "finished_at": made_at,
    }
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    with writing(engine) as connection:
        connection.execute(insert(comparisons).values(**row))
        contents = [{"comparison_id": made.id, "name": path.name, "content": path.read_bytes()} for path in files]
        connection.execute(insert(report_files), contents)


def _version(engine: Engine, dataset: str, content_hash: str) -> str:
    if dataset in bundled_datasets():
        return dataset
    whole = load_dataset(Path(dataset))
    if whole.content_hash != content_hash:
        raise DatasetError(f"{dataset} is no longer the dataset that was compared")
    return store_folder(engine, Path(dataset), whole)
