"""What the constraint alone contributes: differences within an arm, and what they take from tuning's lead."""

import numpy as np
import pytest

from advisor.evidence.form_gain import FormScores, form_gains

N = 40
CLUSTERS = tuple(f"c{i}" for i in range(N))


def right(n_right: int) -> np.ndarray:
    return np.array([1.0] * n_right + [0.0] * (N - n_right))


def scores(held: int, free: int, *, outside: int = 0) -> FormScores:
    return FormScores(right(held), right(free), CLUSTERS, 0, outside)


SCORES = {"base": scores(12, 0, outside=30), "few-shot": scores(16, 8, outside=9), "fine-tuned": scores(30, 28)}
STANDING = {"base": 0.2, "few-shot": 0.3, "fine-tuned": 0.7}


def test_each_arms_gain_is_its_score_held_minus_free_with_an_interval() -> None:
    found = form_gains(SCORES, "accuracy", {"fine-tuned"}, STANDING)
    assert found is not None
    assert (found.metric, found.n_questions, found.n_clusters) == ("accuracy", N, N)
    few_shot = next(gain for gain in found.gains if gain.arm == "few-shot")
    assert (few_shot.held, few_shot.free) == (pytest.approx(0.4), pytest.approx(0.2))
    assert few_shot.gain.estimate == pytest.approx(0.2)
    assert 0 < few_shot.gain.low < 0.2 < few_shot.gain.high
    assert (few_shot.n_outside_held, few_shot.n_outside_free) == (0, 9)


def test_what_the_form_gives_the_prompted_arm_too_is_taken_from_the_lead() -> None:
    found = form_gains(SCORES, "accuracy", {"fine-tuned"}, STANDING)
    assert found is not None and found.lead is not None
    lead = found.lead
    assert (lead.tuned, lead.prompted) == ("fine-tuned", "few-shot")
    assert lead.free.estimate == pytest.approx(0.5)
    assert lead.held.estimate == pytest.approx(0.35)
    assert lead.form.estimate == pytest.approx(0.15)
    assert lead.form.low < 0.15 < lead.form.high


def test_the_arms_of_the_lead_are_those_that_stand_highest_on_the_test() -> None:
    more = SCORES | {"rag": scores(40, 40), "hybrid": scores(20, 20)}
    found = form_gains(more, "accuracy", {"fine-tuned", "hybrid"}, STANDING | {"rag": 0.1, "hybrid": 0.8})
    assert found is not None and found.lead is not None
    assert (found.lead.tuned, found.lead.prompted) == ("hybrid", "few-shot")


@pytest.mark.parametrize("tuned", [set(), {"base", "few-shot", "fine-tuned"}])
def test_without_both_kinds_of_arms_there_is_no_lead(tuned: set[str]) -> None:
    found = form_gains(SCORES, "accuracy", tuned, STANDING)
    assert found is not None
    assert found.lead is None
    assert len(found.gains) == 3


def test_unscored_questions_are_left_out_in_pairs() -> None:
    held, free = right(20), right(10)
    held[0], free[39] = np.nan, np.nan
    found = form_gains({"base": FormScores(held, free, CLUSTERS, 0, 0)}, "json_exact", set(), {"base": 0.5})
    assert found is not None
    assert found.gains[0].gain.estimate == pytest.approx(10 / 38)
    assert found.gains[0].held - found.gains[0].free == pytest.approx(10 / 38)


def test_too_few_cases_bear_no_interval_and_give_nothing() -> None:
    one = FormScores(np.array([1.0, 1.0]), np.array([0.0, 0.0]), ("c", "c"), 0, 0)
    assert form_gains({"base": one}, "accuracy", set(), {"base": 0.5}) is None
    none = FormScores(np.full(N, np.nan), right(3), CLUSTERS, 0, 0)
    assert form_gains({"base": none}, "accuracy", set(), {"base": 0.5}) is None
    assert form_gains({}, "accuracy", set(), {}) is None
