import re
from dataclasses import replace

import pytest

from advisor.report.texts.markdown import LIMIT_BYTES, markdown_report
from advisor.report.texts.markdown_text import code, inline
from advisor.results.comparison import Verdict


def _rows(text, name):
    return [line for line in text.splitlines() if line.startswith(f"| {name}")]


def test_sections_stand_in_the_order_of_a_decision(comparison, records):
    text = markdown_report(comparison, records)
    order = [
        comparison.recommendation.headline,
        "The arms at a glance",
        comparison.recommendation.reasons[0],
        "## Before you act on it",
        "## Next steps",
        "## Side by side",
        "## What would change this",
        "users asked fewer than 3,100 questions a month",
        "## What an arm must fulfil",
        "What is not known",
        "6.2 points",
        "4,100",
        "## Quality",
        "## Differences",
        "## Cost",
        "Break-even, in questions a month",
        "## Sensitivity",
        "Arm to ship, by share covered by training",
        "## Audit",
        "## Failures",
        "## Configuration",
        "Prices as of",
    ]

    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_quality_shows_interval_n_and_unscored_per_slice(comparison):
    hybrid = next(row for row in _rows(markdown_report(comparison), "hybrid") if "retrieved passages" in row)
    overall, seen, unseen, unanswerable = hybrid.split(" | ")[1:]

    assert re.match(r"64\.0 \\\[58\.2, 69\.8\]<br>n 257, unscored 3", overall)
    assert seen.endswith("n 120")
    assert "unscored 3" in unseen
    assert "unscored" not in unanswerable


def test_a_missing_value_is_a_dash_and_never_zero(comparison):
    text = markdown_report(comparison)
    majority_cost = next(row for row in _rows(text, "majority") if "$" not in row and row.count("–") >= 5)

    assert majority_cost.split(" | ")[1:] == ["–"] * 6 + ["– |"]


def test_references_are_marked_wherever_they_appear(comparison, records):
    text = markdown_report(comparison, records)

    for name in ("majority", "oracle-context"):
        uses = [line for line in text.splitlines() if line.startswith(("|", "- ")) and name in line]
        assert uses
        assert all(f"{name} (reference)" in line for line in uses)


def test_the_arm_without_a_clear_win_is_not_called_recommended(comparison):
    text = markdown_report(comparison)
    winner = markdown_report(
        replace(comparison, recommendation=replace(comparison.recommendation, verdict=Verdict.WINNER))
    )

    assert "rag (cheapest non-inferior)" in text
    assert "rag (recommended)" not in text
    assert "rag (recommended)" in winner
    dearest = replace(comparison, recommendation=replace(comparison.recommendation, leader="rag"))
    assert "rag (highest score)" in markdown_report(dearest)


def test_differences_read_from_the_named_arm(comparison):
    text = markdown_report(comparison)

    assert "rag minus hybrid | −1.2 \\[−6.2, +3.8]" in text
    assert "rag minus fine-tuned | +31.0 \\[+23.0, +39.0]" in text


def test_perplexity_is_not_multiplied_by_a_hundred(comparison):
    text = markdown_report(comparison)

    assert "12.3 \\[11, 14]" in text
    assert "1234" not in text


def test_a_comparison_without_the_later_fields_says_nothing_of_them(old_comparison):
    text = markdown_report(old_comparison)

    for absent in (
        "would change",
        "must fulfil",
        "Break-even",
        "Net value",
        "Sensitivity",
        "This evaluation",
        "merged",
    ):
        assert absent not in text
    assert "Keep fresh, a month" in text


def test_without_any_score_there_is_still_a_report(comparison):
    arms = tuple(
        replace(arm, latency=None, cost=None, metrics=tuple(replace(m, interval=None, n=0) for m in arm.metrics))
        for arm in comparison.arms
    )
    recommendation = replace(
        comparison.recommendation,
        verdict=Verdict.INVALID_COMPARISON,
        arm=None,
        minimum_detectable_effect=None,
        questions_needed=None,
        probability_best={},
    )
    text = markdown_report(replace(comparison, arms=arms, differences=(), recommendation=recommendation, findings=()))

    assert not re.search(r"\bnan\b", text)
    assert "None" not in text
    assert "No two arms could be compared" in text


@pytest.mark.parametrize("answer", ["wrong", "စက်" * 2000, "<&|`" * 3000, "\n" * 500])
def test_ten_thousand_failures_fit_into_a_comment(comparison, records, answer):
    wrong = [
        replace(record, example_id=f"{record.example_id}-{copy}", answer=replace(record.answer, text=answer))
        for record in records
        for copy in range(6)
    ]
    assert len(wrong) > 10_000

    text = markdown_report(comparison, wrong)

    assert len(text.encode()) <= LIMIT_BYTES
    assert "## Failures" in text
    assert "## Configuration" in text


def test_huge_texts_everywhere_still_fit_into_a_comment(comparison):
    many = tuple(replace(comparison.findings[1], message="m" * 5000, items=("i" * 900,) * 400) for _ in range(300))
    text = markdown_report(replace(comparison, findings=many, settings={f"s{i}": "v" * 999 for i in range(999)}))

    assert len(text.encode()) <= LIMIT_BYTES
    assert comparison.recommendation.headline in text


def test_hostile_text_is_shown_and_not_obeyed(hostile_comparison, hostile_records):
    text = markdown_report(hostile_comparison, hostile_records)

    assert set(re.findall(r"<[^>\n]*>?", text)) == {"<br>"}
    assert not re.search(r"(?<!\\)\[", text)
    assert not re.search(r"https?://|www\.\w|@\w|(?<!\\)\$\S", text)
    assert not re.search(r"^\s*(# heading|```)", text, re.MULTILINE)
    assert not re.search("[\x00-\x08\x1b\u202e]", text)


def test_every_row_has_the_cells_of_its_header(hostile_comparison, hostile_records):
    text = markdown_report(hostile_comparison, hostile_records)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)

    assert len(tables) > 8
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_scripts_of_the_world_survive(comparison, records):
    picked = [replace(r, example_id="q", answer=replace(r.answer, text="x")) for r in records[:1]]
    for question in ("စက်ကို ဘယ်လိုပြန်စရမလဲ။", "كيف أعيد تشغيل الجهاز؟", "👩‍🔧 🔥 naïve"):
        text = markdown_report(comparison, [replace(r, question=question) for r in picked])
        assert question in text


def test_the_same_comparison_gives_the_same_text(comparison, records):
    assert markdown_report(comparison, records) == markdown_report(comparison, list(records))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", "a\\|b"),
        ("two\nlines", "two lines"),
        ("`x`", "\\`x\\`"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("- item", "\\- item"),
        ("12. item", "12\\. item"),
        ("@team", "@\u200bteam"),
        ("http://a.b", "http\u200b://a.b"),
        ("exact_match, _x_", "exact_match, \\_x\\_"),
        ("[x](y) ![i](j) [^1]", "\\[x](y) !\\[i](j) \\[^1]"),
        ("-", "\\-"),
        ("+5.2", "+5.2"),
        ("$x$ ~~y~~ #1", "\\$x\\$ \\~\\~\u200by\\~\\~ #\u200b1"),
        ("GH-12 gh-3 high-5", "GH\u200b-12 gh\u200b-3 high-5"),
        ('we/app!12 %3 %"v 1" &7', 'we/app!\u200b12 %\u200b3 %\u200b"v 1" &amp;\u200b7'),
        ("Stop! 95 % of R&D", "Stop! 95 % of R&amp;D"),
        ("C:\\dir", "C:\\\\dir"),
        ("plain text, 3 words", "plain text, 3 words"),
    ],
)
def test_inline_escapes(text, escaped):
    assert inline(text) == escaped


def test_code_spans_are_for_plain_identifiers_only():
    assert code("9f3a") == "`9f3a`"
    assert code("a`b") == "a\\`b"
    assert code("a|b") == "a\\|b"
