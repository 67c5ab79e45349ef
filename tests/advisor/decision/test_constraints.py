from collections.abc import Sequence
from dataclasses import replace

import pytest

from advisor.data.dataset import Slice
from advisor.decision.constraints import ArmTraits, Constraints, abstention_recall, breach, check_constraints
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError

HYBRID = ArmTraits(retrieves=True, tuned=True, device="cuda", p95_latency_s=2.1, abstention_recall=0.25)
RAG = ArmTraits(retrieves=True, tuned=False, device="cpu", p95_latency_s=1.4, abstention_recall=0.8)
BASE = ArmTraits(retrieves=False, tuned=False, device=None)


def why(constraints: Constraints, traits: ArmTraits, usd: float | None = 10.0) -> str | None:
    return breach(check_constraints(constraints, "arm", traits, usd))


def test_nothing_declared_is_nothing_broken() -> None:
    assert check_constraints(Constraints(), "arm", HYBRID, None) == ()
    assert breach(()) is None


@pytest.mark.parametrize(
    ("constraints", "meets", "breaks", "message"),
    [
        (Constraints(must_cite_sources=True), RAG, BASE, "arm is out: it must cite sources and answers without"),
        (
            Constraints(must_cite_sources=True),
            replace(RAG, backed_share=0.85),
            replace(RAG, backed_share=0.75),
            "75.0% of its answers stand in a passage that comes with them, at least 80% is asked",
        ),
        (Constraints(facts_must_be_deletable=True), RAG, HYBRID, "facts must be deletable and some are in its weights"),
        (Constraints(no_gpu_in_serving=True), BASE, HYBRID, "serving must not need a GPU"),
        (Constraints(max_p95_latency_s=1.5), RAG, HYBRID, "p95 latency is 2.1 s, at most 1.5 s is allowed: 0.6 s too"),
        (Constraints(min_abstention_recall=0.5), RAG, HYBRID, "declines 25.0% .* at least 50.0% is asked: 25.0 points"),
    ],
)
def test_a_broken_constraint_is_named_with_by_how_much(
    constraints: Constraints, meets: ArmTraits, breaks: ArmTraits, message: str
) -> None:
    assert why(constraints, meets) is None
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(why(constraints, breaks))


def test_a_budget_is_held_against_the_monthly_total() -> None:
    budget = Constraints(monthly_budget_usd=12.0)
    assert why(budget, BASE, 12.0) is None
    assert why(budget, BASE, 1_500.0) == (
        "arm is out: a month's cost is 1,500 USD, at most 12 USD is allowed: 1,488 USD too much."
    )


def test_what_cannot_be_shown_to_be_met_is_out_too() -> None:
    outcomes = check_constraints(
        Constraints(max_p95_latency_s=1.0, monthly_budget_usd=1.0, min_abstention_recall=0.1), "arm", BASE, None
    )
    assert [outcome.met for outcome in outcomes] == [None, None, None]
    assert str(breach(outcomes)).count("unknown") == 2
    assert "the test set has none" in str(breach(outcomes))


def records(answers: Sequence[str], part: Slice) -> list[QuestionRecord]:
    return [
        QuestionRecord(
            "rag", f"q{i}", "?", (), (), part, f"g{i}", f"c{i}", Answer(text, Usage(), FinishReason.STOP, (), ""), {}
        )
        for i, text in enumerate(answers)
    ]


def test_abstention_recall_counts_unanswerable_questions_alone() -> None:
    declined = records(["I don't know.", "Paris", "I don't know", ""], Slice.UNANSWERABLE)
    assert abstention_recall([*declined, *records(["I don't know."], Slice.SEEN_FACT)]) == 0.5
    assert abstention_recall(records(["I don't know."], Slice.SEEN_FACT)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_p95_latency_s": 0.0}, r"max_p95_latency_s is 0\.0"),
        ({"max_p95_latency_s": float("nan")}, "max_p95_latency_s is nan"),
        ({"monthly_budget_usd": -1.0}, r"monthly_budget_usd is -1\.0"),
        ({"min_abstention_recall": 1.5}, r"min_abstention_recall is 1\.5"),
    ],
)
def test_impossible_constraints_are_refused_by_name(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Constraints(**change)  # type: ignore[arg-type]
