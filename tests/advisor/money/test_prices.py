from pathlib import Path

import pytest

from advisor.money.prices import load_prices
from lm.errors import ConfigError

GOOD = """
as_of = 2026-11-20
source = "a list"
[machines.cpu]
usd_per_hour = 0.1
label = "a machine"
as_of = 2026-11-20
source = "a list"
[models.m]
usd_per_million_input_tokens = 1
usd_per_million_output_tokens = 2.0
usd_per_million_training_tokens = 3
usd_per_million_cached_input_tokens = 0.5
as_of = "2026-11-20"
source = "a list"
[embedders.e]
usd_per_million_tokens = 0.02
as_of = "2026-11-20"
source = "a list"
[storage]
usd_per_gb_month = 0.08
as_of = "2026-11-20"
source = "a list"
"""


def test_the_list_that_ships_is_dated_and_sourced() -> None:
    prices = load_prices()
    entries = [*prices.machines.values(), *prices.models.values(), *prices.embedders.values()]
    assert {"cpu", "cuda"} <= set(prices.machines)
    assert all(entry.as_of and entry.source for entry in entries)
    assert prices.storage_usd_per_gb_month > 0


def test_a_price_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    prices = load_prices(path)
    assert (prices.as_of, prices.machines["cpu"].usd_per_hour) == ("2026-11-20", 0.1)
    assert prices.models["m"].usd_per_million_training_tokens == 3.0
    assert prices.models["m"].usd_per_million_cached_input_tokens == 0.5
    assert prices.storage_usd_per_gb_month == 0.08


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("usd_per_hour = 0.1", "usd_per_hour = -0.1", "mine.toml: cpu: usd_per_hour is -0.1; give an amount"),
        ("usd_per_hour = 0.1", "usd_per_hour = nan", "cpu: usd_per_hour is nan"),
        ("usd_per_hour = 0.1", "", "cpu: usd_per_hour is None"),
        ("training_tokens = 3", "training_tokens = -3", "m: usd_per_million_training_tokens is -3"),
        ("cached_input_tokens = 0.5", "cached_input_tokens = nan", "m: usd_per_million_cached_input_tokens is nan"),
        ("usd_per_gb_month = 0.08", "usd_per_gb_month = true", "storage: usd_per_gb_month is True"),
        ('source = "a list"\n[machines', "[machines", "mine.toml: source is missing"),
        ("as_of = 2026-11-20", "as_of = ", "mine.toml: not a readable TOML price file"),
    ],
)
def test_a_bad_price_is_refused_by_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_prices(path)


def test_a_missing_price_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such price file"):
        load_prices(tmp_path / "gone.toml")
