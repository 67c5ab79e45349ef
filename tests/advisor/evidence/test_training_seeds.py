"""Arms that were trained several times: what the seeds do to intervals, verdicts and costs."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from advisor.data.dataset import Slice
from advisor.decision.decision import Stakes, decide
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.evidence import gather_evidence, paired_differences
from advisor.evidence.scorecard import seed_values, summarise_metric
from advisor.evidence.statistics import (
    draw_seeds,
    expanded_percentile_interval,
    mean_interval,
    paired_bootstrap,
    questions_needed,
)
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord, SeedAnswer, Verdict
from advisor.results.score import Score
from benchmarks.simulations.replays import Interval, Rng, holds, names, replayed, seed_coverage
from benchmarks.simulations.replays import recommended as recommend
from lm.completion import FinishReason, Usage

WEIGHTS = {str(Slice.NEW_CASE): 1.0}
CLUSTERS = names(60, 4)


def scores(rng: Rng, *shares: float) -> np.ndarray:
    """Binary scores of each seed, by the share of right answers; a better seed is right wherever a worse one is."""
    luck = rng.random(240)
    return np.array([luck < share for share in shares], dtype=float)


def records(arm: str, rows: np.ndarray) -> list[QuestionRecord]:
    answer = Answer("text", Usage(), FinishReason.STOP, (), "hash")

    def score(value: float) -> dict[str, Score]:
        return {"exact_match": Score(None if np.isnan(value) else value)}

    several = len(rows) > 1
    return [
        QuestionRecord(
            arm, f"q{i}", "", (), (), Slice.NEW_CASE, f"g{i}", CLUSTERS[i], answer, score(rows[0][i]),
            training_seed=7 if several else None,
            # Kept out of order: that of the seeds counts.
            other_seeds=tuple(SeedAnswer(6 + 2 * k, answer, score(row[i])) for k, row in enumerate(rows[1:])),
        )
        for i in range(rows.shape[1])
    ]  # fmt: skip


def verdict(**arms: np.ndarray) -> tuple[Verdict, str | None]:
    candidates = {arm: records(arm, rows) for arm, rows in arms.items()}
    result = recommend(candidates, (), (), dict.fromkeys(arms, 1.0), DecisionRule("exact_match"), WEIGHTS)
    return result.verdict, result.arm


@pytest.mark.parametrize("shape", [(240,), (1, 240)])
def test_one_seed_changes_no_figure(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    first, second = scores(rng, 0.7)[0], scores(rng, 0.6)[0]
    assert mean_interval(first.reshape(shape), CLUSTERS) == mean_interval(first, CLUSTERS)
    assert paired_bootstrap(first.reshape(shape), second, CLUSTERS) == paired_bootstrap(first, second, CLUSTERS)
    drawn = rng.normal(size=(50, 1, 3))
    assert draw_seeds(np.zeros((1, 3)), drawn).resampled is not None
    assert np.array_equal(draw_seeds(np.zeros((1, 3)), drawn).resampled, drawn[:, 0])


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    one = scores(rng, 0.6)
    alike = paired_bootstrap(np.repeat(one, 3, axis=0), np.zeros(240), CLUSTERS)[0]
    assert alike == paired_bootstrap(one[0], np.zeros(240), CLUSTERS)[0]
    widths = []
    for spread in (0.0, 0.1, 0.2):
        interval, _ = paired_bootstrap(scores(rng, 0.6 - spread, 0.6, 0.6 + spread), np.zeros(240), CLUSTERS)
        widths.append(interval.high - interval.low)
    assert widths[0] < widths[1] < widths[2]


def test_seeds_that_answer_alike_are_one_training() -> None:
    rng = np.random.default_rng(9)
    one, other = scores(rng, 0.6)[0], (rng.random(240) < 0.5).astype(float)
    own = [f"c{i}" for i in range(240)]
    assert mean_interval(np.stack([one] * 3), own) == mean_interval(one, own)
    # A third of a tenth and the like are no spread.
    shifted = np.full(240, 0.1)
    assert paired_bootstrap(np.stack([shifted] * 3), other * 0, CLUSTERS)[1] < 0.001


def test_the_interval_and_its_p_value_say_the_same() -> None:
    rng = np.random.default_rng(2)
    for lead in (0.03, 0.06, 0.09, 0.12, 0.15):
        rows = scores(rng, 0.5 + lead, 0.5 + lead / 2, 0.5 + 2 * lead)
        other = (rng.random(240) < 0.5).astype(float)
        for level in (0.8, 0.95, 0.99):
            interval, p_value = paired_bootstrap(rows, other, CLUSTERS, level=level)
            if abs(p_value - (1 - level)) > 0.02:
                assert (interval.low > 0) == (p_value < 1 - level)


def test_two_arms_on_the_same_adapters_are_paired_by_seed() -> None:
    rng = np.random.default_rng(3)
    tuned = scores(rng, 0.4, 0.6, 0.8)
    hybrid = np.maximum(tuned, scores(rng, 0.3))
    paired, _ = paired_bootstrap(hybrid, tuned, CLUSTERS)
    crossed, _ = paired_bootstrap(hybrid, tuned[::-1], CLUSTERS)
    assert paired.estimate == crossed.estimate
    assert paired.high - paired.low < (crossed.high - crossed.low) / 2


def test_a_lucky_seed_does_not_win() -> None:
    rng = np.random.default_rng(4)
    base = (rng.random((1, 240)) < 0.5).astype(float)
    tuned = scores(rng, 0.8, 0.5, 0.42)
    assert verdict(base=base, tuned=tuned[:1]) == (Verdict.WINNER, "tuned")
    assert verdict(base=base, tuned=tuned)[0] is not Verdict.WINNER
    assert verdict(base=base, tuned=scores(rng, 0.8, 0.78, 0.82)) == (Verdict.WINNER, "tuned")


def test_seeds_are_put_in_order_and_unscored_answers_of_any_counted() -> None:
    rows = np.array([[1.0, 0.0], [0.0, np.nan], [1.0, 1.0]])
    own = records("tuned", rows)
    assert np.array_equal(seed_values(own, "exact_match"), [[0.0, np.nan], [1.0, 0.0], [1.0, 1.0]], equal_nan=True)
    overall = summarise_metric(own, "exact_match", weights=WEIGHTS)[0]
    assert (overall.n, overall.n_unscored) == (1, 1)
    evidence = gather_evidence({"tuned": own, "base": records("base", np.zeros((1, 2)))}, "exact_match")
    assert evidence.scores.shape == (2, 3, 2)


def test_failing_in_one_seed_counts_against_the_arm() -> None:
    rng = np.random.default_rng(5)
    base, tuned = (rng.random((1, 240)) < 0.5).astype(float), scores(rng, 0.62, 0.6, 0.61)
    failed = tuned.copy()
    failed[1, np.flatnonzero(tuned[1] == 1)[:20]] = np.nan
    candidates = {"base": records("base", base), "tuned": records("tuned", tuned)}
    worse = {**candidates, "tuned": records("tuned", failed)}
    whole, less = (
        gather_evidence(arms, "exact_match").quality(WEIGHTS, ["tuned"]).floor[0] for arms in (candidates, worse)
    )
    assert less == pytest.approx(whole - 20 / 240 / 3)
    (difference,) = paired_differences(worse, "exact_match", weights=WEIGHTS)
    assert (difference.n_unscored, difference.test) == (20, "hierarchical bootstrap")


def test_a_seed_that_fails_where_it_was_lucky_makes_no_winner() -> None:
    rng = np.random.default_rng(8)
    base = (rng.random((1, 240)) < 0.5).astype(float)
    tuned = scores(rng, 0.62, 0.62, 0.76)
    failed = tuned.copy()
    failed[2, np.flatnonzero(tuned[2] > tuned[0])] = np.nan
    assert np.isnan(failed).mean() < 0.05

    def lower_bound(rows: np.ndarray) -> float:
        evidence = gather_evidence({"base": records("base", base), "tuned": records("tuned", rows)}, "exact_match")
        stakes = Stakes(WEIGHTS, 0.02, {"base": 1.0, "tuned": 1.0})
        return decide(evidence, stakes, ["base", "tuned"]).lead("tuned", "base").low

    assert lower_bound(failed) < lower_bound(tuned)


def test_more_questions_do_not_help_where_the_seeds_are_the_doubt() -> None:
    few = questions_needed(0.04, 0.05, 100)
    some = questions_needed(0.04, 0.05, 100, seed_error=0.03)
    assert few is not None and some is not None and some > few
    assert questions_needed(0.04, 0.05, 100, seed_error=0.04) is None


def test_resamples_that_are_all_alike_have_an_interval_of_one_point() -> None:
    interval = expanded_percentile_interval(0.0, np.zeros(100), 60, by_seed=np.array([0.0, 1e-13, 2e-13]))
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_arms_with_other_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(EvaluationError, match="paired scores differ in shape"):
        paired_bootstrap(np.zeros((3, 8)), np.zeros((2, 8)), ["a", "b"] * 4)


@pytest.mark.parametrize("what", ["3 training seeds, 3 points apart (sd)", "5 training seeds, 9 points apart (sd)"])
def test_intervals_over_seeds_hold_the_truth(what: str) -> None:
    rows = seed_coverage()
    for function in ("mean_interval", "paired_bootstrap"):
        replay, truth, _ = rows[f"{function}, {what}"]
        assert replayed(partial(holds, replay, truth), n_replays=150, seed=6) >= 0.9


def test_one_training_alone_would_be_wrong_far_too_often() -> None:
    replay: Callable[[Rng], Interval]
    replay, truth, _ = seed_coverage()["paired_bootstrap, one training of many, 9 points apart (why we do not)"]
    assert replayed(partial(holds, replay, truth), n_replays=100, seed=7) < 0.8
