from collections.abc import Mapping
from dataclasses import replace

import pytest

from advisor.advice.prior import PriorCheck, PriorOutcome, PriorRecommendation
from advisor.advice.questionnaire import check_answers, prior
from advisor.data.dataset import DatasetCard, Task
from advisor.decision.prior_check import confront
from advisor.results.answer import BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    Comparison,
    Interval,
    PairedDifference,
    Recommendation,
    Verdict,
)
from lm.completion import Usage

FACTS = prior(check_answers({"knowledge": "facts", "labelled_examples": 500, "documents": 50}))
NO_DELETION = prior(check_answers({"knowledge": "facts", "labelled_examples": 500, "documents": 50, "deletion": "yes"}))


def difference(
    first: str, second: str, estimate: float, low: float, p: float = 0.001, metric: str = "exact_match"
) -> PairedDifference:
    interval = Interval(estimate, low, 2 * estimate - low)
    return PairedDifference(metric, first, second, interval, p, p, "bootstrap", 200, 60, 0)


def compared(
    verdict: Verdict,
    arm: str | None,
    *differences: PairedDifference,
    arms: tuple[str, ...] = ("base", "rag", "fine-tuned"),
) -> Comparison:
    summaries = tuple(
        ArmSummary(kind, ArmRole.CANDIDATE, kind, (), Usage(), 1.0, BuildUsage(), None, None, 200, 0) for kind in arms
    )
    weights: Mapping[str, float] = {}
    return Comparison(
        id="x-1", created_at="2026-01-01T00:00:00+00:00",
        card=DatasetCard("x", Task.QUESTION_ANSWERING, "en", "MIT", ("exact_match",), "", ""),
        dataset_hash="0", n_documents=50, split_sizes={}, slice_sizes={}, model="m", arms=summaries,
        differences=differences,
        recommendation=Recommendation(
            verdict, arm, "headline", (), "exact_match", 0.02, 0.5, weights, weights, None, None
        ),
        findings=(), settings={}, hashes={}, versions={}, prices_as_of="", prices_source="", wall_s=0.0,
    )  # fmt: skip


def check(comparison: Comparison, given: PriorRecommendation = FACTS) -> PriorCheck:
    assert given.arm == "rag"
    return confront(given, comparison)


def test_the_same_winner_confirms() -> None:
    found = check(compared(Verdict.WINNER, "rag", difference("rag", "fine-tuned", 0.3, 0.2)))
    assert (found.outcome, found.evidence_arm) == (PriorOutcome.CONFIRMED, "rag")
    assert found.prior is FACTS


@pytest.mark.parametrize("swapped", [False, True])
def test_another_winner_overrules_and_the_lead_is_told(swapped: bool) -> None:
    lead = difference("fine-tuned", "rag", 0.25, 0.15)
    if swapped:
        lead = replace(lead, first="rag", second="fine-tuned", interval=Interval(-0.25, -0.35, -0.15))
    found = check(compared(Verdict.WINNER, "fine-tuned", lead))
    assert (found.outcome, found.evidence_arm) == (PriorOutcome.OVERRULED, "fine-tuned")
    assert "25.0 points [15.0, 35.0]" in found.explanation


def test_without_a_winner_an_arm_surely_better_than_the_prior_overrules_it() -> None:
    found = check(
        compared(Verdict.NO_CLEAR_WINNER, "base", difference("rag", "fine-tuned", -0.2, -0.3),
                 difference("base", "fine-tuned", 0.01, -0.1, 0.8))
    )  # fmt: skip
    assert (found.outcome, found.evidence_arm) == (PriorOutcome.OVERRULED, "fine-tuned")


@pytest.mark.parametrize(
    "lead",
    [
        difference("fine-tuned", "rag", 0.10, -0.01),
        difference("fine-tuned", "rag", 0.10, 0.01, p=0.06),
        difference("fine-tuned", "rag", 0.01, 0.005),
        difference("fine-tuned", "rag", 0.40, 0.3, metric="token_f1"),
    ],
    ids=["interval holds 0", "not significant after Holm", "below the margin", "another metric"],
)
def test_a_lead_that_is_not_shown_leaves_the_prior_standing(lead: PairedDifference) -> None:
    found = check(compared(Verdict.NO_CLEAR_WINNER, "base", lead))
    assert found.outcome is PriorOutcome.UNDECIDED
    assert "base is as good within the margin and cheaper" in found.explanation


@pytest.mark.parametrize("verdict", [Verdict.INSUFFICIENT_DATA, Verdict.INVALID_COMPARISON])
def test_a_comparison_without_verdict_decides_nothing(verdict: Verdict) -> None:
    found = check(compared(verdict, None, difference("fine-tuned", "rag", 0.5, 0.4)))
    assert (found.outcome, found.evidence_arm) == (PriorOutcome.UNDECIDED, None)


def test_a_reference_overrules_nothing() -> None:
    found = check(compared(Verdict.WINNER, "rag", difference("oracle-context", "rag", 0.3, 0.2)))
    assert found.outcome is PriorOutcome.CONFIRMED
    undecided = compared(Verdict.NO_CLEAR_WINNER, "rag", difference("oracle-context", "rag", 0.3, 0.2))
    assert check(undecided).outcome is PriorOutcome.UNDECIDED


def test_a_prior_whose_arm_was_not_measured_is_not_tested() -> None:
    found = check(compared(Verdict.WINNER, "fine-tuned", arms=("base", "fine-tuned")))
    assert found.outcome is PriorOutcome.UNDECIDED
    assert "was not among the arms measured" in found.explanation


def test_a_score_never_overrules_a_requirement() -> None:
    found = check(compared(Verdict.WINNER, "fine-tuned", difference("fine-tuned", "rag", 0.3, 0.2)), NO_DELETION)
    assert found.outcome is PriorOutcome.UNDECIDED
    assert "rule it out" in found.explanation
    assert "deletable" in found.explanation


def test_a_cheaper_arm_that_is_ruled_out_is_named_as_such() -> None:
    found = check(compared(Verdict.NO_CLEAR_WINNER, "fine-tuned"), NO_DELETION)
    assert found.explanation.endswith("but your answers rule it out.")


def test_without_a_prior_the_evidence_stands_alone() -> None:
    found = confront(prior({}), compared(Verdict.WINNER, "rag"))
    assert (found.outcome, found.evidence_arm) == (PriorOutcome.NO_PRIOR, "rag")
    assert "The evidence favours rag." in found.explanation
