"""Training curves as event files that TensorBoard shows."""

import math
from pathlib import Path

from advisor.results.comparison import Comparison
from lm.errors import MissingDependencyError
from service.cli.export.mlflow_runs import ExportError, training_curve

INSTALL = "pip install 'tuning-fork[tensorboard]'"


def export_to_tensorboard(comparison: Comparison, folder: Path) -> list[Path]:
    """One run a tuned arm, in `folder/COMPARISON/ARM`; loss and validation scores by epoch.

    Returns:
        The folders written; none where no arm was tuned.
    Raises:
        MissingDependencyError: TensorBoard is not installed.
        ExportError: the folder cannot be written, or the comparison was exported there before.
    """
    try:
        from tensorboard.summary import Writer
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"event files of TensorBoard need a package that is not installed: {INSTALL}"
        ) from error
    written = []
    for arm in comparison.arms:
        curve = training_curve(comparison, arm.id)
        if not curve:
            continue
        target = folder / comparison.id / arm.id
        if target.exists() and any(target.iterdir()):
            # A second event file beside the first would show every point twice.
            raise ExportError(f"{target} holds event files already; delete it, or choose another folder")
        try:
            target.mkdir(parents=True, exist_ok=True)
            writer = Writer(str(target))
        except OSError as error:
            raise ExportError(f"{target} cannot be written: {error.strerror}; choose another folder") from None
        for point in curve:
            for name, value in point.items():
                if name != "epoch" and value is not None and math.isfinite(value):
                    writer.add_scalar(f"training/{name}", float(value), int(point["epoch"]))
        writer.close()
        written.append(target)
    return written
