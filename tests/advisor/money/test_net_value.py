from collections.abc import Sequence

import pytest

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.evidence import Evidence, gather_evidence
from advisor.money.net_value import net_value
from advisor.results.answer import Answer
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import CostEstimate, Interval, QuestionRecord
from advisor.results.score import Score, unscored
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError

COST = CostEstimate(0, 0.001, None, 0, 100.0, "", monthly_interval=Interval(100.0, 90.0, 115.0))
VALUES = AnswerValues(right_usd=1.0, wrong_usd=2.0, abstention_usd=0.5)
WEIGHTS = {"new-case": 1.0}


def evidence(rows: Sequence[tuple[str, float | None]]) -> Evidence:
    """Each row is an answer's text and its score."""
    records = [
        QuestionRecord(
            "rag", f"q{i}", "?", ("a",), (), Slice.NEW_CASE, f"g{i}", f"c{i}",
            Answer(text, Usage(), FinishReason.STOP, (), "hash"),
            {"exact_match": unscored("failed") if score is None else Score(score)},
        )
        for i, (text, score) in enumerate(rows)
    ]  # fmt: skip
    return gather_evidence({"rag": records}, "exact_match")


RIGHT, WRONG, DECLINED, HALF, FAILED = ("a", 1.0), ("b", 0.0), ("I don't know.", 0.0), ("a b", 0.5), ("a", None)


def worth(rows: Sequence[tuple[str, float | None]]) -> float:
    value = net_value(evidence(rows), "rag", COST, VALUES, WEIGHTS, queries_per_month=1_000)
    return value.usd_per_question.estimate


def test_right_wrong_and_declined_answers_have_their_worth() -> None:
    assert worth([RIGHT] * 10) == pytest.approx(1.0)
    assert worth([WRONG] * 10) == pytest.approx(-2.0)
    assert worth([DECLINED] * 10) == pytest.approx(-0.5)
    assert worth([HALF] * 10) == pytest.approx(0.5 * 1.0 - 0.5 * 2.0)
    assert worth([RIGHT] * 5 + [WRONG] * 3 + [DECLINED] * 2) == pytest.approx((5 - 6 - 1) / 10)


def test_an_unscored_answer_is_worth_as_little_as_the_worst() -> None:
    assert worth([RIGHT] * 9 + [FAILED]) == pytest.approx(worth([RIGHT] * 9 + [WRONG]))


def test_a_month_is_worth_its_answers_less_its_cost() -> None:
    value = net_value(evidence([RIGHT] * 70 + [WRONG] * 30), "rag", COST, VALUES, WEIGHTS, queries_per_month=1_000)
    assert value.usd_per_month.estimate == pytest.approx(1_000 * 0.1 - 100)
    assert value.usd_per_month.low == pytest.approx(1_000 * value.usd_per_question.low - 115)
    assert value.usd_per_month.high == pytest.approx(1_000 * value.usd_per_question.high - 90)
    assert value.usd_per_question.low < 0.1 < value.usd_per_question.high


def test_no_questions_a_month_leave_the_cost() -> None:
    value = net_value(evidence([RIGHT] * 10), "rag", COST, VALUES, WEIGHTS, queries_per_month=0)
    assert value.usd_per_month.estimate == -100.0


def test_impossible_amounts_are_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match="queries_per_month is -1"):
        net_value(evidence([RIGHT] * 10), "rag", COST, VALUES, WEIGHTS, queries_per_month=-1)
    for change in ({"right_usd": -1.0}, {"right_usd": 1.0, "wrong_usd": float("nan")}):
        with pytest.raises(ConfigError, match=r"_usd is (-1\.0|nan)"):
            AnswerValues(**change)
