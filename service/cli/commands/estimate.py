"""`tuningfork estimate`: what a comparison would take, before anything is run."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from service.cli.options import Home
from service.cli.setting_options import takes_settings
from service.cli.terminal import plain_console, printable
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory

_OUT = plain_console()


@takes_settings
def estimate(settings: ComparisonSettings, home: Home = None) -> None:
    """Say what a comparison would take. Nothing is run."""
    from advisor.data.files import load_dataset
    from advisor.results.quantities import count, seconds, usd
    from service.contract.schemas import Estimate, StageEstimate
    from service.run.estimate import estimate_comparison
    from service.store.comparisons.runs import home_database

    dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    directory = DataDirectory.from_environment(home)
    with home_database(directory) as engine:
        found = estimate_comparison(engine, directory, settings.to_json(), dataset)
    table = Table(box=SIMPLE_HEAD)
    for heading in ("stage", "arm", "time", "tokens", "money"):
        table.add_column(heading, justify="left" if heading in ("stage", "arm") else "right", no_wrap=True)
    rows: list[tuple[str, str, StageEstimate | Estimate]] = [(one.stage, one.arm, one) for one in found.stages]
    for name, arm, one in (*rows, ("all", "", found)):
        tokens = count(one.input_tokens + one.output_tokens + one.embedding_tokens)
        table.add_row(name, arm, seconds(one.time_s), tokens, usd(one.usd) if one.usd is not None else "not priced")
    _OUT.print(table)
    for line in (*([found.power.message] if found.power else []), *found.basis):
        _OUT.print(printable(line), soft_wrap=True)
    if found.is_rough:
        typer.echo("A rough guess: some speeds have not been measured here yet.")
