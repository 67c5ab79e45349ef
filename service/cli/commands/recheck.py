"""`tuningfork recheck`: does a decision still hold?"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from advisor.decision.record import Recheck, RecheckOutcome
from advisor.money.cost import Traffic
from advisor.results.plain_data import to_json, to_plain
from advisor.results.quantities import usd
from service.cli.options import Home
from service.cli.terminal import plain_console, printable
from service.store.data_directory import DataDirectory

_OUT = plain_console()
_CODES = {RecheckOutcome.HOLDS: 0, RecheckOutcome.CHANGED: 1, RecheckOutcome.UNKNOWN: 2}


def recheck(
    record: Annotated[
        str,
        typer.Argument(help="A decision.json, its folder, the id of a comparison, or: latest.", show_default=False),
    ],
    prices: Annotated[
        Path | None,
        typer.Option(help="Current price file. [default: the comparison's, read again]", show_default=False),
    ] = None,
    queries_per_month: Annotated[
        float | None, typer.Option(help="Questions per month now. [default: as recorded]", show_default=False)
    ] = None,
    refreshes_per_month: Annotated[
        float | None, typer.Option(help="Document changes per month now. [default: as recorded]", show_default=False)
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="Share of questions that training covers now.", show_default=False)
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Smallest difference that matters now.", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Current dataset. [default: where it was]", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Current model. [default: the one compared]", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result as JSON.")] = False,
    home: Home = None,
) -> None:
    """Say whether a decision still holds.

    Prices, volume, documents, questions and model may have changed since. Decides again from stored scores, and asks no
    model; where data or model changed, says what must be run again.
    Exit codes: 0 it holds, 1 it no longer holds, 2 cannot tell (also when the record has expired).
    """
    from lm.model_identity import model_dtype, model_identity
    from service.run.finished.recheck import find_record, recheck_file

    def traffic(recorded: Traffic) -> Traffic:
        given = {"queries_per_month": queries_per_month, "refreshes_per_month": refreshes_per_month}
        return replace(recorded, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    result = recheck_file(
        find_record(DataDirectory.from_environment(home), record),
        model_identity,
        today=datetime.now(UTC).date(),
        prices=prices,
        traffic=traffic,
        coverage=coverage,
        margin=margin,
        dataset=dataset,
        model=model,
        dtype_of=model_dtype,
    )
    if as_json:
        typer.echo(to_json(to_plain(result), indent=2))
    else:
        _print(result)
    raise typer.Exit(_CODES[result.outcome])


def _print(result: Recheck) -> None:
    outcome = result.outcome.value
    _OUT.print(printable(f"{outcome[0].upper()}{outcome[1:]}. {result.explanation}"), style="bold", soft_wrap=True)
    if result.expired:
        _OUT.print(f"The record expired on {result.expires_on}.", soft_wrap=True)
    for title, lines in (("Changed", result.changes), ("To be run again, by `tuningfork compare`", result.reruns)):
        if lines:
            _OUT.print(f"{title}:")
            for line in lines:
                _OUT.print(printable(f"  {line}"), soft_wrap=True)
    table = Table("arm", box=SIMPLE_HEAD)
    for heading in ("a month, then", "a month, now"):
        table.add_column(heading, justify="right")
    for total in result.monthly:
        table.add_row(printable(total.arm), usd(total.before_usd), usd(total.now_usd))
    _OUT.print(table)
