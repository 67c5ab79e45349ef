import math

import pytest

from advisor.results.comparison import Interval
from advisor.results.quantities import (
    AS_MEASURED,
    MISSING,
    POINTS,
    clip,
    count,
    exact_usd,
    p_value,
    percent,
    percent_in_digits,
    rounded,
    seconds,
    significant,
    unscored,
    usd,
    usd_range,
)


@pytest.mark.parametrize("write", [usd, seconds, count, significant, p_value, percent, POINTS.value, POINTS.interval])
@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_value_is_a_dash(write, missing):
    if write == POINTS.interval:
        missing = None if missing is None else Interval(missing, missing, missing)
    assert write(missing) == MISSING


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"),
        (1e-9, "under a cent"),
        (-0.002, "under a cent"),
        (0.0095, "$0.01"),
        (0.1234, "$0.12"),
        (0.9, "$0.90"),
        (0.9999, "$1.00"),
        (12.346, "$12.35"),
        (999.9, "$1,000"),
        (1234567.8, "$1,234,568"),
        (-3.5, "−$3.50"),
    ],
)
def test_money(amount, text):
    assert usd(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0"), (1e-9, "<$0.000001"), (0.0000123, "$0.0000123"), (0.0095, "$0.0095"), (12.346, "$12.35")],
)
def test_prices_and_limits_keep_their_digits(amount, text):
    assert exact_usd(amount) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0 s"),
        (0.0002, "<0.001 s"),
        (0.0841, "0.084 s"),
        (12.345, "12.3 s"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_seconds(duration_s, text):
    assert seconds(duration_s) == text


def test_scores_are_points_with_one_decimal():
    assert POINTS.interval(Interval(0.613, 0.55, 0.672)) == "61.3 [55.0, 67.2]"
    assert POINTS.difference(Interval(0.052, -0.003, 0.109)) == "+5.2 [−0.3, +10.9]"
    assert POINTS.difference(Interval(0.0, -0.0001, 0.0)) == "0.0 [0.0, 0.0]"
    assert AS_MEASURED.interval(Interval(12.3456, 11.0, 14.0)) == "12.3 [11, 14]"


def test_an_interval_without_ends_says_so():
    assert POINTS.interval(Interval(0.5, math.nan, math.nan)) == "50.0 [no interval]"


def test_shares_never_round_to_certainty():
    assert [percent(share) for share in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]


def test_nothing_unscored_is_not_mentioned():
    assert (unscored(0), unscored(3)) == ("", "unscored 3")


def test_clipping_keeps_signs_with_their_letter():
    text = "မြန်မာ" * 10
    for limit in range(2, 30):
        clipped = clip(text, limit)
        assert len(clipped) <= limit
        assert clipped[-1] == "…"
        rest = text[len(clipped) - 1 :]
        assert clipped == "…" or rest[0] not in "\u103a\u103c\u102c"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3104.2, "3,100"),
        (999.6, "1,000"),
        (12.54, "12.5"),
        (0.05, "0.05"),
        (0, "0"),
        (0.0004, "<0.001"),
        (1e8, "100,000,000"),
        (4e12, "over 10 billion"),
    ],
)
def test_rough_figures_show_no_more_digits_than_they_have(number, text):
    assert rounded(number) == text


def test_a_range_of_money_is_left_out_where_there_is_none():
    assert usd_range(Interval(1.0, 0.9, 1.1), 1000) == "[$900.00, $1,100]"
    assert usd_range(None) == ""
    assert usd_range(Interval(1.0, math.nan, 1.1)) == ""


def test_shares_in_digits_keep_three():
    assert [percent_in_digits(share) for share in (0, 0.0117, 0.8126, 1, None)] == [
        "0 %",
        "1.17 %",
        "81.3 %",
        "100 %",
        MISSING,
    ]


def test_a_difference_of_shares_never_reaches_beyond_all_points() -> None:
    wide = Interval(0.0, -1.6, 1.6)
    assert POINTS.difference(wide) == "0.0 [−100.0, +100.0]"
    assert AS_MEASURED.difference(wide) == "0 [−1.6, +1.6]"
