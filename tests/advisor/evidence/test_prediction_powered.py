"""Corrected scores: equal to the formula, deaf to a judge's bias, and right as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.evidence.prediction_powered import (
    MIN_LABELS,
    corrected_bootstrap,
    effective_labels,
    label_counts,
    verdict_cut,
)
from advisor.evidence.statistics import Floats, SliceBootstrap
from benchmarks.simulations.judges import JUDGES, corrected

NAN = np.nan
ROWS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, NAN])), min_size=4, max_size=40)


def bootstrapped(
    judged: Floats, labels: Floats, *, declined: Floats | None = None, slices: list[str] | None = None
) -> SliceBootstrap:
    """Of arms with one training, shape (n_arms, n_questions), every question a cluster of its own."""
    n_questions = judged.shape[1]
    return corrected_bootstrap(
        judged[:, None],
        labels[:, None],
        np.zeros_like(judged)[:, None] if declined is None else declined[:, None],
        slices or ["s"] * n_questions,
        [f"c{i}" for i in range(n_questions)],
        n_resamples=2_000,
    )


def drawn(n: int, *, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Truth, a judge that is wrong in one of five answers, and labels of every fourth; shape (1, n)."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((1, n)) < 0.7).astype(float)
    judged = np.where(rng.random((1, n)) < 0.2, 1 - truth, truth)
    return truth, judged, np.where(np.arange(n) % 4 == 0, truth, NAN)


def test_the_estimate_is_that_of_ppi_with_the_tuned_weight() -> None:
    _, judged, labels = drawn(80)
    known = ~np.isnan(labels[0])
    f, y = judged[0], labels[0][known]
    n, n_rest = known.sum(), (~known).sum()
    # Angelopoulos, Duchi & Zrnic 2023, equation for the mean: the weight, and the estimate from the unlabelled rest.
    weight = np.cov(y, f[known], bias=True)[0, 1] / ((1 + n / n_rest) * f[known].var())
    expected = y.mean() + weight * (f[~known].mean() - f[known].mean())
    assert bootstrapped(judged, labels).observed[0, 0] == pytest.approx(expected)


@given(ROWS)
def test_a_judge_that_says_the_opposite_changes_nothing(rows: list[tuple[bool, float]]) -> None:
    judged = np.array([[float(good) for good, _ in rows]])
    labels = np.array([[label for _, label in rows]])
    # The cut puts a judge of one mind wholly on one side.
    if len(set(judged[0])) == 2:
        same = bootstrapped(judged, labels).observed, bootstrapped(1 - judged, labels).observed
        assert same[0][0, 0] == pytest.approx(same[1][0, 0])


@given(ROWS)
def test_means_stay_on_the_scale_and_add_up(rows: list[tuple[bool, float]]) -> None:
    judged = np.array([[float(good) for good, _ in rows]])
    labels = np.array([[label for _, label in rows]])
    declined = np.arange(len(rows))[None] % 3 == 0
    found = bootstrapped(judged, labels, declined=declined.astype(float))
    for means in (found.observed[None], found.resampled):
        score, abstaining, unscored = (means[:, i, 0] for i in range(3))
        assert (score >= 0).all()
        assert (abstaining >= 0).all()
        assert (score + abstaining + unscored <= 1 + 1e-12).all()


def test_answers_without_a_judges_score_are_unscored_whatever_their_label() -> None:
    judged = np.array([[NAN, NAN, 1.0, 1.0, 0.0, 0.0]])
    labels = np.array([[1.0, NAN, 1.0, NAN, 0.0, NAN]])
    found = bootstrapped(judged, labels)
    assert found.observed[:, 0] == pytest.approx([2 / 6, 0, 2 / 6])


def test_labels_of_several_trainings_of_an_arm_count_once_a_question() -> None:
    truth, judged, labels = drawn(80)
    once = bootstrapped(judged, labels)
    seeds = [np.repeat(values[:, None], 3, axis=1) for values in (judged, labels, np.zeros_like(truth))]
    thrice = corrected_bootstrap(
        seeds[0], seeds[1], seeds[2], ["s"] * 80, [f"c{i}" for i in range(80)], n_resamples=2_000
    )
    assert thrice.observed[::3, 0] == pytest.approx([once.observed[0, 0]] * 3)
    assert thrice.resampled[:, 0, 0].std() == pytest.approx(once.resampled[:, 0, 0].std(), rel=0.01)


def test_labels_of_one_training_speak_for_the_others_of_the_arm() -> None:
    _, judged, labels = drawn(80)
    other = np.roll(judged, 1, axis=1)
    unlabelled = np.full_like(labels, NAN)
    found = corrected_bootstrap(
        np.stack([judged, other], axis=1),
        np.stack([labels, unlabelled], axis=1),
        np.zeros((1, 2, 80)),
        ["s"] * 80,
        [f"c{i}" for i in range(80)],
        n_resamples=200,
    )
    own = bootstrapped(judged, labels).observed[0, 0]
    assert found.observed[[0, 3], 0] == pytest.approx([own, own])  # as many verdicts of each kind


def test_a_slice_without_labels_is_as_good_as_unknown() -> None:
    _, judged, labels = drawn(80)
    slices = ["a", "b"] * 40
    found = bootstrapped(judged, labels, slices=slices)  # every fourth question is labelled, and is in "a"
    low, high = np.quantile(found.resampled[:, 0, 1], [0.025, 0.975])
    assert found.slices == ("a", "b")
    assert high - low > 0.8


def test_no_label_that_disagrees_is_no_proof_that_none_would() -> None:
    judged = np.ones((1, 200))
    labels = np.where(np.arange(200) < 30, 1.0, NAN)[None]
    found = bootstrapped(judged, labels)
    assert found.observed[0, 0] == 1
    # Jeffreys' interval of 30 right answers in 30 begins at 92 %.
    assert np.quantile(found.resampled[:, 0, 0], 0.025) == pytest.approx(0.92, abs=0.015)


@pytest.mark.parametrize(
    ("scores", "cut"),
    [
        ([0.0, 1.0, 1.0, NAN], 1.0),
        ([0.1, 0.15, 0.2, 0.8, 0.9], 0.8),
        ([0.7, 0.7], 0.7),
        ([NAN], 0.0),
    ],
)
def test_the_cut_lies_between_low_scores_and_high_ones(scores: list[float], cut: float) -> None:
    assert verdict_cut(np.array(scores)) == cut


def test_labels_spread_unlike_the_traffic_are_worth_fewer() -> None:
    even = {"a": 0.5, "b": 0.5}
    assert effective_labels({"a": 15, "b": 15}, even) == pytest.approx(30)
    assert effective_labels({"a": 24, "b": 6}, even) == pytest.approx(19.2)
    assert effective_labels({"a": 30, "b": 0}, even) == 0
    assert effective_labels({"a": 30, "b": 0}, {"a": 1.0}) == pytest.approx(30)
    assert effective_labels({}, even) == 0


def test_a_question_counts_as_labelled_by_any_training() -> None:
    labels = np.array([[1.0, NAN, NAN], [NAN, 0.0, NAN]])
    assert label_counts(labels, ["a", "a", "b"]) == {"a": 2, "b": 0}


@pytest.mark.parametrize("judge", JUDGES)
def test_intervals_hold_the_truth_whatever_the_judge_is_like(judge: str) -> None:
    found = [corrected(JUDGES[judge], p, MIN_LABELS, clustered=True, n_replays=200, seed=7) for p in (0.2, 0.9)]
    for name in ("mean", "difference"):
        assert np.mean([one[name].share for one in found]) > 0.93


def test_labels_chosen_where_the_judge_tells_arms_apart_would_mislead() -> None:
    held = [
        corrected(JUDGES["harsh"], 0.5, 60, clustered=False, n_replays=200, seed=8, sample=sample)["mean"].share
        for sample in ("random", "differing")
    ]
    assert held[0] > 0.9
    assert held[1] < 0.8
