"""Statistics against values worked out elsewhere, and by seeded simulation: coverage and false winners."""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import EvaluationError
from advisor.evidence.statistics import (
    ArmBootstrap,
    bootstrap_p_value,
    bootstrap_slices,
    deciding_error,
    holm,
    holm_levels,
    mcnemar_exact,
    mean_interval,
    minimum_detectable_effect,
    paired_bootstrap,
    questions_needed,
    unseen_error,
    unseen_size,
    wilson_interval,
    with_unseen,
)
from benchmarks.simulations.replays import (
    COVERAGE,
    clustered_scores,
    holds,
    names,
    replayed,
    share_of_claims_among_equal_arms,
)

N_REPLAYS = 2_000


@pytest.mark.parametrize(
    ("n_successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_agrees_with_published_intervals(n_successes: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(n_successes, n)
    assert interval.estimate == n_successes / n
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("n_successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_a_proportion_without_trials_is_refused(n_successes: int, n: int) -> None:
    with pytest.raises(EvaluationError, match=f"a proportion of {n_successes} in {n} trials has no interval"):
        wilson_interval(n_successes, n)


def test_holm_agrees_with_the_hand_computed_example() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, the last raised to its forerunner's .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    for (p, q), (r, s) in itertools.combinations(zip(p_values, adjusted, strict=True), 2):
        assert (p - r) * (q - s) >= 0


def test_mcnemar_agrees_with_the_hand_computed_binomial() -> None:
    first = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 0, np.nan])
    second = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1.0])
    # 7 of 8 discordant pairs one way: 2 * (C(8,0) + C(8,1)) / 2^8.
    assert mcnemar_exact(first, second) == pytest.approx(18 / 256)
    assert mcnemar_exact(second, first) == pytest.approx(18 / 256)
    assert mcnemar_exact(first, first) == 1.0


def test_mcnemar_refuses_graded_scores() -> None:
    with pytest.raises(EvaluationError, match="use the paired bootstrap for graded ones"):
        mcnemar_exact(np.array([0.5, 1.0]), np.array([0.0, 1.0]))


def test_the_detectable_effect_is_about_2_8_standard_errors() -> None:
    assert minimum_detectable_effect(0.01) == pytest.approx(0.028016, abs=1e-6)


def test_questions_needed_grow_with_the_square_of_the_error() -> None:
    assert questions_needed(0.01, 0.01, 100) == 100
    assert questions_needed(0.005, 0.01, 100) == 400
    assert questions_needed(0.0, 0.01, 100) is None
    assert questions_needed(0.01, 0.0, 100) is None
    # What was not seen shrinks with the number of questions.
    assert questions_needed(0.005, 0.0, 100, unseen=0.01) == 200


def test_a_difference_is_decided_by_its_distance_from_0_or_from_the_margin() -> None:
    assert deciding_error(0.28016, 0.02) == pytest.approx(0.1, abs=1e-4)
    assert deciding_error(0.025, 0.02) == pytest.approx(0.005 / 0.8416, abs=1e-4)
    assert deciding_error(0.0, 0.028016) == pytest.approx(0.01, abs=1e-5)
    assert deciding_error(0.02, 0.02) == 0.0


@pytest.mark.parametrize("n", [10, 30, 300])
def test_no_difference_seen_in_n_questions_still_allows_about_3_in_n(n: int) -> None:
    for values in (np.ones(n), np.zeros(n)):
        interval, p_value = paired_bootstrap(values, values, names(n))
        assert (interval.estimate, p_value) == (0.0, 1.0)
        assert interval.low == pytest.approx(-interval.high)
        assert 2.7 / n < interval.high < 3.5 / n
    clustered, _ = paired_bootstrap(np.ones(4 * n), np.ones(4 * n), names(n, 4))
    assert clustered.high == pytest.approx(interval.high)


def test_the_levels_of_holm_say_what_its_p_values_say() -> None:
    assert holm_levels([0.001, 0.02, 0.04]) == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05])
    assert holm_levels([0.03, 0.001, 0.04]) == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 3, 1 - 0.05 / 2])
    assert holm_levels([0.2, 0.3]) == pytest.approx([1 - 0.05 / 2] * 2)
    assert holm_levels([0.001, 0.001, 0.04]) == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 3, 1 - 0.05])
    assert holm_levels([]) == []


def test_the_bootstrap_is_seeded() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(50), rng.random(50)
    assert paired_bootstrap(first, second, names(50), seed=3) == paired_bootstrap(first, second, names(50), seed=3)
    assert paired_bootstrap(first, second, names(50), seed=3) != paired_bootstrap(first, second, names(50), seed=4)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(0, 1000))
def test_the_order_of_questions_changes_no_digit(shuffler: "np.random.Generator", seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 11, 60) / 10, rng.integers(0, 11, 60) / 10
    first[rng.integers(60)] = np.nan
    clusters, slices = names(20, 3), [f"s{i}" for i in rng.integers(0, 2, 60)]
    weights = {"s0": 0.3, "s1": 0.7}
    order = list(range(60))
    shuffler.shuffle(order)
    assert paired_bootstrap(first, second, clusters, slices=slices, weights=weights, n_resamples=500) == (
        paired_bootstrap(
            first[order],
            second[order],
            [clusters[i] for i in order],
            slices=[slices[i] for i in order],
            weights=weights,
            n_resamples=500,
        )
    )


def test_swapping_the_arms_turns_the_interval_round() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 80).astype(float), rng.integers(0, 2, 80).astype(float)
    forward, p_forward = paired_bootstrap(first, second, names(40, 2))
    backward, p_backward = paired_bootstrap(second, first, names(40, 2))
    assert (forward.estimate, forward.low, forward.high) == pytest.approx(
        (-backward.estimate, -backward.high, -backward.low)
    )
    assert p_forward == p_backward


def test_the_joint_bootstrap_gives_the_same_differences_as_the_paired_one() -> None:
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 2, (2, 90)).astype(float)
    slices = tuple(f"s{i % 2}" for i in range(90))
    weights = {"s0": 0.2, "s1": 0.8}
    observed, resampled = bootstrap_slices(scores, slices, names(30, 3)).weighted(weights)
    interval, _ = paired_bootstrap(scores[0], scores[1], names(30, 3), slices=slices, weights=weights)
    assert observed[0] - observed[1] == pytest.approx(interval.estimate)
    low, high = np.quantile(resampled[:, 0] - resampled[:, 1], [0.025, 0.975])
    assert interval.low < low < high < interval.high
    assert sum(ArmBootstrap(("a", "b"), observed, resampled).probability_best().values()) == pytest.approx(1)


def test_weights_of_slices_decide_the_mean() -> None:
    values, slices = np.array([1.0, 1, 1, 1, 0, 0] * 5), ["s", "s", "s", "s", "u", "u"] * 5
    interval = mean_interval(values, names(10, 3), slices=slices, weights={"s": 0.25, "u": 0.75}, n_resamples=500)
    assert interval.estimate == pytest.approx(0.25)


def test_unscored_questions_are_left_out_and_never_zero() -> None:
    values = np.array([1.0, 1, np.nan, 0, 1, np.nan])
    assert mean_interval(values, names(6)).estimate == 0.75
    assert mean_interval(values, names(6)) == wilson_interval(3, 4)
    assert mean_interval(values, names(3, 2), n_resamples=500).estimate == 0.75


def test_clusters_that_are_all_right_do_not_make_certain() -> None:
    interval = mean_interval(np.ones(40), names(20, 2))
    assert interval.high == 1.0
    assert 0.75 < interval.low < 0.9


def test_a_metric_outside_the_unit_range_has_an_interval_too() -> None:
    interval = mean_interval(np.random.default_rng(0).normal(5, 1, 100), names(50, 2), n_resamples=1_000)
    assert 4.5 < interval.low < interval.estimate < interval.high < 5.5
    assert interval.method == "clustered bootstrap"


def test_clustered_intervals_are_wider_than_naive_ones() -> None:
    values = clustered_scores(np.random.default_rng(0), 60, 8, 0.6)
    naive, clustered = mean_interval(values, names(480)), mean_interval(values, names(60, 8))
    assert (clustered.high - clustered.low) > 1.5 * (naive.high - naive.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval(np.full(3, np.nan), names(3)), "no question could be scored"),
        (lambda: mean_interval(np.array([0.0, 1, 1]), ["c"] * 3), "all questions belong to one cluster"),
        (lambda: paired_bootstrap(np.zeros(3), np.zeros(2), names(3)), "paired scores differ in shape"),
        (lambda: paired_bootstrap(np.zeros(3), np.full(3, np.nan), names(3)), "no question is scored for both arms"),
        (lambda: bootstrap_slices(np.zeros((1, 0)), (), ()), "there is no test question"),
        (lambda: bootstrap_slices(np.eye(1, 2), "ss", "cd").weighted({"t": 1}), "leave no weight on any slice"),
        (lambda: bootstrap_slices(np.eye(1, 2), "ss", "cd").weighted({"s": -1}), "leave no weight on any slice"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(call: Callable[[], object], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        call()


def test_a_slice_that_most_resamples_miss_is_refused() -> None:
    slices = ["s"] * 30 + ["rare"] + ["rarer"]
    with pytest.raises(EvaluationError, match="a slice has so few documents or facts"):
        mean_interval(np.ones(32), names(32), slices=slices, weights={"s": 0.4, "rare": 0.3, "rarer": 0.3})


def test_the_simulated_clusters_have_a_design_effect_of_three() -> None:
    rng = np.random.default_rng(0)
    means = np.array([clustered_scores(rng, 60, 8, 0.6).mean() for _ in range(N_REPLAYS)])
    assert means.var() / (0.6 * 0.4 / 480) > 3


@pytest.mark.parametrize("name", COVERAGE)
def test_95_percent_intervals_hold_the_truth_93_to_97_times_in_100(name: str) -> None:
    replay, truth = COVERAGE[name]
    assert 0.93 <= replayed(partial(holds, replay, truth), n_replays=N_REPLAYS, seed=11) <= 0.97


def test_of_five_equal_arms_a_difference_is_claimed_in_at_most_5_percent_of_runs() -> None:
    assert share_of_claims_among_equal_arms(N_REPLAYS, seed=12) <= 0.05


def test_the_false_winner_simulation_uses_the_p_value_that_is_reported() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 2, 60).astype(float), rng.integers(0, 2, 60).astype(float)
    slices = ("s",) * 60
    joint = bootstrap_slices(np.array([first, second]), slices, names(30, 2), n_resamples=2_000)
    _, resampled = joint.weighted({"s": 1})
    difference = np.round(resampled[:, 0] - resampled[:, 1], 12)
    _, p_value = paired_bootstrap(first, second, names(30, 2), n_resamples=2_000)
    cells = slices, names(30, 2)
    unseen = unseen_error(*cells, {"s": 1}) * unseen_size(first - second, *cells)
    assert p_value == bootstrap_p_value(with_unseen(difference, unseen), 30)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n_clusters", [12, 60])
def test_the_p_value_is_below_alpha_just_when_the_interval_clears_zero(n_clusters: int, level: float) -> None:
    rng = np.random.default_rng(4)
    agreed = cleared = 0
    for shift in np.linspace(0, 1.2, 40):
        second = rng.normal(size=n_clusters)
        first = second + rng.normal(shift, 1, n_clusters)
        interval, p_value = paired_bootstrap(first, second, names(n_clusters), level=level)
        agreed += (p_value < 1 - level) == (interval.low > 0 or interval.high < 0)
        cleared += interval.low > 0
    assert agreed >= 37  # the least p that the resamples of 12 clusters can give is .0101
    assert 0 < cleared < 40
