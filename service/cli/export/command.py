"""`tuningfork export`: a finished comparison for the tools a team watches experiments with."""

from pathlib import Path
from typing import Annotated

import typer

from lm.errors import ConfigError
from service.cli.options import ComparisonArgument, Home
from service.cli.terminal import show
from service.store.data_directory import DataDirectory


def export(
    comparison: ComparisonArgument,
    mlflow: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow server or database (sqlite:///runs.db): runs, parameters, metrics, reports.",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's event files of training.", show_default=False)
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Folder for the answers of each arm, which `--arm answers:FILE` takes.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Write a comparison to MLflow or TensorBoard, or its answers to files.

    MLflow gets runs, figures and reports, TensorBoard the training curves.
    """
    from service.run.asking import read_finished

    if mlflow is None and tensorboard is None and answers is None:
        raise ConfigError("nothing to export to; add --mlflow URI, --tensorboard DIR or --answers DIR")
    directory = DataDirectory.from_environment(home)
    made = read_finished(directory, comparison).comparison
    if mlflow is not None:
        from service.cli.export.mlflow_runs import export_to_mlflow

        run_id, is_new = export_to_mlflow(made, directory.comparison(made.id), mlflow)
        show(
            f"MLflow run {run_id}" if is_new else f"{made.id} is in MLflow already, as run {run_id}; nothing was added"
        )
    if answers is not None:
        from service.cli.export.answer_files import export_answers

        for path, declared in export_answers(made, directory.comparison(made.id), answers):
            show(f"Written: {path}" + (f"; take it in again with --declared {declared}" if declared else ""))
    if tensorboard is not None:
        from service.cli.export.tensorboard_curves import export_to_tensorboard

        folders = export_to_tensorboard(made, tensorboard)
        for folder in folders:
            show(f"Written: {folder}")
        if not folders:
            show(f"{made.id} tuned no arm, so there is no training to show")
