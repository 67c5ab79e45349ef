"""Bets: fair under the hypothesis, monotone, and equal to what can be worked out by hand."""

from collections.abc import Sequence
from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.evidence.betting import (
    FRACTIONS,
    Payoffs,
    log_evidence,
    log_wealth,
    lower_confidence_sequence,
    most_log_evidence,
)

DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=12)


def block(values: Sequence[float]) -> Payoffs:
    return Payoffs(np.array(values, dtype=float), np.ones(len(values)))


def test_a_bet_on_a_fair_coin_pays_what_arithmetic_says() -> None:
    wealth = np.exp(log_wealth(block([1.0, -1.0, 1.0]), 0.0))
    assert wealth == pytest.approx((1 + FRACTIONS) ** 2 * (1 - FRACTIONS))
    assert float(log_evidence(np.log(wealth))) == pytest.approx(log(wealth.mean()))


@pytest.mark.parametrize("chances", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.8), (0.3, 0.6)])
def test_units_that_expect_different_things_win_nothing_while_their_mean_is_not_above_zero(
    chances: tuple[float, float],
) -> None:
    # The sum over all outcomes of two coins is the exact expectation; (.9, .1) is two slices that cancel each other.
    expected = sum(
        np.prod([p if x > 0 else 1 - p for p, x in zip(chances, outcome, strict=True)])
        * np.exp(log_wealth(block(outcome), 0.0))
        for outcome in product((1.0, -1.0), repeat=2)
    )
    assert np.all(expected <= 1 + 1e-12)


def test_the_hypothesis_at_its_edge_is_fair_for_units_of_unequal_worth() -> None:
    # Worth 1.5 and .5, both .2 better on average: the mean over the block is .2 and a bet on "above .2" is fair.
    worths = np.array([1.5, 0.5])
    expected = sum(
        np.prod([0.6 if x > 0 else 0.4 for x in outcome])
        * np.exp(log_wealth(Payoffs(worths * np.array(outcome), worths), 0.2))
        for outcome in product((1.0, -1.0), repeat=2)
    )
    assert np.all(expected <= 1 + 1e-12)
    assert np.all(expected > 0.99)


@given(DIFFERENCES, st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_a_higher_hypothesis_is_never_easier_to_refute(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert np.all(log_wealth(block(values), high) <= log_wealth(block(values), low) + 1e-9)


@given(DIFFERENCES, st.integers(0, 11))
def test_a_higher_value_never_lowers_wealth(values: list[float], position: int) -> None:
    raised = list(values)
    raised[position % len(values)] = 1.0
    assert np.all(log_wealth(block(raised), 0.0) >= log_wealth(block(values), 0.0))


def test_wealth_survives_the_worst_run() -> None:
    assert np.isfinite(log_wealth(block([-1.0] * 500), 0.0)).all()


def test_the_confidence_sequence_ends_where_the_evidence_reaches_the_threshold() -> None:
    blocks = [block([1.0, 0, 1, 0, -1, 1, 1, 0]) for _ in range(6)]
    low = lower_confidence_sequence(blocks, log(20))
    assert most_log_evidence(blocks, low) == pytest.approx(log(20), abs=1e-4)
    assert 0 < low < 3 / 8


def test_a_bound_once_reached_is_kept() -> None:
    good, bad = [block([1.0] * 20)], [block([-1.0] * 20)]
    assert lower_confidence_sequence(good + bad, log(20)) == lower_confidence_sequence(good, log(20))
    assert lower_confidence_sequence([], log(20)) == -1.0
