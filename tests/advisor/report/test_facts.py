from dataclasses import replace

import pytest

from advisor.audit.check import Check
from advisor.data.dataset import Slice
from advisor.report.facts import (
    StepKind,
    answered,
    arm_facts,
    facts_table,
    next_steps,
    side_by_side,
    tallied,
)
from advisor.report.table import RowKind
from advisor.results.comparison import AuditFinding, Severity, Verdict


def _decided(comparison, **changes):
    return replace(comparison, recommendation=replace(comparison.recommendation, **changes))


def _tally(records):
    return tallied(answered(records, "exact_match"))


def _facts(comparison, records, arm):
    return next(one for one in arm_facts(comparison, _tally(records)) if one.arm == arm)


def test_a_row_holds_what_is_asked_first_of_an_arm(comparison, records):
    rag = _facts(comparison, records, "rag")
    summary = comparison.arm("rag").metric("exact_match")

    assert (rag.right, rag.is_recommended, rag.is_reference) == (summary.interval, True, False)
    assert rag.usd_per_1000 == 1000 * comparison.arm("rag").cost.serve_usd_per_query
    assert rag.p95_s == comparison.arm("rag").latency.p95_s
    assert _facts(comparison, records, "oracle-context").is_reference


def test_what_is_made_up_is_wrong_and_declines_nothing(comparison, records):
    template = next(record for record in records if record.arm == "rag" and record.slice is Slice.SEEN_FACT)

    def said(number, text, score, part=Slice.SEEN_FACT, failure="made up"):
        value = replace(template.scores["exact_match"], value=score)
        answer = replace(template.answer, text=text)
        return replace(
            template,
            example_id=f"q{number}",
            answer=answer,
            scores={"exact_match": value},
            slice=part,
            failure=failure if score < 1 else "",
        )

    answers = [
        said(0, template.references[0], 1.0),
        said(1, "something else", 0.0),
        said(2, "I don't know.", 0.0, failure="declined"),
        said(3, "the same in a sentence", 0.0, failure="wrong form"),
        said(4, "I don't know.", 1.0, Slice.UNANSWERABLE),
        said(5, "", 0.0),
    ]
    rag = _facts(comparison, answers, "rag")
    assert (rag.made_up, rag.declined) == (1 / 6, 1 / 5)
    assert _facts(comparison, (), "rag").made_up is None


def test_on_the_frontier_nothing_scores_as_high_for_less(comparison, records):
    rows = arm_facts(comparison, _tally(records))
    frontier = [one for one in rows if one.on_frontier]

    assert frontier
    for one in frontier:
        assert not any(
            other.right.estimate > one.right.estimate and other.usd_per_1000 <= one.usd_per_1000
            for other in rows
            if not other.is_reference
        )


def test_the_table_marks_the_named_arm_and_greys_references(comparison, records):
    kinds = {row.cells[0].text: row.kind for row in facts_table(comparison, _tally(records)).rows}
    assert kinds["rag (cheapest non-inferior)"] is RowKind.RECOMMENDED
    assert kinds["majority (reference)"] is RowKind.REFERENCE


@pytest.mark.parametrize(
    ("usd_per_query", "column", "text"), [(2e-6, "$ per million", "$2.00"), (2e-3, "$ per 1,000", "$2.00")]
)
def test_costs_below_a_cent_are_told_by_the_million(comparison, usd_per_query, column, text):
    arms = tuple(
        replace(arm, cost=replace(arm.cost, serve_usd_per_query=usd_per_query)) if arm.cost else arm
        for arm in comparison.arms
    )
    table = facts_table(replace(comparison, arms=arms))
    assert table.rows[0].cells[table.columns.index(column)].text == text


def test_next_steps_follow_from_the_verdict(comparison):
    undecided = [step.action for step in next_steps(comparison)]
    assert undecided[0].startswith("Add ")
    assert undecided[-1] == "Deploy rag"
    poor = next_steps(_decided(comparison, verdict=Verdict.NOT_READY, arm=None, questions_needed=None))
    assert [step.action for step in poor] == ["Try a stronger model"]
    leak = AuditFinding(Check.LEAKAGE, Severity.BLOCK, "Leaked.", "Remove the copies.")
    blocked = replace(
        _decided(comparison, verdict=Verdict.INVALID_COMPARISON, arm=None, questions_needed=None), findings=(leak,)
    )
    assert [step.action for step in next_steps(blocked)] == ["Remove the copies."]


def test_missing_passages_are_answered_by_more_of_them(comparison, records):
    missed = [replace(r, failure="not retrieved") if r.failure else r for r in records if r.arm == "rag"]
    found = replace(comparison, settings={**comparison.settings, "top_k": 3})
    step = next(one for one in next_steps(found, _tally(missed)) if one.action == "Try 6 passages")
    assert (step.kind, step.settings) == (StepKind.SETTINGS, {"top_k": 6})
    misread = [replace(r, failure="contradicted") if r.failure else r for r in missed]
    assert "Try 1 passage" in [step.action for step in next_steps(found, _tally(misread))]


def test_a_win_a_loss_and_a_mistake_stand_side_by_side(comparison, records):
    shown = {one.kind: one for one in side_by_side(comparison, answered(records, "exact_match"))}
    win = shown["a win"]
    assert [(answer.arm, answer.is_right) for answer in win.answers] == [("rag", True), ("hybrid", False)]
    assert shown["a dangerous mistake"].answers[0].is_made_up
    assert side_by_side(comparison, ()) == ()
