from dataclasses import replace

import pytest

from advisor.data.dataset import Task
from advisor.report.sections.form_gains import FORM_HEADING, form_sentences, form_table
from advisor.report.texts.html import html_report
from advisor.report.texts.markdown import markdown_report
from advisor.results.comparison import Comparison, FormGain, FormGains, FormLead, Interval
from advisor.results.json_report import json_report, read_comparison


def around(estimate: float) -> Interval:
    return Interval(estimate, estimate - 0.05, estimate + 0.05)


def lead(free: float, held: float) -> FormLead:
    return FormLead("fine-tuned", "few-shot", around(free), around(held), around(free - held))


GAINS = FormGains(
    "accuracy",
    53,
    50,
    (
        FormGain("few-shot", 0.32, 0.2, around(0.12), 0, 21),
        FormGain("fine-tuned", 0.6, 0.6, around(0.0), 0, 1),
    ),
    lead(0.4, 0.28),
)


@pytest.fixture
def formed(comparison: Comparison) -> Comparison:
    return replace(comparison, card=replace(comparison.card, task=Task.CLASSIFICATION), form_gains=GAINS)


def test_the_part_of_the_lead_that_is_form_is_told_with_its_interval(formed: Comparison) -> None:
    first, second = form_sentences(formed)
    assert first == (
        "Of the 40.0 points that fine-tuned is ahead of few-shot when both answer freely, 12.0 [7.0, 17.0] are form "
        "that constrained decoding gives for free: within the labels the difference is +28.0 [+23.0, +33.0] points."
    )
    assert second.startswith("Measured on 53 validation questions")


@pytest.mark.parametrize(
    ("free", "held", "told"),
    [
        (0.2, 0.25, "Of the 20.0 points that fine-tuned is ahead of few-shot when both answer freely, none is form"),
        (-0.1, -0.2, "Answering freely, fine-tuned is not ahead of few-shot (−10.0 [−15.0, −5.0] points); within"),
        (0.1, -0.1, "10.0 points that fine-tuned is ahead of few-shot when both answer freely, 20.0 [15.0, 25.0] are"),
    ],
)
def test_every_way_a_lead_can_change_is_said_truly(formed: Comparison, free: float, held: float, told: str) -> None:
    assert told in form_sentences(replace(formed, form_gains=replace(GAINS, lead=lead(free, held))))[0]


def test_without_tuned_arms_the_largest_gain_is_told(formed: Comparison) -> None:
    records = replace(formed.card, task=Task.EXTRACTION)
    alone = replace(formed, card=records, form_gains=replace(GAINS, lead=None))
    assert form_sentences(alone)[0] == (
        "Holding answers to the schema brings few-shot +12.0 [+7.0, +17.0] points of accuracy, more than any other arm."
    )


@pytest.mark.parametrize("estimate", [0.0, -0.1])
def test_a_gain_of_nobody_is_no_arms_gain(formed: Comparison, estimate: float) -> None:
    gains = tuple(replace(gain, gain=around(estimate)) for gain in GAINS.gains)
    alone = replace(formed, form_gains=replace(GAINS, gains=gains, lead=None))
    assert form_sentences(alone)[0] == "Holding answers to the labels brings no arm a higher accuracy."


def test_one_arm_is_not_compared_with_others(formed: Comparison) -> None:
    alone = replace(formed, form_gains=replace(GAINS, gains=GAINS.gains[:1], lead=None))
    assert form_sentences(alone)[0].endswith("brings few-shot +12.0 [+7.0, +17.0] points of accuracy.")


def test_the_table_has_every_candidate_and_a_dash_where_nothing_was_measured(formed: Comparison) -> None:
    table = form_table(formed)
    assert table is not None
    rows = {row.cells[0].text.split(" ")[0]: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert rows["few-shot"] == ["20.0", "32.0", "+12.0 [+7.0, +17.0]", "21 / 0"]
    assert rows["base"] == ["–"] * 4


def test_all_reports_carry_it_and_none_speaks_of_it_without(formed: Comparison, comparison: Comparison) -> None:
    assert read_comparison(json_report(formed)) == formed
    for text in (markdown_report(formed), html_report(formed)):
        assert FORM_HEADING in text
        assert "are form that constrained decoding gives for free" in " ".join(text.split())
    assert form_table(comparison) is None
    assert form_sentences(comparison) == ()
    assert FORM_HEADING not in markdown_report(comparison) + html_report(comparison)
