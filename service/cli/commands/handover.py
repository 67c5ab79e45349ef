"""`tuningfork handover`: an arm of a finished comparison in the form of another tool."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import BaseModel, ComparisonArgument, Home
from service.cli.terminal import show
from service.handover.targets import TARGETS
from service.store.data_directory import DataDirectory, ServiceHoldsError

if TYPE_CHECKING:
    from service.run.composition import Stages


def handover(
    comparison: ComparisonArgument,
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help=f"{', '.join(TARGETS)}.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder.", show_default=False)],
    pipeline: Annotated[
        str | None, typer.Option(help="Which arm. [default: the recommended one]", show_default=False)
    ] = None,
    base_model: BaseModel = None,
    home: Home = None,
) -> None:
    """Write an arm in the form of another tool.

    The folder gets the tool's own files, a README with exact commands, and hashes of everything.
    """
    from dataclasses import replace

    from advisor.report.arms import pivot_arm
    from service.handover.hand_over import check_target, hand_over
    from service.handover.winner import Winner, adapters_of
    from service.run.finished.asking import open_arm, read_finished
    from service.run.finished.base_model import with_base_model
    from service.run.workflow import load_limited_dataset

    check_target(to, out)
    directory = DataDirectory.from_environment(home)
    finished = read_finished(directory, comparison)
    finished = replace(finished, settings=with_base_model(finished.settings, base_model))
    kind = pipeline or pivot_arm(finished.comparison) or finished.settings.arm_ids[0]
    with _stages(directory) as stages, open_arm(directory, finished, kind, stages=stages) as opened:
        dataset = load_limited_dataset(finished.settings)
        adapters = adapters_of(finished.comparison, finished.settings, kind, directory)
        readme = hand_over(Winner(finished.comparison, finished.settings, dataset, opened, adapters), to, out)
    show(f"Written: {readme.parent}. {readme.name} there has the commands.")


@contextmanager
def _stages(directory: DataDirectory) -> "Iterator[Stages | None]":
    """None where what is missing may be built here; copies to open where a service holds the data directory."""
    with ExitStack() as stack:
        try:
            stack.enter_context(directory.lock())
            yield None
        except ServiceHoldsError:
            from service.serving.arms import OpenedStages

            yield OpenedStages(directory)
