"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from advisor.data.dataset import Task

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Name of a bundled dataset, or a folder.", show_default=False)
]
ComparisonArgument = Annotated[
    str,
    typer.Argument(
        metavar="COMPARISON", help="Id of a comparison, the beginning of one, or: latest.", show_default=False
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(metavar="TASK", help=f"For a folder without dataset.toml: {', '.join(Task)}.", show_default=False),
]
BaseModel = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the base model, if it has moved or is no longer shipped.",
        show_default=False,
    ),
]
Workspace = Annotated[
    str,
    typer.Option(metavar="NAME", help="Whose data it is about; datasets and comparisons of others are not there."),
]
Home = Annotated[
    Path | None,
    typer.Option("--home", help="Data directory. [default: $TUNING_FORK_HOME, else ./var]", show_default=False),
]
