"""The same answers by other metrics: who would be shipped, and by how much."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from advisor.data.dataset import Slice
from advisor.decision.constraints import ArmTraits, Constraints
from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.metric_verdicts import verdicts_by_metric
from advisor.decision.recommendation import DecisionRule
from advisor.evidence.arm_use import ArmUse
from advisor.money.cost import Traffic
from advisor.money.prices import MachinePrice, PriceList
from advisor.results.answer import Answer, BuildUsage
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Interval, MetricVerdict, QuestionRecord, Recommendation, Verdict
from advisor.results.score import Score, unscored
from benchmarks.simulations.replays import recommended as recommend
from lm.completion import FinishReason, Usage

N = 100
RULE = DecisionRule("exact_match")
INPUTS = DecisionInputs(
    PriceList("2026-01-01", "a list", {"cpu": MachinePrice(0.1, "a machine", "2026-01-01", "a list")}, {}, {}),
    Traffic(),
)


def records(arm: str, metrics: Mapping[str, Sequence[float | None]]) -> list[QuestionRecord]:
    answer = Answer("text", Usage(), FinishReason.STOP, (), "hash")
    return [
        QuestionRecord(
            arm, f"q{i}", "?", ("a",), (), Slice.NEW_CASE, f"g{i}", f"c{i}", answer,
            {name: unscored("failed") if values[i] is None else Score(values[i])
             for name, values in metrics.items() if values},
        )
        for i in range(N)
    ]  # fmt: skip


def right(n_right: int) -> list[float]:
    return [1.0] * n_right + [0.0] * (N - n_right)


def use(arm: str) -> ArmUse:
    amounts = [Interval(value, value, value) for value in (100.0, 10.0, 0.0, float(len(arm)))]
    return ArmUse("m", "minilm", "cpu", *amounts, BuildUsage(), BuildUsage())


def verdicts(
    arms: Mapping[str, Mapping[str, Sequence[float | None]]],
    metrics: Sequence[str] = ("token_f1",),
    *,
    inputs: DecisionInputs = INPUTS,
    constraints: Constraints = Constraints(),  # noqa: B008
    decided: Recommendation | None = None,
) -> tuple[MetricVerdict, ...]:
    candidates = {arm: records(arm, scores) for arm, scores in arms.items()}
    traits = {arm: ArmTraits(arm == "rag", False, "cpu", 1.0) for arm in arms}
    measured = MeasuredArms.from_records(
        candidates, RULE.metric, {arm: use(arm) for arm in arms}, traits, other_metrics=metrics
    )
    inputs = replace(inputs, constraints=constraints)
    stakes = measured.stakes(inputs)
    out = measured.broken(inputs, stakes.usd_per_month)
    decided = decided or recommend(candidates, (), (), stakes.usd_per_month, RULE, stakes.weights, out=out)
    return verdicts_by_metric(measured.others, decided, stakes, RULE, out)


def test_another_winner_is_named_with_scores_and_the_paired_difference() -> None:
    (found,) = verdicts(
        {
            "base": {"exact_match": right(10), "token_f1": right(70)},
            "rag": {"exact_match": right(40), "token_f1": right(50)},
        }
    )
    assert (found.metric, found.verdict, found.arm, found.changes) == ("token_f1", Verdict.WINNER, "base", True)
    assert found.scores == {"base": pytest.approx(0.7), "rag": pytest.approx(0.5)}
    assert (found.first, found.second) == ("base", "rag")
    assert found.lead.estimate == pytest.approx(0.2)
    assert 0 < found.lead.low < 0.2 < found.lead.high


def test_the_same_winner_changes_nothing_and_is_set_against_the_next() -> None:
    (found,) = verdicts(
        {
            "base": {"exact_match": right(10), "token_f1": right(20)},
            "few-shot": {"exact_match": right(10), "token_f1": right(40)},
            "rag": {"exact_match": right(40), "token_f1": right(70)},
        }
    )
    assert (found.arm, found.changes, found.first, found.second) == ("rag", False, "rag", "few-shot")


def test_a_metric_without_clear_winner_is_told_by_the_best_arm_and_the_one_of_the_verdict() -> None:
    (found,) = verdicts(
        {
            "base": {"exact_match": right(10), "token_f1": right(51)},
            "rag": {"exact_match": right(40), "token_f1": right(50)},
        }
    )
    assert (found.verdict, found.changes, found.first, found.second) == (Verdict.NO_CLEAR_WINNER, True, "base", "rag")


def test_arms_that_break_a_constraint_cannot_win_by_another_metric_either() -> None:
    arms = {
        "base": {"exact_match": right(10), "token_f1": right(20)},
        "few-shot": {"exact_match": right(40), "token_f1": right(80)},
        "rag": {"exact_match": right(60), "token_f1": right(70)},
    }
    (found,) = verdicts(arms)
    assert found.arm == "few-shot"
    assert verdicts(arms, constraints=Constraints(must_cite_sources=True)) == ()


def test_unscored_answers_count_as_wrong_and_too_many_take_an_arm_out() -> None:
    some: list[float | None] = [None] * 4 + [1.0] * 76 + [0.0] * 20
    arms: dict[str, dict[str, Sequence[float | None]]] = {
        "base": {"exact_match": right(10), "token_f1": some},
        "few-shot": {"exact_match": right(10), "token_f1": right(5)},
        "rag": {"exact_match": right(40), "token_f1": right(30)},
    }
    (found,) = verdicts(arms)
    assert found.scores["base"] == pytest.approx(0.76)
    arms["base"]["token_f1"] = [None] * 10 + [1.0] * 90
    (found,) = verdicts(arms)
    assert set(found.scores) == {"few-shot", "rag"}


def test_declared_worth_of_answers_decides_by_every_metric() -> None:
    arms = {
        "base": {"exact_match": right(10), "token_f1": right(70)},
        "rag": {"exact_match": right(40), "token_f1": right(50)},
    }
    (found,) = verdicts(arms, inputs=replace(INPUTS, values=AnswerValues(1.0)))
    assert (found.arm, found.verdict) == ("base", Verdict.WINNER)


def test_without_a_verdict_there_is_none_to_change() -> None:
    arms = {"base": {"exact_match": right(10)}, "rag": {"exact_match": right(40)}}
    weights = {"new-case": 1.0}
    for verdict in (Verdict.INSUFFICIENT_DATA, Verdict.INVALID_COMPARISON):
        none = Recommendation(verdict, None, "", (), "exact_match", 0.02, 0.5, weights, {}, None, None)
        assert verdicts(arms, decided=none) == ()


def test_a_metric_that_no_question_has_bears_no_verdict() -> None:
    assert verdicts({"base": {"exact_match": right(10)}, "rag": {"exact_match": right(40)}}, ("bleu",)) == ()
