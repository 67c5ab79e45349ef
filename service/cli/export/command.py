"""`tuningfork export`: a finished comparison for the tools a team watches experiments with, or a dataset for others."""

from pathlib import Path
from typing import Annotated

import typer

from lm.errors import ConfigError
from service.cli.options import Home
from service.cli.terminal import show
from service.store.data_directory import DataDirectory


def export(
    comparison: Annotated[
        str,
        typer.Argument(
            metavar="COMPARISON|DATASET",
            help="Comparison: its id, the beginning of it, or latest. With --as a dataset: its name or folder.",
            show_default=False,
        ),
    ],
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
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="FORMAT", help="Format of a dataset, such as squad or ragas.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="New folder for the dataset.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Write a comparison or dataset for other tools.

    A comparison to MLflow or TensorBoard, its answers to files, or a dataset in another tool's format.

    MLflow gets runs, figures and reports, TensorBoard the training curves. `tuningfork import` reads all formats that
    --as writes, and gets the same dataset.
    """
    if as_ is not None or to is not None:
        _export_data(comparison, as_, to)
        return
    from service.run.finished.asking import read_finished

    if mlflow is None and tensorboard is None and answers is None:
        what = "nothing to export to; add --mlflow URI, --tensorboard DIR or --answers DIR"
        raise ConfigError(f"{what}, or --as FORMAT --to FOLDER for a dataset")
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


def _export_data(name: str, form: str | None, to: Path | None) -> None:
    from advisor.data.files import load_dataset
    from advisor.data.formats.export import export_dataset
    from advisor.data.formats.table import FORMATS
    from service.run.settings import ComparisonSettings

    if form is None or to is None:
        raise ConfigError(f"to export a dataset give both --as FORMAT and --to FOLDER; formats: {', '.join(FORMATS)}")
    dataset = load_dataset(ComparisonSettings(name).dataset_folder)
    show(f"Written: {export_dataset(dataset, form, to.expanduser())}")
