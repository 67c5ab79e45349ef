"""Figures of one arm of a race: intervals that hold at any stop, on what was asked and on nothing else."""

import numpy as np
import pytest

from advisor.data.dataset import Slice
from advisor.decision.race_scorecard import summarise_raced_metric
from advisor.results.answer import Answer
from advisor.results.comparison import MetricSummary, QuestionRecord
from advisor.results.score import Score
from lm.completion import FinishReason, Usage

WEIGHTS = {str(Slice.SEEN_FACT): 0.8, str(Slice.UNSEEN_FACT): 0.2}
ANSWER = Answer("text", Usage(), FinishReason.STOP, (), "hash")


def record(number: int, part: Slice, value: float | None, metric: str = "exact_match") -> QuestionRecord:
    cluster = f"d{number}"
    return QuestionRecord(
        "rag", f"q{number}", "", (), (), part, cluster, cluster, ANSWER, {metric: Score(value)} if metric else {}
    )


def blocks(values: list[list[float | None]], *, metric: str = "exact_match") -> list[list[QuestionRecord]]:
    """Slices in turn within each block; every question is its own document."""
    parts = (Slice.SEEN_FACT, Slice.UNSEEN_FACT)
    return [
        [record(1000 * b + i, parts[i % 2], value, metric) for i, value in enumerate(block)]
        for b, block in enumerate(values)
    ]


def overall(made: list[list[QuestionRecord]], metric: str = "exact_match") -> MetricSummary:
    return summarise_raced_metric(made, metric, weights=WEIGHTS)[0]


def test_slices_are_weighed_and_shown_on_their_own() -> None:
    whole, seen, unseen = summarise_raced_metric(blocks([[1.0, 0.0] * 10] * 3), "exact_match", weights=WEIGHTS)
    assert whole.interval and seen.interval and unseen.interval
    assert (whole.interval.estimate, seen.interval.estimate, unseen.interval.estimate) == (pytest.approx(0.8), 1, 0)
    assert (whole.n, seen.n, unseen.n) == (60, 30, 30)
    assert seen.interval.high == 1 and unseen.interval.low == 0
    assert seen.interval.low > 0.6 and unseen.interval.high < 0.4


def test_more_blocks_narrow_the_interval() -> None:
    widths = []
    for n_blocks in (1, 4, 16):
        interval = overall(blocks([[1.0, 1.0, 0.0, 0.0] * 5] * n_blocks)).interval
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[0] > widths[1] > widths[2]


def test_unscored_answers_only_widen_it() -> None:
    scored, failed = [1.0, 1.0, 0.0, 0.0] * 5, [1.0, 1.0, 0.0, None] * 5
    whole, less = overall(blocks([list(scored)] * 3)), overall(blocks([list(failed)] * 3))
    assert whole.interval and less.interval
    assert less.interval.low <= whole.interval.low < whole.interval.high < less.interval.high
    assert (less.n, less.n_unscored) == (45, 15)


def test_questions_the_metric_does_not_apply_to_count_nowhere() -> None:
    made = blocks([[1.0, 1.0] * 10] * 2)
    made[0] += [record(9000, Slice.SEEN_FACT, None, metric="")]
    assert (overall(made).n, overall(made).n_unscored) == (40, 0)


def test_a_metric_beyond_0_and_1_and_one_without_scores_have_no_interval() -> None:
    assert overall(blocks([[-0.5, 0.5] * 10])).interval is None
    assert overall(blocks([[None, None] * 10])).interval is None


def test_a_block_that_lacks_a_slice_goes_with_the_next() -> None:
    made = blocks([[1.0, 1.0] * 5] * 2)
    split = [made[0][::2], made[0][1::2], made[1]]
    assert overall(split).interval == overall(made).interval


def test_the_interval_holds_the_truth_however_often_one_looks() -> None:
    wrong = 0
    for replay in range(60):
        rng = np.random.default_rng([11, replay])
        made = blocks([(rng.random(20) < 0.6).astype(float).tolist() for _ in range(8)])
        looks = [overall(made[:n]).interval for n in (1, 2, 4, 8)]
        wrong += any(look is None or not look.low <= 0.6 <= look.high for look in looks)
    assert wrong <= 3
