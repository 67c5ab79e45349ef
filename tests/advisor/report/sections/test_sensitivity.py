from dataclasses import replace

import pytest

from advisor.decision.inputs import Axis
from advisor.report.axes import axis_short, axis_value, axis_words
from advisor.report.sections.sensitivity import change_sentences, change_summary, flip_table
from advisor.results.comparison import Flip, FlipPoint


def _with(comparison, *flips):
    return replace(comparison, flips=flips)


def test_the_nearest_flips_come_first_in_plain_sentences(comparison):
    assert change_sentences(comparison) == (
        "If training covered more than 81.3 % of what users ask (now 50 %), fine-tuned would be the choice instead of "
        "rag.",
        "If the smallest difference that matters to you were below 1.2 points (now 2.0 points), hybrid would be the "
        "choice instead of rag.",
        "If the smallest difference that matters to you were above 31.0 points (now 2.0 points), base would be the "
        "choice instead of rag.",
        "If users asked fewer than 3,100 questions a month (now 100,000), few-shot would be the choice instead of rag.",
        "If users asked more than 42,000,000 questions a month (now 100,000), no arm could be chosen.",
        "If the machine were free (now $0.08), hybrid would be the choice instead of rag.",
        "Any positive value of a right answer, from a cent on, leaves rag the choice.",
    )


def test_the_summary_tells_what_is_left_out_and_what_changes_nothing(comparison):
    summary = change_summary(comparison)

    assert summary[:5] == change_sentences(comparison, 5)
    assert summary[5:] == (
        "2 more, further away, are listed under Sensitivity.",
        "No change within the range tried: refreshes a month (0 to 10,000).",
    )


def test_the_order_of_the_inputs_changes_no_sentence(comparison):
    turned = _with(comparison, *reversed(comparison.flips))

    assert change_sentences(turned) == change_sentences(comparison)


def test_without_a_recommended_arm_nothing_is_said(comparison):
    none = replace(comparison, recommendation=replace(comparison.recommendation, arm=None))

    assert change_summary(none) == ()
    assert flip_table(none) is None


def test_a_flip_that_reads_like_the_current_value_is_told_as_hardly_away(comparison):
    close = _with(comparison, Flip("margin", 0.02, None, FlipPoint(0.0201, "base"), 0.0, 0.5))

    assert "above 2.0 points (now barely less), base" in change_sentences(close)[0]


@pytest.mark.parametrize(
    ("axis", "point", "words"),
    [
        ("coverage", FlipPoint(0.0, "base"), "training covered nothing of what users ask"),
        ("coverage", FlipPoint(1.0, "base"), "training covered all that users ask"),
        ("queries_per_month", FlipPoint(0.0, "base"), "users asked nothing at all"),
        ("refreshes_per_month", FlipPoint(0.0, "base"), "documents never changed"),
        ("margin", FlipPoint(0.0, "base"), "every difference mattered"),
    ],
)
def test_the_ends_of_a_scale_have_words_of_their_own(comparison, axis, point, words):
    below, above = (point, None) if point.value == 0 else (None, point)
    (sentence,) = change_sentences(_with(comparison, Flip(axis, 0.5, below, above, 0.0, 1.0)))

    assert f"If {words}" in sentence


def test_every_input_of_the_decision_has_words_and_values(comparison):
    for axis in Axis:
        assert axis_words(axis).name != axis
        assert axis_words(axis.value).below.format("X").count("X") == 1
        assert axis_value(comparison, axis.value, 0.25)
        assert axis_short(axis)


def test_an_input_of_a_later_version_keeps_its_own_name(comparison):
    later = _with(comparison, Flip("tax {0} rate", 1.0, FlipPoint(0.5, "base"), None, 0.0, 1.0))

    assert change_sentences(later) == (
        "If tax {0} rate were below 0.5 (now 1), base would be the choice instead of rag.",
    )


def test_the_table_lists_every_input_with_both_sides(comparison):
    rows = {row.cells[0].text: row.cells for row in flip_table(comparison).rows}

    assert len(rows) == len(comparison.flips)
    volume = rows["Questions a month"]
    assert [(cell.text, cell.detail) for cell in volume[1:]] == [
        ("100,000", ""),
        ("few-shot", "below 3,100"),
        ("no arm", "above 42,000,000"),
        ("0 to 100,000,000", ""),
    ]
    assert [cell.text for cell in rows["Refreshes a month"][2:4]] == ["no change", "no change"]
    tokens = rows["Price of a million input tokens"]
    assert "No arm is paid by the token" in tokens[0].detail
    assert [cell.text for cell in tokens[1:]] == ["not declared", "plays no part", "plays no part", "–"]
