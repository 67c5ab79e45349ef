import re
from dataclasses import replace

import pytest

from advisor.advice.questionnaire import check_answers, prior
from advisor.decision.prior_check import confront
from advisor.report.sections.prior import PRIOR_HEADING, prior_sentences, prior_table, signed
from advisor.report.texts.html import html_report
from advisor.report.texts.markdown import markdown_report
from advisor.results.comparison import Comparison
from advisor.results.json_report import json_report, read_comparison

ANSWERS = check_answers(
    {
        "knowledge": "facts", "labelled_examples": 480, "documents": 412, "change_rate": "weekly",
        "deletion": True, "benefits": ["quality", "cost"], "languages": "less-common",
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def checked(comparison: Comparison) -> Comparison:
    return replace(comparison, prior_check=confront(prior(ANSWERS), comparison))


def test_without_a_questionnaire_the_reports_do_not_speak_of_it(comparison: Comparison) -> None:
    assert comparison.prior_check is None
    assert prior_table(comparison) is None
    assert prior_sentences(comparison) == ()
    assert PRIOR_HEADING not in markdown_report(comparison)
    assert PRIOR_HEADING not in html_report(comparison)


def test_both_reports_set_prior_and_evidence_side_by_side_right_after_the_verdict(checked: Comparison) -> None:
    text = markdown_report(checked)
    assert text.index("**Verdict") < text.index(f"## {PRIOR_HEADING}") < text.index("## Quality")
    page = html_report(checked)
    assert page.index("Verdict:") < page.index(f">{PRIOR_HEADING}<") < page.index('<h2 id="quality">')
    for report in (text, page):
        assert "Evidence undecided: the prior stands." in report
        assert "Ovadia 2023, arXiv 2312.05934" in re.sub(r"\\", "", report)


def test_the_table_shows_points_and_what_was_measured(checked: Comparison) -> None:
    table = prior_table(checked)
    assert table is not None
    rows = {row.cells[0].text: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["rag"][1:3] == ["+6", "63.8 [58.0, 69.6]"]
    assert rows["raft"][2] == "–"
    assert rows["fine-tuned"][1] == "ruled out"
    assert "cannot be taken out of weights" in rows["fine-tuned"][3]


def test_cautions_and_reasons_are_told_with_their_sources(checked: Comparison) -> None:
    sentences = prior_sentences(checked)
    assert any(s.startswith("Caution: Test the embedder") and "Soudani 2024" in s for s in sentences)
    assert any("(+3 for rag; Ovadia 2023" in s for s in sentences)


def test_the_json_report_keeps_the_prior_whole(checked: Comparison) -> None:
    assert read_comparison(json_report(checked)) == checked


@pytest.mark.parametrize(("points", "text"), [(0.0, "0"), (-0.0, "0"), (0.5, "+0.5"), (-2.0, "−2")])
def test_points_carry_their_sign(points: float, text: str) -> None:
    assert signed(points) == text
