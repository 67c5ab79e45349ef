"""How each two arms differ."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from advisor.data.dataset import Slice
from advisor.evidence.evidence import paired_differences
from advisor.evidence.scorecard import applicable
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.score import Score, unscored
from lm.completion import FinishReason, Usage

SEEN, UNSEEN = Slice.SEEN_FACT, Slice.UNSEEN_FACT
HALVES = {"seen-fact": 0.5, "unseen-fact": 0.5}
CASES = {"new-case": 1.0}


def record(i: int, score: float | None, *, part: Slice = Slice.NEW_CASE, cluster: str = "") -> QuestionRecord:
    scores = {"accuracy": unscored("the judge failed") if score is None else Score(score)}
    answer = Answer("text", Usage(), FinishReason.STOP, (), "hash")
    return QuestionRecord("arm", f"q{i}", "?", ("a",), (), part, f"g{i}", cluster or f"c{i}", answer, scores)


def records(scores: Sequence[float | None], **options: Slice) -> list[QuestionRecord]:
    return [record(i, score, **options) for i, score in enumerate(scores)]  # type: ignore[arg-type]


def test_binary_scores_of_independent_cases_are_tested_by_mcnemar() -> None:
    arms = {"a": records([1.0] * 20), "b": records([0.0] * 8 + [1.0] * 12)}
    (difference,) = paired_differences(arms, "accuracy", weights=CASES)
    assert difference.test == "McNemar exact"
    assert difference.p_value == pytest.approx(2 / 2**8)
    assert (difference.interval.estimate, difference.n, difference.n_unscored) == (0.4, 20, 0)


@pytest.mark.parametrize("kind", ["graded", "clustered", "sliced"])
def test_other_scores_are_tested_by_the_clustered_bootstrap(kind: str) -> None:
    rng = np.random.default_rng(0)

    def rows(share: float) -> list[QuestionRecord]:
        return [
            record(
                i,
                float(rng.random()) if kind == "graded" else float(rng.random() < share),
                cluster=f"c{i // 2}" if kind == "clustered" else "",
                part=(SEEN if i % 2 else UNSEEN) if kind == "sliced" else SEEN,
            )
            for i in range(60)
        ]

    (difference,) = paired_differences({"a": rows(0.9), "b": rows(0.4)}, "accuracy", weights=HALVES)
    assert difference.test == "clustered bootstrap"
    assert difference.n_clusters == (30 if kind == "clustered" else 60)


def test_every_pair_is_reported_once_and_adjusted_over_all() -> None:
    rng = np.random.default_rng(1)
    arms = {name: records((rng.random(40) < share).astype(float)) for name, share in [("a", 0.3), ("b", 0.5), ("c", 1)]}
    differences = paired_differences(arms, "accuracy", weights=CASES)
    assert [(d.first, d.second) for d in differences] == list(combinations("abc", 2))
    assert min(d.p_adjusted / d.p_value for d in differences) >= 1
    smallest = min(differences, key=lambda d: d.p_value)
    assert smallest.p_adjusted == pytest.approx(3 * smallest.p_value)


def test_pairs_with_an_unscored_answer_are_left_out_and_counted() -> None:
    arms = {"a": records([1.0, None, *[1.0] * 10]), "b": records([None, 0.0, *[0.0] * 10])}
    (difference,) = paired_differences(arms, "accuracy", weights=CASES)
    assert (difference.n, difference.n_unscored, difference.interval.estimate) == (10, 2, 1.0)


def test_an_arm_without_any_score_takes_no_other_pair_with_it() -> None:
    arms = {"a": records([1.0] * 12), "b": records([0.0] * 12), "failed": records([None] * 12)}
    assert [(d.first, d.second) for d in paired_differences(arms, "accuracy", weights=CASES)] == [("a", "b")]


def test_a_slice_the_metric_does_not_apply_to_takes_no_pair_with_it() -> None:
    def rows(score: float) -> list[QuestionRecord]:
        silent = [record(i, None, part=UNSEEN) for i in range(12, 24)]
        for row in silent:
            row.scores.clear()  # type: ignore[attr-defined]
        return [record(i, score, part=SEEN) for i in range(12)] + silent

    arms = {"a": rows(1.0), "b": rows(0.0)}
    assert [len(kept) for kept in applicable(arms, "accuracy").values()] == [12, 12]
    (difference,) = paired_differences(arms, "accuracy", weights=HALVES)
    assert (difference.n, difference.n_unscored, difference.interval.estimate) == (12, 0, 1.0)
