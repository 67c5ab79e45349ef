"""The simulations of docs/simulations.md with fewer replays, against the same bounds, and that they can fail."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from benchmarks.simulations.replays import (
    EQUAL,
    LADDER,
    RULE,
    Rng,
    choice_misstates,
    clustered_arms,
    clustered_race_ever_drops,
    correlated_arms,
    fixed_claims_winner,
    named_number_decides,
    one_slice,
    opposed_slices_race_ever_drops,
    peeking_t_test_claims,
    race_claims_winner,
    race_ever_drops,
    race_falsely_calls_equal,
    race_misstates,
    race_regret,
    race_share,
    raced,
    replayed,
    two_slices,
)

ALPHA = 0.05
PLAN = one_slice()


def design_effect(scores: np.ndarray, size: int) -> float:
    """Of the paired difference of the first two arms: variance of cluster sums over that of as many single ones."""
    differences = (scores[0] - scores[1]).reshape(-1, size)
    return float(differences.mean(axis=1).var() * size / differences.var())


def test_the_simulated_documents_have_a_design_effect_of_three() -> None:
    scores = clustered_arms(np.random.default_rng(0), 2, 5_000, 8, np.full((2, 1), 0.7))
    assert design_effect(scores, 8) > 3
    assert scores[0].mean() == pytest.approx(scores[1].mean(), abs=0.03)


def test_the_simulated_arms_have_the_accuracies_and_share_hard_questions() -> None:
    scores = correlated_arms(np.random.default_rng(0), LADDER[0.2], n=100_000)
    assert scores.mean(axis=1) == pytest.approx(LADDER[0.2], abs=0.01)
    assert np.corrcoef(scores[1], scores[2])[0, 1] > 0.25


@pytest.mark.parametrize(
    ("replay", "n_replays"),
    [
        (partial(race_claims_winner, PLAN, EQUAL), 100),
        (partial(race_claims_winner, PLAN, EQUAL[:2]), 200),
        (partial(race_ever_drops, one_slice(block_questions=10), EQUAL), 80),
        (partial(clustered_race_ever_drops, one_slice(60, 8), 3), 150),
        (partial(opposed_slices_race_ever_drops, two_slices(60, 8, coverage=0.5)), 150),
        (partial(race_misstates, PLAN, LADDER[0.2][:3]), 60),
        (partial(race_falsely_calls_equal, one_slice(1_500, block_questions=50), 0.1), 100),
        (partial(choice_misstates, None), 100),
        (partial(choice_misstates, EQUAL), 40),
        (partial(fixed_claims_winner, EQUAL), 20),  # the rates of whole samples are in test_statistics
    ],
)
def test_a_confident_statement_is_wrong_in_at_most_5_percent_of_runs(
    replay: Callable[[Rng], float], n_replays: int
) -> None:
    assert replayed(replay, n_replays=n_replays, seed=1) <= ALPHA


def test_as_many_questions_as_were_named_decide_in_about_4_of_5_runs() -> None:
    assert replayed(partial(named_number_decides, 0.1, 0.02, 100), n_replays=30, seed=3) >= 0.6


def test_documents_taken_for_independent_questions_would_break_the_bound() -> None:
    def naively(rng: Rng) -> float:
        scores = clustered_arms(rng, 2, 60, 8, np.full((2, 1), 0.7))
        return float(len(raced(scores, one_slice(480), rule=RULE).arms) < 2)

    assert replayed(naively, n_replays=80, seed=2) > 2 * ALPHA


def test_a_repeated_t_test_finds_a_winner_between_equals_in_about_30_percent_of_runs() -> None:
    assert 0.25 < replayed(partial(peeking_t_test_claims, 300, 10), n_replays=2_000, seed=3) < 0.35


@pytest.mark.parametrize(("gap", "bound"), [(0.2, 0.35), (0.1, 0.6)])
def test_a_race_needs_a_fraction_of_the_evaluations(gap: float, bound: float) -> None:
    assert replayed(partial(race_share, PLAN, LADDER[gap], 0.5), n_replays=50, seed=4) <= bound


def test_the_arm_that_is_named_is_within_a_point_of_the_best_on_fresh_questions() -> None:
    assert replayed(partial(race_regret, PLAN), n_replays=40, seed=5) <= 0.01


def test_the_number_of_processes_changes_no_figure() -> None:
    replay = partial(peeking_t_test_claims, 100, 20)
    assert replayed(replay, n_replays=20, seed=6) == replayed(replay, n_replays=20, seed=6, n_workers=2)
