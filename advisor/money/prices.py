"""The dated price list that money is computed from."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from lm.errors import ConfigError

_SHIPPED = resources.files("advisor.money") / "prices.toml"


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """What an hour of a machine costs."""

    usd_per_hour: float
    label: str
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What tokens of a hosted model cost.

    Attributes:
        usd_per_million_training_tokens: Of tuning, each epoch counted; None where the model cannot be tuned.
        usd_per_million_cached_input_tokens: Of the part of a prompt that the provider had read before; None where it
            costs what the rest does.
        usd_per_million_batch_input_tokens: Of answers within a day instead of at once; None where none is known.
        usd_per_hour: Of the deployment that a tuned model needs, by day and night; None where it needs none.
        valid_until: Last day of the price, ISO 8601, where its vendor says so.
        shutdown_on: Day from which the vendor answers no more; None where none is announced.
        shutdown_source: Where that was read.
    """

    usd_per_million_input_tokens: float
    usd_per_million_output_tokens: float
    as_of: str
    source: str
    usd_per_million_training_tokens: float | None = None
    usd_per_million_cached_input_tokens: float | None = None
    usd_per_million_batch_input_tokens: float | None = None
    usd_per_million_batch_output_tokens: float | None = None
    usd_per_hour: float | None = None
    valid_until: str | None = None
    shutdown_on: str | None = None
    shutdown_source: str | None = None

    def at_input_price(self, usd_per_million: float) -> "ModelPrice":
        """The same with another price of input, that of its cached part in proportion."""
        cached = self.usd_per_million_cached_input_tokens
        if cached is not None:
            was = self.usd_per_million_input_tokens
            cached = cached * usd_per_million / was if was else usd_per_million
        return replace(self, usd_per_million_input_tokens=usd_per_million, usd_per_million_cached_input_tokens=cached)


def priced_name(spec: str) -> str:
    """The name in a price list of the model or embedder that a spec names: `gpt-4o` of `openai:gpt-4o@http://h/v1`."""
    return spec.removeprefix("openai:").partition("@")[0]


def tuned_name(spec: str) -> str:
    """A model's spec or name once it is tuned at its provider: its tokens have a price of their own."""
    name, at, url = spec.partition("@")
    return f"{name} tuned{at}{url}"


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
        machines: By device kind ("cpu", "cuda") the machine that local models are priced on, and others by name.
        models: By the model name the endpoint knows.
        storage_usd_per_gb_month: Of keeping an index; 0 where the file does not say.
    """

    as_of: str
    source: str
    machines: Mapping[str, MachinePrice] = field(hash=False)
    models: Mapping[str, ModelPrice] = field(hash=False)
    embedders: Mapping[str, EmbedderPrice] = field(hash=False)
    storage_usd_per_gb_month: float = 0.0

    def embedding_usd(self, embedder: str, n_tokens: float) -> float | None:
        """USD of text that an embedder reads, named as in settings; None where it is hosted and has no price.

        One that is computed here takes time of the machine alone, unless the list has a price for it.
        """
        price = self.embedders.get(priced_name(embedder))
        if price is not None:
            return n_tokens * price.usd_per_million_tokens / 1e6
        return None if embedder.startswith("openai:") and n_tokens else 0.0

    def on_machine(self, name: str | None) -> "PriceList":
        """The same with local models priced on another machine of the list; None changes nothing.

        Raises:
            ConfigError: the list has no such machine.
        """
        if name is None:
            return self
        if name not in self.machines:
            raise ConfigError(f"the price list has no machine {name!r}; it has {', '.join(self.machines) or 'none'}")
        return replace(self, machines={**self.machines, "cpu": self.machines[name], "cuda": self.machines[name]})


def stale_prices(prices: PriceList, today: date, *, max_age_days: int) -> list[str]:
    """What should be read again, a sentence each: old prices, prices that end, models that are shut down."""
    told = []
    oldest = (today - timedelta(days=max_age_days)).isoformat()
    for kind, entries in (("machine", prices.machines), ("model", prices.models), ("embedder", prices.embedders)):
        for name, entry in entries.items():
            if entry.as_of < oldest:
                told.append(f"{kind} {name}: the price was read on {entry.as_of}; read it again at {entry.source}")
    soon = (today + timedelta(days=max_age_days)).isoformat()
    for name, model in prices.models.items():
        if model.valid_until is not None and model.valid_until < soon:
            told.append(f"model {name}: the price holds until {model.valid_until}; read it again at {model.source}")
        if model.shutdown_on is not None and model.shutdown_on <= soon:
            told.append(f"model {name}: shut down on {model.shutdown_on} ({model.shutdown_source}); choose another")
    return told


def load_prices(path: Path | None = None) -> PriceList:
    """The price list of a TOML or (by its ending) JSON file, or the one that ships.

    Raises:
        ConfigError: unreadable file, missing entry, negative price; names file and key.
    """
    name = str(path) if path else "prices.toml"
    kind = "JSON" if path and path.suffix.lower() == ".json" else "TOML"
    try:
        text = path.read_text(encoding="utf-8-sig") if path else _SHIPPED.read_text(encoding="utf-8")
        raw = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            f"{name}: there is no such price file; leave --prices out to use the one that ships"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not a readable {kind} price file: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{name}: a price list is an object of tables, not a {type(raw).__name__}")
    return read_prices(raw, name)


def read_prices(raw: Mapping[str, Any], name: str) -> PriceList:
    """A price list from its plain values.

    Args:
        name: Of where they are from, for messages.

    Raises:
        ConfigError: missing entry, negative price; names file and key.
    """
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
                _usd_if_given(row, "usd_per_million_training_tokens", name, key),
                _usd_if_given(row, "usd_per_million_cached_input_tokens", name, key),
                _usd_if_given(row, "usd_per_million_batch_input_tokens", name, key),
                _usd_if_given(row, "usd_per_million_batch_output_tokens", name, key),
                _usd_if_given(row, "usd_per_hour", name, key),
                _day_if_given(row, "valid_until", name, key),
                _day_if_given(row, "shutdown_on", name, key),
                _text(row, "shutdown_source", name, key) if "shutdown_on" in row else None,
            )
            for key, row in _table(raw, "models", name).items()
        },
        embedders={
            key: EmbedderPrice(_usd(row, "usd_per_million_tokens", name, key), *_dated(row, name, key))
            for key, row in _table(raw, "embedders", name).items()
        },
        storage_usd_per_gb_month=_storage_price(raw, name),
    )


def _storage_price(raw: Mapping[str, Any], name: str) -> float:
    row = raw.get("storage")
    if row is None:
        return 0.0
    if not isinstance(row, dict):
        raise ConfigError(f"{name}: [storage] must be a table with usd_per_gb_month, as_of and source")
    _dated(row, name, "storage")
    return _usd(row, "usd_per_gb_month", name, "storage")


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


def _usd_if_given(row: Mapping[str, Any], key: str, name: str, where: str) -> float | None:
    return _usd(row, key, name, where) if key in row else None


def _day_if_given(row: Mapping[str, Any], key: str, name: str, where: str) -> str | None:
    if key not in row:
        return None
    day = _text(row, key, name, where)
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise ConfigError(f"{name}: {where}: {key} is {day!r}; give a day, as 2026-01-31") from None


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
