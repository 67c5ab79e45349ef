from datetime import date
from pathlib import Path

import pytest

from advisor.money.prices import load_prices, stale_prices
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
usd_per_million_batch_input_tokens = 0.4
usd_per_million_batch_output_tokens = 0.9
valid_until = 2027-03-31
shutdown_on = 2027-06-30
shutdown_source = "the vendor"
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
    assert (len(prices.models) >= 25, len(prices.machines) >= 6) == (True, True)
    for price in prices.models.values():
        given = (price.usd_per_million_batch_input_tokens, price.usd_per_million_cached_input_tokens)
        assert all(usd is None or usd <= price.usd_per_million_input_tokens for usd in given)
        assert (price.shutdown_on is None) == (price.shutdown_source is None)
    assert prices.storage_usd_per_gb_month > 0


def test_a_price_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    prices = load_prices(path)
    assert (prices.as_of, prices.machines["cpu"].usd_per_hour) == ("2026-11-20", 0.1)
    assert prices.models["m"].usd_per_million_training_tokens == 3.0
    assert prices.models["m"].usd_per_million_cached_input_tokens == 0.5
    assert prices.storage_usd_per_gb_month == 0.08
    assert prices.models["m"].usd_per_million_batch_output_tokens == 0.9
    assert (prices.models["m"].valid_until, prices.models["m"].shutdown_on) == ("2027-03-31", "2027-06-30")


def test_local_models_are_priced_on_the_machine_that_is_named() -> None:
    prices = load_prices()
    on = prices.on_machine("runpod-h200")
    assert on.machines["cpu"] == on.machines["cuda"] == prices.machines["runpod-h200"]
    assert prices.on_machine(None) is prices
    with pytest.raises(ConfigError, match=r"no machine 'abacus'; it has cpu, cuda"):
        prices.on_machine("abacus")


def test_stale_prices_are_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    prices = load_prices(path)
    assert stale_prices(prices, date(2026, 12, 1), max_age_days=90) == []
    assert stale_prices(prices, date(2027, 1, 15), max_age_days=90) == [
        "model m: the price holds until 2027-03-31; read it again at a list"
    ]
    told = stale_prices(prices, date(2027, 4, 1), max_age_days=90)
    assert [line.split(":")[0] for line in told] == ["machine cpu", "model m", "embedder e", "model m", "model m"]
    assert told[-1] == "model m: shut down on 2027-06-30 (the vendor); choose another"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("usd_per_hour = 0.1", "usd_per_hour = -0.1", "mine.toml: cpu: usd_per_hour is -0.1; give an amount"),
        ("usd_per_hour = 0.1", "usd_per_hour = nan", "cpu: usd_per_hour is nan"),
        ("usd_per_hour = 0.1", "", "cpu: usd_per_hour is None"),
        ("training_tokens = 3", "training_tokens = -3", "m: usd_per_million_training_tokens is -3"),
        ("cached_input_tokens = 0.5", "cached_input_tokens = nan", "m: usd_per_million_cached_input_tokens is nan"),
        ("shutdown_on = 2027-06-30", "shutdown_on = 'soon'", "m: shutdown_on is 'soon'; give a day"),
        ('shutdown_source = "the vendor"', "", "m: shutdown_source is missing"),
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
