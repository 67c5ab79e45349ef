"""`tuningfork catalogue`: models worth comparing, how open they are and what they cost, also for what was measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from advisor.money.catalogue import CatalogueModel, Openness, load_catalogue, price_quality
from advisor.money.hosted_price import hosted_prices
from advisor.money.prices import PriceList, load_prices
from advisor.report.pictures.price_picture import price_figure, price_table
from advisor.results.comparison import Comparison
from advisor.results.plain_data import to_json, to_plain
from advisor.results.quantities import MISSING, exact_usd
from lm.errors import ConfigError
from lm.files import write_whole
from service.cli.options import Home
from service.cli.terminal import plain_console, printable
from service.store.data_directory import DataDirectory

_OUT = plain_console()


def catalogue(
    family: Annotated[
        str | None, typer.Option(help="Only models of this family, such as Llama or Qwen.", show_default=False)
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the built-in one]", show_default=False)
    ] = None,
    comparison: Annotated[
        str | None,
        typer.Option(
            help="Show what this comparison's tokens would cost at each priced model: its id, the beginning of it, "
            "or latest.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Draw quality and price of that comparison (of the latest, if none is named) as SVG.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write all facts with their sources as JSON.")] = False,
    home: Home = None,
) -> None:
    """List models worth comparing, with size and price.

    Open is weights/data/code: are they published without restriction (yes), partly, or not (no)? A dash means that no
    source says. Any model of the hub can be compared as hf:ID, listed here or not.
    """
    price_list = load_prices(prices)
    models = load_catalogue(price_list)
    if family is not None:
        families = sorted({model.family for model in models})
        models = tuple(model for model in models if model.family.lower() == family.lower())
        if not models:
            raise ConfigError(f"the catalogue has no family {family!r}; it has {', '.join(families)}")
    if comparison is not None or picture is not None:
        from service.run.finished.asking import read_finished

        measured = read_finished(DataDirectory.from_environment(home), comparison or "latest").comparison
        _show_prices(measured, models, price_list, picture, as_json=as_json)
        return
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
    ending = [f"{model.name} {model.price.shutdown_on}" for model in models if model.price and model.price.shutdown_on]
    if ending:
        _OUT.print(f"Shut down by their vendors: {', '.join(ending)}", soft_wrap=False)
    _OUT.print(f"Read {' to '.join(dict.fromkeys((read[0], read[-1])))}; sources and hub ids: --json", soft_wrap=True)


def _show_prices(
    measured: Comparison, models: Sequence[CatalogueModel], prices: PriceList, picture: Path | None, *, as_json: bool
) -> None:
    """What a comparison measured between price and quality, and its tokens at the models of the price list."""
    quoted = hosted_prices(measured, models, prices)
    if picture is not None:
        figure = price_figure(measured, quoted)
        if figure is None:
            raise ConfigError(f"{measured.id} has no arm with both a score and a cost, so there is nothing to draw")
        if not picture.expanduser().absolute().parent.is_dir():
            raise ConfigError(f"the folder of {picture} does not exist; make it, or give another file")
        write_whole(picture.expanduser(), figure.svg)
    if as_json:
        points = {"measured": price_quality([measured], models), "hosted_prices": quoted}
        typer.echo(to_json(to_plain(points), indent=2))
        return
    shown = price_table(measured, quoted)
    table = Table(*shown.columns[:2], box=SIMPLE_HEAD)
    for heading in shown.columns[2:]:
        table.add_column(heading, justify="right")
    for line in shown.rows:
        table.add_row(*(printable(cell.text) for cell in line.cells))
    _OUT.print(shown.caption)
    _OUT.print(table)
    _OUT.print(printable(shown.note))
    if picture is not None:
        _OUT.print(f"Written: {picture}", soft_wrap=True)


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
    price = model.price
    return f"{exact_usd(price.usd_per_million_input_tokens)} / {exact_usd(price.usd_per_million_output_tokens)}"
