"""Money from measured tokens and seconds, by a dated price list."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from advisor.answer import BuildUsage
from advisor.comparison import CostEstimate
from lm.completion import Usage
from lm.errors import ConfigError

SECONDS_PER_HOUR = 3600.0
_SHIPPED = resources.files("advisor") / "prices.toml"


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """What an hour of a machine costs."""

    usd_per_hour: float
    label: str
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What tokens of a hosted model cost."""

    usd_per_million_input_tokens: float
    usd_per_million_output_tokens: float
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class EmbedderPrice:
    """What tokens of a hosted embedder cost."""

    usd_per_million_tokens: float
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """All prices of one file.

    Attributes:
        machines: By device kind ("cpu", "cuda"): the machine that local models are priced on.
        models: By the model name the endpoint knows.
    """

    as_of: str
    source: str
    machines: Mapping[str, MachinePrice] = field(hash=False)
    models: Mapping[str, ModelPrice] = field(hash=False)
    embedders: Mapping[str, EmbedderPrice] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What production is expected to look like.

    Attributes:
        queries_per_month: Questions users will ask.
        refreshes_per_month: How often the index is rebuilt or the adapter retrained because documents changed.
        amortisation_months: Over how long the first build is spread.
    """

    queries_per_month: float = 10_000
    refreshes_per_month: float = 1.0
    amortisation_months: float = 12.0

    def __post_init__(self) -> None:
        for name in ("queries_per_month", "refreshes_per_month"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}; give a number of at least 0")
        if not 0 < self.amortisation_months < float("inf"):
            raise ConfigError(f"amortisation_months is {self.amortisation_months}; give a number above 0")


def load_prices(path: Path | None = None) -> PriceList:
    """The price list of a file, or the one that ships.

    Raises:
        ConfigError: unreadable file, missing entry, negative price; names file and key.
    """
    name = str(path) if path else "prices.toml"
    try:
        text = path.read_text(encoding="utf-8-sig") if path else _SHIPPED.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            f"{name}: there is no such price file; leave --prices out to use the one that ships"
        ) from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not a readable TOML price file: {error}") from None
    return PriceList(
        as_of=_text(raw, "as_of", name, ""),
        source=_text(raw, "source", name, ""),
        machines={
            key: MachinePrice(
                _usd(row, "usd_per_hour", name, key), _text(row, "label", name, key), *_dated(row, name, key)
            )
            for key, row in _table(raw, "machines", name).items()
        },
        models={
            key: ModelPrice(
                _usd(row, "usd_per_million_input_tokens", name, key),
                _usd(row, "usd_per_million_output_tokens", name, key),
                *_dated(row, name, key),
            )
            for key, row in _table(raw, "models", name).items()
        },
        embedders={
            key: EmbedderPrice(_usd(row, "usd_per_million_tokens", name, key), *_dated(row, name, key))
            for key, row in _table(raw, "embedders", name).items()
        },
    )


def _table(raw: Mapping[str, Any], key: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    table = raw.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        raise ConfigError(f"{name}: [{key}] must hold tables such as [{key}.NAME]")
    return table


def _usd(row: Mapping[str, Any], key: str, name: str, where: str) -> float:
    value = row.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ConfigError(f"{name}: {where}: {key} is {value!r}; give an amount in US dollars of at least 0")
    return float(value)


def _text(row: Mapping[str, Any], key: str, name: str, where: str) -> str:
    value = row.get(key)
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(
            f"{name}: {where + ': ' if where else ''}{key} is missing; every price says when and where it was read"
        )
    return value


def _dated(row: Mapping[str, Any], name: str, where: str) -> tuple[str, str]:
    return _text(row, "as_of", name, where), _text(row, "source", name, where)


def estimate_cost(
    prices: PriceList,
    traffic: Traffic,
    *,
    model: str,
    embedder: str,
    device: str | None,
    build: BuildUsage,
    usage_per_question: Usage,
    throughput_per_s: float,
    accuracy: float | None,
) -> CostEstimate | None:
    """Cost of one arm, or None when the list has no price for what it runs on.

    Args:
        model: The name the endpoint knows; looked up only when `device` is None.
        device: "cpu" or "cuda" where we run the model ourselves, None for a hosted one.
        throughput_per_s: Questions a second in batches on that machine.
        accuracy: Traffic-weighted score in [0, 1], for the cost per correct answer.
    """
    if device is not None:
        machine = prices.machines.get(device)
        if machine is None or throughput_per_s <= 0:
            return None
        usd_per_s = machine.usd_per_hour / SECONDS_PER_HOUR
        serve_usd = usd_per_s / throughput_per_s
        build_usd = usd_per_s * build.wall_s
        basis = f"{machine.label} at {machine.usd_per_hour} USD/h, fully used at {throughput_per_s:.1f} questions/s"
    else:
        hosted = prices.models.get(model)
        if hosted is None:
            return None
        serve_usd = (
            usage_per_question.input_tokens * hosted.usd_per_million_input_tokens
            + usage_per_question.output_tokens * hosted.usd_per_million_output_tokens
        ) / 1e6
        build_usd = 0.0
        basis = f"{model} by the token, prices of {hosted.as_of}"
    if embedder in prices.embedders:
        per_token = prices.embedders[embedder].usd_per_million_tokens / 1e6
        serve_usd += usage_per_question.embedding_tokens * per_token
        build_usd += build.embedding_tokens * per_token
    refresh_usd = build_usd * traffic.refreshes_per_month
    monthly = build_usd / traffic.amortisation_months + refresh_usd + serve_usd * traffic.queries_per_month
    per_correct = serve_usd / accuracy if accuracy else None
    return CostEstimate(build_usd, serve_usd, per_correct, refresh_usd, monthly, basis)
