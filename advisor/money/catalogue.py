"""The model catalogue: licence, openness, size, context and price of models, each with source and date.

And where our own measurements put models between price and quality.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from advisor.data.toml_lines import key_line, table_line
from advisor.money.prices import ModelPrice, PriceList
from advisor.results.comparison import ArmRole, Comparison, Interval
from lm.errors import ConfigError
from lm.weights.embedded_model import EMBEDDED_MODEL, HUB_ID


class Openness(StrEnum):
    """How far something is published."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One model; what no source says is None or "".

    Attributes:
        licence: Its name.
        weights: Yes: free to use; partly: under terms that restrict use; no: behind an API.
        data: Whether the training data is published; code: whether the training code is.
        parameters: All of them, as the maker rounds them.
        context_tokens: Longest input and output together.
        hub_id: `org/name`, to be compared as `hf:org/name`.
        price: By the token where it is hosted, with its own date and source.
        as_of: The day the sources were read, ISO 8601.
    """

    name: str
    family: str
    as_of: str
    sources: tuple[str, ...]
    licence: str = ""
    weights: Openness | None = None
    data: Openness | None = None
    code: Openness | None = None
    parameters: int | None = None
    context_tokens: int | None = None
    hub_id: str = ""
    priced_as: str = ""
    price: ModelPrice | None = None
    note: str = ""

    @property
    def fully_open(self) -> bool:
        """Whether weights, data and code are all published without restriction."""
        return self.weights is self.data is self.code is Openness.YES


@dataclass(frozen=True, slots=True)
class PricedQuality:
    """One arm of one comparison between price and quality.

    Attributes:
        model: As compared; catalogue_name: its row, "" if it has none.
        score: By `metric`, weighed by traffic.
        n: Scored questions; n_unscored: those that could not be scored.
        usd_per_1000_queries: Serving cost; None without a price.
        usd_interval: Of `usd_per_1000_queries`; None where no spread was measured.
        is_recommended: Whether its comparison names this arm.
    """

    comparison_id: str
    dataset: str
    metric: str
    model: str
    catalogue_name: str
    parameters: int | None
    licence: str
    arm: str
    score: Interval
    n: int
    n_unscored: int
    usd_per_1000_queries: float | None
    usd_interval: Interval | None
    is_recommended: bool


_TEXTS = ("name", "family", "licence", "hub_id", "priced_as", "note")
_OPENNESS = ("weights", "data", "code")
_COUNTS = ("parameters", "context_tokens")
_KEYS = {*_TEXTS, *_OPENNESS, *_COUNTS, "as_of", "sources"}
_REQUIRED = ("name", "family", "as_of", "sources")


def load_catalogue(prices: PriceList, path: Path | None = None) -> tuple[CatalogueModel, ...]:
    """The catalogue of a file, or the one that ships, with the prices of a price list.

    Raises:
        ConfigError: unreadable file; every row that misses a fact or holds a malformed one, by line.
    """
    name = str(path) if path else "catalogue.toml"
    try:
        text = (path or resources.files("advisor.money") / "catalogue.toml").read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such catalogue") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not a readable TOML catalogue: {error}") from None
    rows = raw.get("model", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: no model; each is a table [[model]]")
    problems = [f"{name}: unknown key {key!r} at the top; models are tables [[model]]" for key in raw if key != "model"]
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        for key, problem in _problems(row, prices):
            line = key_line(text, key, table="model", index=index) or table_line(text, "model", index)
            problems.append(f"{name}, line {line}: {problem}")
        first = seen.setdefault(str(row.get("name")), index)
        if first != index:
            line = key_line(text, "name", table="model", index=index)
            problems.append(f"{name}, line {line}: {row.get('name')!r} is there twice; keep one")
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(_model(row, prices) for row in rows)


def _problems(row: Mapping[str, Any], prices: PriceList) -> list[tuple[str, str]]:
    """What is wrong with a row, as (key, sentence)."""
    found = [(key, f"unknown key {key!r}; known are {', '.join(sorted(_KEYS))}") for key in row if key not in _KEYS]
    found += [(key, f"{key} is missing; every model has {', '.join(_REQUIRED)}") for key in _REQUIRED if key not in row]
    found += [
        (key, f"{key} is {row[key]!r}; give text, or leave it out")
        for key in _TEXTS
        if key in row and not (isinstance(row[key], str) and row[key].strip())
    ]
    found += [
        (key, f"{key} is {row[key]!r}; give yes, partly or no, or leave it out")
        for key in _OPENNESS
        if key in row and row[key] not in [member.value for member in Openness]
    ]
    found += [
        (key, f"{key} is {row[key]!r}; give a whole number of at least 1, or leave it out")
        for key in _COUNTS
        if key in row and (not isinstance(row[key], int) or isinstance(row[key], bool) or row[key] < 1)
    ]
    if "hub_id" in row and not re.fullmatch(r"[\w.-]+/[\w.-]+", str(row["hub_id"])):
        found.append(("hub_id", f"hub_id is {row['hub_id']!r}; give org/name"))
    if "priced_as" in row and row["priced_as"] not in prices.models:
        known = ", ".join(prices.models) or "none"
        found.append(("priced_as", f"priced_as is {row['priced_as']!r}, which the price list lacks; it has {known}"))
    if "as_of" in row and not _is_date(row["as_of"]):
        found.append(("as_of", f"as_of is {row['as_of']!r}; give the day the sources were read, as 2026-01-31"))
    if "sources" in row and not _are_urls(row["sources"]):
        found.append(("sources", f"sources is {row['sources']!r}; give a list of one or more https:// addresses"))
    return found


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, date) or bool(isinstance(value, str) and date.fromisoformat(value))
    except ValueError:
        return False


def _are_urls(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(url, str) and re.fullmatch(r"https://[^\s/]+\.[^\s]+", url) for url in value)
    )


def _model(row: Mapping[str, Any], prices: PriceList) -> CatalogueModel:
    openness = {key: Openness(row[key]) for key in _OPENNESS if key in row}
    fixed = {
        "as_of": str(row["as_of"]),
        "sources": tuple(row["sources"]),
        "price": prices.models.get(row.get("priced_as", "")),
    }
    return CatalogueModel(**{**row, **openness, **fixed})


def find_model(catalogue: Sequence[CatalogueModel], spec: str) -> CatalogueModel | None:
    """The row of a model as it was compared (`smollm2`, `hf:org/name`, `openai:NAME[@URL]`), if there is one."""
    spec = HUB_ID if spec == EMBEDDED_MODEL else spec
    name = spec.removeprefix("hf:").removeprefix("openai:").split("@")[0].lower()
    return next((m for m in catalogue if name and name in (m.hub_id.lower(), m.priced_as.lower())), None)


def price_quality(comparisons: Sequence[Comparison], catalogue: Sequence[CatalogueModel]) -> tuple[PricedQuality, ...]:
    """Every measured candidate of every comparison between price and quality.

    Scores of different datasets or metrics are not comparable: they come sorted by dataset and metric, then from
    cheap to dear. Arms without a score are left out; those without a price come last.
    """
    points = []
    for comparison in comparisons:
        metric = comparison.recommendation.metric
        row = find_model(catalogue, comparison.model)
        for arm in comparison.arms:
            summary = arm.metric(metric)
            if arm.role is not ArmRole.CANDIDATE or summary is None or summary.interval is None:
                continue
            points.append(
                PricedQuality(
                    comparison_id=comparison.id,
                    dataset=comparison.card.name,
                    metric=metric,
                    model=comparison.model,
                    catalogue_name=row.name if row else "",
                    parameters=row.parameters if row else None,
                    licence=row.licence if row else "",
                    arm=arm.id,
                    score=summary.interval,
                    n=summary.n,
                    n_unscored=summary.n_unscored,
                    usd_per_1000_queries=1000 * arm.cost.serve_usd_per_query if arm.cost else None,
                    usd_interval=_of_1000(arm.cost.serve_interval) if arm.cost else None,
                    is_recommended=arm.id == comparison.recommendation.arm,
                )
            )
    return tuple(sorted(points, key=_price_order))


def _of_1000(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return replace(interval, estimate=1000 * interval.estimate, low=1000 * interval.low, high=1000 * interval.high)


def _price_order(point: PricedQuality) -> tuple[Any, ...]:
    cost = point.usd_per_1000_queries
    return point.dataset, point.metric, cost is None, cost or 0.0, point.model, point.arm
