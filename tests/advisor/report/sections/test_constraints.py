from dataclasses import replace

from advisor.report.arms import arm_name
from advisor.report.sections.constraints import constraint_sentences, constraint_table
from advisor.report.sections.quality import quality_table


def test_arms_that_are_out_are_named_with_the_reason(comparison):
    assert constraint_sentences(comparison) == (
        "base is out: p95 latency, which cannot be shown.",
        "fine-tuned is out: declines what nobody can answer.",
        "All are met by hybrid, rag, few-shot.",
    )


def test_the_table_says_by_how_much(comparison):
    table = constraint_table(comparison)
    rows = {row.cells[0].text: row.cells[1:] for row in table.rows}

    assert table.columns == (
        "Arm",
        "p95 latency: at most 0.5 s",
        "Declines what nobody can answer: at least 10 %",
    )
    assert rows["fine-tuned (out)"][1].text == "broken"
    assert rows["fine-tuned (out)"][1].detail.endswith("3.0 points too few")
    assert rows["base (out)"][0].text == "cannot be shown"
    assert [(cell.text, cell.detail) for cell in rows["rag (cheapest non-inferior)"]] == [
        ("met", "0.42 s"),
        ("met", "53 %"),
    ]


def test_an_arm_that_is_out_is_marked_in_the_other_tables_too(comparison):
    names = [row.cells[0].text for row in quality_table(comparison).rows]

    assert [name for name in names if name.endswith("(out)")] == ["fine-tuned (out)", "base (out)"]


def test_nobody_out_and_everybody_out_are_said(comparison):
    met = replace(comparison, constraints=tuple(replace(o, met=True) for o in comparison.constraints))
    broken = replace(comparison, constraints=tuple(replace(o, met=False) for o in comparison.constraints))

    assert constraint_sentences(met) == ("Every arm meets every declared constraint.",)
    assert constraint_sentences(broken)[-1] == "No arm meets all of them."


def test_without_constraints_nothing_is_said(old_comparison):
    assert constraint_sentences(old_comparison) == ()
    assert constraint_table(old_comparison) is None
    assert arm_name(old_comparison, old_comparison.arm("base")) == "base"
