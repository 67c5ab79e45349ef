"""`tuningfork compare`: the run, and what it found."""

from pathlib import Path
from typing import Annotated

import typer

from lm.errors import ConfigError
from service.cli.options import Home
from service.cli.setting_options import takes_settings
from service.cli.terminal import plain_console, show
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory

_OUT = plain_console()


@takes_settings
def compare(
    settings: ComparisonSettings,
    out: Annotated[
        Path | None, typer.Option(help="Folder into which the reports are copied as well.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Build arms, ask them the same questions, and decide.

    If interrupted, run the same command to resume. Once finished, it shows the result again. While a service works in
    the data directory, the service runs the comparison.
    """
    directory = DataDirectory.from_environment(home)
    if out is not None:
        _make_folder(out)
    from advisor.report.arms import pivot_arm
    from advisor.report.formats import REPORT_FILES
    from lm.model_identity import model_identity
    from service.cli.console import print_comparison, progress_bars
    from service.jobs.job import run_command
    from service.run.composition import LocalComposition
    from service.run.finished.asking import read_finished

    with progress_bars(_OUT) as on_progress:
        folder = run_command(settings, directory, LocalComposition, model_identity, on_progress=on_progress, tell=show)
    comparison = read_finished(directory, folder.name).comparison
    print_comparison(_OUT, comparison)
    if out is not None:
        for path in folder.iterdir():
            (out / path.name).write_bytes(path.read_bytes())
    arm = pivot_arm(comparison) or settings.arm_ids[0]
    _OUT.print()
    _OUT.print(f"Report: {(out or folder) / REPORT_FILES['html']}", soft_wrap=True)
    _OUT.print(f'Ask:    tuningfork ask {comparison.id} --pipeline {arm} "your question"', soft_wrap=True)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the reports cannot be copied to {out}: {error.strerror}; choose another --out") from None
