import pytest

from advisor.data.wording import listed, points


@pytest.mark.parametrize(
    ("difference", "text"), [(0.1234, "12.3"), (-0.0004, "0.0"), (-0.0, "0.0"), (-0.5, "-50.0"), (-0.1, "-10.0")]
)
def test_points_have_one_decimal_and_no_minus_before_zero(difference: float, text: str) -> None:
    assert points(difference) == text


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_a_sentence_does(names: list[str], text: str) -> None:
    assert listed(names) == text
