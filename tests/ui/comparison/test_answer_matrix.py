from typing import Any

import pytest

from advisor.data.dataset import Slice
from advisor.results.quantities import ScoreScale, scale_of_scores
from service.contract.schemas import GridRow
from ui.comparison.answer_matrix import matrix_row

POINTS: ScoreScale = scale_of_scores([0.5])


def row(**of_arm: Any) -> GridRow:
    """A question that one arm was asked."""
    given = {name: {"rag": value} for name, value in of_arm.items()}
    known: dict[str, Any] = {"answers": {"rag": "90 minutes"}, "scores": {"rag": 0.0}, "failures": {}}
    return GridRow(
        example_id="q", question="How long?", slice=Slice.SEEN_FACT, references=["90 minutes"], **(known | given)
    )


def cell(**of_arm: Any) -> Any:
    return matrix_row(row(**of_arm), ["rag"], POINTS)["cells"][0]


def test_a_right_answer_is_green_and_says_nothing_else() -> None:
    drawn = {"kind": "right", "sign": "✓", "pieces": [["90 minutes", False]], "note": ""}
    assert cell(scores=1.0) == drawn


def test_a_wrong_answer_says_why_and_marks_what_no_reference_says() -> None:
    drawn = cell(answers="About 80 minutes.", failures="misread")
    assert (drawn["kind"], drawn["sign"], drawn["note"]) == ("wrong", "✗", "misread")
    assert drawn["pieces"] == [["About 80", True], [" minutes.", False]]


def test_an_answer_that_shares_no_word_is_marked_nowhere() -> None:
    assert cell(answers="Paris it is", failures="misread")["pieces"] == [["Paris it is", False]]


def test_declining_is_grey_where_an_answer_was_due_and_green_where_none_was() -> None:
    assert cell(answers="I don't know.", failures="abstained")["kind"] == "declined"
    assert cell(answers="I don't know.", scores=1.0)["kind"] == "right"


def test_what_has_no_score_is_neither_right_nor_wrong() -> None:
    assert (cell(scores=None)["kind"], cell(scores=None)["note"]) == ("unscored", "unscored")
    assert matrix_row(row(), ["base"], POINTS)["cells"][0]["pieces"] == [["not asked", False]]
    assert cell(answers="", failures="misread")["pieces"] == [["(an empty answer)", False]]


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (0.0, 1.0, "▲ better, was 0"),
        (1.0, 0.5, "50.0 points · ▼ worse, was 100"),
        (None, 1.0, "was unscored"),
        (1.0, None, "unscored · was 100"),
    ],
)
def test_a_score_that_changed_since_the_baseline_says_how(before: float | None, now: float | None, told: str) -> None:
    assert cell(scores=now, earlier=before)["note"] == told
