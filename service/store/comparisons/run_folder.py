"""What a comparison left on the disk: deleted with it, where no other comparison rests on it."""

import shutil

from sqlalchemy import Engine, select

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import find_comparison
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import forget_stages
from service.store.tables import comparisons


def own_run(engine: Engine, comparison_id: str) -> str | None:
    """The run that only this comparison rests on; None where there is none, or another's it may be.

    A run is named by what it measures, so that equal comparisons share it, and one that still waits or runs on the same
    data may come to.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    stored = find_comparison(engine, comparison_id)
    others = select(comparisons.c.run_id, comparisons.c.state, comparisons.c.dataset)
    with engine.connect() as connection:
        rows = connection.execute(others.where(comparisons.c.id != comparison_id)).all()
    for row in rows:
        may_come_to = row.dataset == stored.dataset and not ComparisonState(row.state).is_final
        if may_come_to or row.run_id == stored.run_id:
            return None
    return stored.run_id


def remove_run(directory: DataDirectory, run_id: str | None) -> None:
    """Remove the folder of a run and the indexes and adapters that no other run was measured with."""
    if run_id is not None:
        forget_stages(run_id, directory)
        shutil.rmtree(directory.comparison(run_id), ignore_errors=True)
