from dataclasses import replace

from advisor.report.sections.verdict import best_chance_table, standing, unknowns
from advisor.results.comparison import Verdict


def _decided(comparison, **changes):
    return replace(comparison, recommendation=replace(comparison.recommendation, **changes))


def test_the_only_arm_left_is_not_called_better(comparison):
    alone = _decided(
        comparison,
        verdict=Verdict.WINNER,
        probability_best={"rag": 1.0},
        minimum_detectable_effect=None,
        questions_needed=None,
    )

    assert "better" not in standing(alone)
    assert standing(alone).startswith("All other arms break a declared constraint or could not be judged.")
    assert best_chance_table(alone) is None
    assert unknowns(alone)[0] == "No difference was put to the test, because only one arm was left to choose."


def test_a_winner_over_others_is_called_better(comparison):
    assert standing(_decided(comparison, verdict=Verdict.WINNER)).startswith("One arm is better than every other")


def test_no_verdict_blames_no_number_of_questions(comparison):
    none = _decided(comparison, verdict=Verdict.INSUFFICIENT_DATA, arm=None, probability_best={})

    assert "too few" not in standing(none)
