"""The folder of a run beside its rows: deleted with the comparison, where nobody else may need it."""

import json
import shutil
from pathlib import Path

from sqlalchemy import Engine, select

from service.contract.comparison_state import ComparisonState
from service.store.comparison_store import find_comparison
from service.store.data_directory import REPORT_FILE, SETTINGS_FILE, DataDirectory
from service.store.stored_reports import read_report_files
from service.store.tables import comparisons


def own_run_folder(engine: Engine, directory: DataDirectory, comparison_id: str) -> Path | None:
    """The folder that only this comparison rests on; None where there is none, or another's it may be.

    A run is named by what it measures, so that equal comparisons share its folder, and one that still waits or runs on
    the same data may come to. Runs of bundled data sets may be of `tuningfork compare`, which no row tells.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    stored = find_comparison(engine, comparison_id)
    report = read_report_files(engine, comparison_id, REPORT_FILE).get(REPORT_FILE)
    if report is None:
        return None
    others = select(comparisons.c.settings, comparisons.c.state).where(
        comparisons.c.id != comparison_id, comparisons.c.dataset == stored.dataset
    )
    unfinished = [state for state in ComparisonState if not state.is_final]
    with engine.connect() as connection:
        rows = connection.execute(others).all()
    if any(ComparisonState(row.state) in unfinished or json.loads(row.settings) == stored.settings for row in rows):
        return None
    try:
        folder = directory.comparison(json.loads(report)["id"])
        dataset = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    uploaded = directory.root / "datasets" / stored.dataset
    inside = folder.resolve().parent == (directory.root / "comparisons").resolve()
    return folder if inside and Path(dataset).resolve() == uploaded.resolve() else None


def remove_run_folder(folder: Path | None) -> None:
    """Remove what `own_run_folder` found, once the comparison is deleted."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
