import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.money.break_even import break_even, break_evens
from advisor.results.comparison import BreakEven, CostEstimate, Interval


def cost(fixed_usd: float, usd_per_query: float, half: float | None = None) -> CostEstimate:
    interval = None if half is None else Interval(usd_per_query, usd_per_query - half, usd_per_query + half)
    return CostEstimate(
        fixed_usd, usd_per_query, None, 0.0, fixed_usd, "", serve_interval=interval, fixed_usd_per_month=fixed_usd
    )


def total(one: CostEstimate, volume: float) -> float:
    return one.fixed_usd_per_month + one.serve_usd_per_query * volume


def test_a_dear_build_pays_from_some_volume_on() -> None:
    found = break_even("rag", cost(1, 0.002, 0.0001), "fine-tuned", cost(11, 0.001, 0.0001))
    assert found.queries_per_month == pytest.approx(10_000)
    assert (found.cheaper_below, found.cheaper_above) == ("rag", "fine-tuned")
    assert found.low == pytest.approx(10 / 0.0012)
    assert found.high == pytest.approx(10 / 0.0008)


def test_an_arm_cheaper_in_both_never_crosses_over() -> None:
    found = break_even("base", cost(0, 0.001, 0.0001), "rag", cost(1, 0.002, 0.0001))
    assert found == BreakEven("base", "rag", None, None, None, "base", "base")


def test_a_spread_wider_than_the_saving_says_that_it_may_never_cross() -> None:
    found = break_even("rag", cost(0, 0.002, 0.001), "fine-tuned", cost(10, 0.0015, 0.001))
    assert found.queries_per_month == pytest.approx(20_000)
    assert found.low == pytest.approx(10 / 0.0025)
    assert found.high is None


def test_arms_that_might_cross_within_the_spread_say_from_where() -> None:
    found = break_even("base", cost(0, 0.001, 0.0005), "rag", cost(1, 0.001, 0.0005))
    assert (found.queries_per_month, found.cheaper_below, found.cheaper_above) == (None, "base", "base")
    assert found.low == pytest.approx(1_000)


def test_equal_fixed_costs_leave_it_to_serving() -> None:
    assert break_even("a", cost(1, 2), "b", cost(1, 1)) == BreakEven("a", "b", None, None, None, "b", "b")
    assert break_even("a", cost(1, 1), "b", cost(1, 1)) == BreakEven("a", "b", None, None, None, None, None)


def test_rounding_alone_makes_no_break_even() -> None:
    found = break_even("a", cost(1, 0.1 + 0.2), "b", cost(2, 0.3))
    assert (found.queries_per_month, found.cheaper_above) == (None, "a")


def test_every_pair_is_told_once() -> None:
    pairs = break_evens({"a": cost(0, 1), "b": cost(1, 0.5), "c": cost(2, 0.1)})
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]


amounts = st.floats(1e-6, 1e6)


@given(amounts, amounts, amounts, amounts, st.sampled_from([0.5, 2.0, 1024.0]))
def test_totals_are_equal_at_the_break_even_and_ordered_around_it(
    fixed: float, serve: float, other_fixed: float, other_serve: float, factor: float
) -> None:
    costs = {"a": cost(fixed, serve), "b": cost(other_fixed, other_serve)}
    found = break_even("a", costs["a"], "b", costs["b"])
    volume = found.queries_per_month
    if volume is not None:
        assert total(costs["a"], volume) == pytest.approx(total(costs["b"], volume), rel=1e-6)
        below, above = volume * 0.5, volume * 2
        cheapest = [min(costs, key=lambda arm: total(costs[arm], at)) for at in (below, above)]
        assert cheapest == [found.cheaper_below, found.cheaper_above]
    elif found.cheaper_above is not None:
        for at in (0.0, 1.0, 1e6, 1e12):
            assert min(total(c, at) for c in costs.values()) == pytest.approx(total(costs[found.cheaper_above], at))
    scaled = break_even(
        "a", cost(fixed * factor, serve * factor), "b", cost(other_fixed * factor, other_serve * factor)
    )
    assert scaled == found
    turned = break_even("b", costs["b"], "a", costs["a"])
    assert turned.queries_per_month == volume
    if fixed != other_fixed:
        assert (turned.cheaper_below, turned.cheaper_above) == (found.cheaper_below, found.cheaper_above)
