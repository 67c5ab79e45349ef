from pathlib import Path

import pytest

from lm.errors import LanguageModelError
from lm.pocket.evaluate import gain, load, normalised, skill_items, token_f1, wilson


def test_wilson_interval_of_a_known_case() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


def test_wilson_interval_stays_within_bounds() -> None:
    assert wilson(0, 5)[0] == pytest.approx(0.0)
    assert wilson(5, 5)[1] == pytest.approx(1.0)


def test_articles_case_and_marks_do_not_count() -> None:
    assert normalised("The  lifeguard hut.") == normalised("lifeguard hut")
    assert normalised("after two working days") == normalised("two working days")
    assert normalised("24 hours") != normalised("24")


def test_token_f1_is_the_harmonic_mean() -> None:
    assert token_f1("two working days", "two days") == pytest.approx(0.8)
    assert token_f1("three", "two days") == 0.0


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="nothing-here"):
        load(tmp_path / "nothing-here")


def test_validation_rows_need_the_text(text_folder: Path) -> None:
    assert "reading, SQuAD-style validation" not in skill_items(4, None)
    items = skill_items(4, text_folder)["reading, SQuAD-style validation"]
    assert items[0].answers == ("1700",)


def test_gain_of_paired_outcomes() -> None:
    mean, low, high = gain([False] * 8 + [True] * 2, [True] * 6 + [False] * 3 + [True])
    assert mean == pytest.approx(0.5)
    assert low < 0.5 < high
    assert gain([True, False], [True, False]) == (0.0, 0.0, 0.0)
