"""An arm's figures: what is unscored is counted and never zero."""

from collections.abc import Sequence

import numpy as np
import pytest

from advisor.data.dataset import Slice
from advisor.evidence.scorecard import mean_usage, score_values, summarise_metric
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.score import Score, unscored
from lm.completion import FinishReason, Usage

SEEN, UNSEEN = Slice.SEEN_FACT, Slice.UNSEEN_FACT
HALVES = {"seen-fact": 0.5, "unseen-fact": 0.5}
CASES = {"new-case": 1.0}


def record(
    i: int, score: float | None, *, part: Slice = Slice.NEW_CASE, cluster: str = "", usage: Usage | None = None
) -> QuestionRecord:
    scores = {"accuracy": unscored("the judge failed") if score is None else Score(score)}
    answer = Answer("text", usage or Usage(), FinishReason.STOP, (), "hash")
    return QuestionRecord("arm", f"q{i}", "?", ("a",), (), part, f"g{i}", cluster or f"c{i}", answer, scores)


def records(scores: Sequence[float | None], **options: Slice) -> list[QuestionRecord]:
    return [record(i, score, **options) for i, score in enumerate(scores)]  # type: ignore[arg-type]


def test_unscored_answers_are_counted_and_never_zero() -> None:
    (overall, part) = summarise_metric(records([1, 1, 1, 0, None, None]), "accuracy", weights=CASES)
    assert (overall.n, overall.n_unscored, overall.n_clusters) == (4, 2, 4)
    assert overall.interval is not None
    assert overall.interval.estimate == 0.75
    assert (overall.slice, part.slice) == (None, Slice.NEW_CASE)


def test_nothing_scored_has_no_interval() -> None:
    (overall, _) = summarise_metric(records([None] * 3), "accuracy", weights=CASES)
    assert (overall.interval, overall.n, overall.n_unscored) == (None, 0, 3)


def test_one_cluster_has_no_interval() -> None:
    rows = [record(i, 1.0, cluster="only") for i in range(5)]
    assert summarise_metric(rows, "accuracy", weights=CASES)[0].interval is None


def test_questions_a_metric_does_not_apply_to_are_in_no_count() -> None:
    rows = records([1, 0, 1])
    rows[1].scores.clear()  # type: ignore[attr-defined]
    (overall, _) = summarise_metric(rows, "accuracy", weights=CASES)
    assert (overall.n, overall.n_unscored) == (2, 0)
    assert np.array_equal(score_values(rows, "accuracy"), [1, np.nan, 1], equal_nan=True)


def test_the_overall_figure_weighs_slices_and_each_slice_stands_alone() -> None:
    rows = [record(i, 1.0, part=SEEN) for i in range(30)] + [record(i, 0.0, part=UNSEEN) for i in range(30, 40)]
    overall, seen, unseen = summarise_metric(rows, "accuracy", weights=HALVES)
    estimates = [summary.interval and summary.interval.estimate for summary in (overall, seen, unseen)]
    assert estimates == [pytest.approx(0.5), 1.0, 0.0]
    assert [summary.slice for summary in (overall, seen, unseen)] == [None, SEEN, UNSEEN]


def test_mean_usage_is_rounded_tokens_and_true_seconds() -> None:
    rows = [record(0, 1.0, usage=Usage(10, 3, 2, 0.5, 8)), record(1, 1.0, usage=Usage(20, 4, 0, 1.0, 16))]
    assert mean_usage(rows) == Usage(15, 4, 1, 0.75, 12)
    assert mean_usage([]) == Usage()
