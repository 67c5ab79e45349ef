"""`tuningfork prices`: what of a price list should be read again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from advisor.money.prices import load_prices, stale_prices
from service.cli.terminal import show

prices = typer.Typer(name="prices", help="Look after price lists.")


@prices.callback()
def group() -> None:
    """Look after price lists."""


@prices.command()
def check(
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the built-in one]", show_default=False)
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days after which a price is stale.")] = 90,
) -> None:
    """Name stale prices, prices about to end, and models that are shut down now or within as many days.

    Exit codes: 0 nothing is stale, 1 something is.
    """
    price_list = load_prices(prices)
    stale = stale_prices(price_list, datetime.now(UTC).date(), max_age_days=days)
    for line in stale:
        show(line)
    n_prices = len(price_list.machines) + len(price_list.models) + len(price_list.embedders)
    show(f"{len(stale)} to look at, of {n_prices} prices.")
    raise typer.Exit(1 if stale else 0)
