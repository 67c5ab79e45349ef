"""Where people labelled enough answers, every figure of an arm and of two arms is the corrected one."""

from collections.abc import Mapping

import numpy as np
import pytest

from advisor.data.dataset import Slice
from advisor.evidence.evidence import gather_evidence, paired_differences
from advisor.evidence.human_labels import effective_label_counts
from advisor.evidence.prediction_powered import METHOD, MIN_LABELS
from advisor.evidence.records import read_scored_answers, record_line
from advisor.evidence.scorecard import summarise_metric
from advisor.evidence.scored_answers import scored_answers
from advisor.evidence.weighted_metric import WeightedMetric
from advisor.metrics.human import CORRECT, label_key
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.score import Score, unscored
from lm.completion import FinishReason, Usage

N = 200
WEIGHTS = {str(Slice.SEEN_FACT): 0.5, str(Slice.UNSEEN_FACT): 0.5}
KEY = label_key("faithfulness")


def records(arm: str, share: float, n_labels: int, *, lenient: float = 0.0, seed: int = 0) -> list[QuestionRecord]:
    """Answers of which a share is right, judged right but for a share of the wrong ones, the first ones labelled."""
    rng = np.random.default_rng(seed)
    right = rng.random(N) < share
    judged = right | (rng.random(N) < lenient)
    rows = []
    for i in range(N):
        scores = {"faithfulness": Score(float(judged[i]))}
        if i < n_labels:
            scores[KEY] = Score(float(right[i]))
        part = Slice.SEEN_FACT if i % 2 else Slice.UNSEEN_FACT
        answer = Answer(f"{arm} {i}", Usage(), FinishReason.STOP, (), "hash")
        rows.append(QuestionRecord(arm, f"q{i}", "?", ("a",), (), part, f"g{i}", f"c{i}", answer, scores))
    return rows


def by_people(arm: str, share: float, n_labels: int, *, seed: int = 0) -> list[QuestionRecord]:
    """The same with people's labels as the metric."""
    rows = records(arm, share, N, seed=seed)
    for i, row in enumerate(rows):
        assert isinstance(row.scores, dict)
        label = row.scores.pop(KEY)
        row.scores[CORRECT] = label if i < n_labels else unscored("nobody has labelled this answer")
    return rows


# The judge takes most wrong answers of the worse arm for right.
ARMS = {"good": records("good", 0.8, 60), "flattered": records("flattered", 0.4, 60, lenient=0.9, seed=1)}


def without_labels(arms: Mapping[str, list[QuestionRecord]]) -> dict[str, list[QuestionRecord]]:
    return {
        arm: records(
            arm, 0.8 if arm == "good" else 0.4, 0, lenient=0 if arm == "good" else 0.9, seed=0 if arm == "good" else 1
        )
        for arm in arms
    }


def test_labels_turn_what_a_flattering_judge_says() -> None:
    (judged,) = paired_differences(without_labels(ARMS), "faithfulness", weights=WEIGHTS)
    (corrected,) = paired_differences(ARMS, "faithfulness", weights=WEIGHTS)
    assert judged.interval.high < 0
    assert corrected.interval.low > 0.1
    assert corrected.interval.method == corrected.test == METHOD
    assert (corrected.n, corrected.n_unscored) == (60, 140)
    assert corrected.p_value < 0.01


def test_the_scorecard_and_what_the_verdict_takes_are_the_corrected_scores() -> None:
    evidence = gather_evidence(ARMS, "faithfulness")
    assert evidence.corrected
    assert not evidence.exact
    quality = evidence.quality(WEIGHTS, ["flattered", "good"])
    for i, arm in enumerate(("flattered", "good")):
        overall, *parts = summarise_metric(ARMS[arm], "faithfulness", weights=WEIGHTS)
        assert overall.interval is not None
        assert overall.interval.method == METHOD
        assert overall.interval.estimate == pytest.approx(quality.floor[i])
        assert overall == WeightedMetric(scored_answers(ARMS[arm], "faithfulness"), "faithfulness").summary(WEIGHTS)
        assert [one.interval.method for one in parts if one.interval] == [METHOD, METHOD]
    assert quality.floor == pytest.approx([0.4, 0.8], abs=0.12)


def test_too_few_labels_of_one_arm_leave_all_scores_as_the_judge_gave_them() -> None:
    few = ARMS | {"good": records("good", 0.8, MIN_LABELS - 1)}
    assert not gather_evidence(few, "faithfulness").corrected
    assert paired_differences(few, "faithfulness", weights=WEIGHTS)[0].test != METHOD
    assert effective_label_counts(few, "faithfulness", WEIGHTS)["good"] < MIN_LABELS


def test_labels_on_file_are_read_as_they_were() -> None:
    lines = "".join(record_line(row) + "\n" for rows in ARMS.values() for row in rows)
    found = read_scored_answers(lines.encode(), "faithfulness")
    for arm, rows in ARMS.items():
        assert found[arm].labels == pytest.approx(scored_answers(rows, "faithfulness").labels, nan_ok=True)


def test_labels_alone_can_decide_and_what_nobody_labelled_is_unscored() -> None:
    arms = {"good": by_people("good", 0.9, 50), "bad": by_people("bad", 0.3, 50, seed=2)}
    evidence = gather_evidence(arms, CORRECT)
    assert evidence.corrected
    summary = summarise_metric(arms["good"], CORRECT, weights=WEIGHTS)[0]
    assert (summary.n, summary.n_unscored) == (50, 150)
    assert summary.interval is not None
    labelled = [row.scores[CORRECT].value for row in arms["good"][:50]]
    assert summary.interval.estimate == pytest.approx(np.mean(labelled), abs=0.01)
    (difference,) = paired_differences(arms, CORRECT, weights=WEIGHTS)
    assert difference.interval.low > 0.3


def test_too_few_labels_leave_a_metric_of_people_unscored() -> None:
    arms = {"good": by_people("good", 0.9, 10), "bad": by_people("bad", 0.3, 10, seed=2)}
    evidence = gather_evidence(arms, CORRECT)
    assert not evidence.corrected
    assert np.isnan(evidence.scores).mean() == pytest.approx(0.95)
