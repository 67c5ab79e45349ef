"""`tuningfork catalogue`: models worth comparing, how open they are and what they cost."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from advisor.catalogue import CatalogueModel, Openness, load_catalogue
from advisor.prices import load_prices
from advisor.report.plain_data import to_json, to_plain
from advisor.report.quantities import MISSING, usd
from lm.errors import ConfigError
from service.terminal import plain_console

_OUT = plain_console()


def catalogue(
    family: Annotated[
        str | None, typer.Option(help="Only models of this family, such as Llama or Qwen.", show_default=False)
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the one that ships]", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write all facts with their sources as JSON.")] = False,
) -> None:
    """List models worth comparing, with licence, size and price.

    Open is weights/data/code: are they published without restriction (yes), partly, or not (no)? A dash means that no
    source says. Any model of the hub can be compared as hf:ID, listed here or not.
    """
    models = load_catalogue(load_prices(prices))
    if family is not None:
        families = sorted({model.family for model in models})
        models = tuple(model for model in models if model.family.lower() == family.lower())
        if not models:
            raise ConfigError(f"the catalogue has no family {family!r}; it has {', '.join(families)}")
    if as_json:
        typer.echo(to_json(to_plain(models), indent=2))
        return
    table = Table("model", "licence", "open", box=SIMPLE_HEAD)
    for heading in ("size", "context", "USD per 1M\nin / out"):
        table.add_column(heading, justify="right")
    for model in models:
        table.add_row(
            model.name, model.licence or MISSING, _openness(model), _size(model), _context(model), _price(model)
        )
    _OUT.print(table)
    read = sorted({model.as_of for model in models})
    _OUT.print(f"Read {' to '.join(dict.fromkeys((read[0], read[-1])))}; sources and hub ids: --json", soft_wrap=True)


def _openness(model: CatalogueModel) -> str:
    marks = {Openness.YES: "yes", Openness.PARTLY: "partly", Openness.NO: "no", None: MISSING}
    return "/".join(marks[part] for part in (model.weights, model.data, model.code))


def _size(model: CatalogueModel) -> str:
    if model.parameters is None:
        return MISSING
    unit, factor = ("B", 1e9) if model.parameters >= 1e9 else ("M", 1e6)
    return f"{model.parameters / factor:.3g} {unit}"


def _context(model: CatalogueModel) -> str:
    return f"{model.context_tokens / 1000:.0f}k" if model.context_tokens else MISSING


def _price(model: CatalogueModel) -> str:
    if model.price is None:
        return MISSING
    return f"{usd(model.price.usd_per_million_input_tokens)} / {usd(model.price.usd_per_million_output_tokens)}"
