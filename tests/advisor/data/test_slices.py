"""How much each slice counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.data.slices import slice_weights
from advisor.errors import EvaluationError

SEEN, UNSEEN, NONE = Slice.SEEN_FACT, Slice.UNSEEN_FACT, Slice.UNANSWERABLE


@given(
    st.lists(st.tuples(st.sampled_from([SEEN, UNSEEN, NONE]), st.sampled_from("abcdefgh")), min_size=1),
    st.floats(0.01, 0.99),
)
def test_weights_add_to_one_and_only_slices_with_questions_have_one(
    questions: list[tuple[Slice, str]], coverage: float
) -> None:
    weights = slice_weights([part for part, _ in questions], [group for _, group in questions], coverage=coverage)
    assert sum(weights.values()) == pytest.approx(1)
    assert set(weights) == {str(part) for part, _ in questions}
    assert all(weight > 0 for weight in weights.values())


def test_coverage_divides_the_answerable_and_groups_count_once() -> None:
    slices = [SEEN] * 6 + [UNSEEN] * 2 + [NONE]
    groups = ["a", "a", "a", "b", "b", "b", "c", "c", "n"]
    weights = slice_weights(slices, groups, coverage=0.25)
    assert weights == pytest.approx({"seen-fact": 0.25 * 0.75, "unseen-fact": 0.75 * 0.75, "unanswerable": 0.25})


def test_label_tasks_have_one_slice_of_full_weight() -> None:
    assert slice_weights([Slice.NEW_CASE] * 3, ["a", "b", "c"], coverage=0.9) == {"new-case": 1.0}


def test_the_weight_of_an_absent_slice_goes_to_the_others() -> None:
    assert slice_weights([UNSEEN, UNSEEN], ["a", "b"], coverage=0.9) == {"unseen-fact": 1.0}


@pytest.mark.parametrize("coverage", [-0.1, 1.1, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    with pytest.raises(EvaluationError, match=f"coverage is {coverage}"):
        slice_weights([SEEN], ["a"], coverage=coverage)


def test_a_coverage_that_leaves_no_weight_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"coverage 0.0 puts all the weight on slices without test questions"):
        slice_weights([SEEN, SEEN], ["a", "b"], coverage=0.0)
