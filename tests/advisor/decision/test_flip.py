"""What would change the verdict, asked of the very rule that gave it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.data.slices import slice_weights
from advisor.decision.conclusion import Conclusion, conclude
from advisor.decision.constraints import ArmTraits, Constraints
from advisor.decision.flip import BRACKETS, RELATIVE_TOLERANCE, find_flips, map_decision
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse
from advisor.evidence.evidence import paired_differences
from advisor.money.cost import Traffic
from advisor.money.prices import MachinePrice, ModelPrice, PriceList
from advisor.results.answer import Answer, BuildUsage
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Flip, Interval, QuestionRecord, Verdict
from advisor.results.score import Score
from benchmarks.simulations.replays import recommended as recommend
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError

DATED = ("2026-11-20", "a list")
SHARES = {
    "base": (0.10, 0.10),
    "few-shot": (0.15, 0.15),
    "rag": (0.60, 0.60),
    "fine-tuned": (0.80, 0.10),
    "hybrid": (0.75, 0.55),
}
SECONDS = {"base": 0.5, "few-shot": 0.8, "rag": 1.5, "fine-tuned": 0.5, "hybrid": 1.6}
N_QUESTIONS = 240


def prices(factor: float = 1.0) -> PriceList:
    machines = {"cpu": MachinePrice(0.36 * factor, "a machine", *DATED)}
    return PriceList(*DATED, machines, {"m": ModelPrice(1.0 * factor, 4.0 * factor, *DATED, 8.0 * factor)}, {})


def records(arm: str, scores: Sequence[float], slices: Sequence[Slice]) -> list[QuestionRecord]:
    answer = Answer("text", Usage(), FinishReason.STOP, (), "hash")
    return [
        QuestionRecord(
            arm, f"q{i}", "?", ("a",), (), slices[i % len(slices)], f"g{i}", f"c{i // 2}", answer,
            {"exact_match": Score(score)},
        )
        for i, score in enumerate(scores)
    ]  # fmt: skip


def candidates(
    shares: Mapping[str, Sequence[float]] = SHARES,
    slices: Sequence[Slice] = (Slice.SEEN_FACT, Slice.UNSEEN_FACT),
    seed: int = 0,
) -> dict[str, list[QuestionRecord]]:
    """Binary scores with these shares of right answers, slices in turn."""
    rng = np.random.default_rng(seed)
    return {
        arm: records(arm, [float(rng.random() < own[i % len(own)]) for i in range(N_QUESTIONS)], slices)
        for arm, own in shares.items()
    }


def exactly(value: float) -> Interval:
    return Interval(value, value, value, method="measured")


def use(arm: str, *, hosted: bool = False) -> ArmUse:
    seconds = SECONDS.get(arm, 1.0)
    index = BuildUsage(wall_s=20) if arm in ("rag", "hybrid") else BuildUsage()
    training = BuildUsage(wall_s=600, input_tokens=50_000) if arm in ("fine-tuned", "hybrid") else BuildUsage()
    return ArmUse(
        "m" if hosted else "smollm2", "minilm", None if hosted else "cpu",
        exactly(1_000 * seconds), exactly(10), exactly(0), exactly(seconds), index, training,
    )  # fmt: skip


def measure(arms: Mapping[str, Sequence[QuestionRecord]], *, hosted: bool = False) -> MeasuredArms:
    traits = {arm: ArmTraits(arm in ("rag", "hybrid"), arm in ("fine-tuned", "hybrid"), "cpu", 1.0) for arm in arms}
    uses = {arm: use(arm, hosted=hosted) for arm in arms}
    return MeasuredArms.from_records(arms, "exact_match", uses, traits)


INPUTS = DecisionInputs(prices(), Traffic(queries_per_month=1_000))
WORTH = AnswerValues(right_usd=0.001, wrong_usd=0.0005)


@pytest.fixture(scope="module")
def arms() -> dict[str, list[QuestionRecord]]:
    return candidates()


@pytest.fixture(scope="module")
def measured(arms: dict[str, list[QuestionRecord]]) -> MeasuredArms:
    return measure(arms)


def weights_of(arms: Mapping[str, Sequence[QuestionRecord]], coverage: float) -> Mapping[str, float]:
    questions = next(iter(arms.values()))
    return slice_weights([r.slice for r in questions], [r.group for r in questions], coverage=coverage)


def concluded(
    arms: Mapping[str, Sequence[QuestionRecord]], inputs: DecisionInputs, measured: MeasuredArms
) -> Conclusion:
    differences = paired_differences(arms, "exact_match", weights=weights_of(arms, inputs.coverage))
    return conclude(measured, inputs, differences=differences)


def flip_on(flips: Sequence[Flip], axis: Axis) -> Flip:
    return next(flip for flip in flips if flip.axis == axis)


@pytest.mark.parametrize("inputs", [INPUTS, replace(INPUTS, values=WORTH)], ids=["by score", "by net value"])
def test_a_flip_really_flips_and_just_before_it_nothing_has_changed(
    measured: MeasuredArms, inputs: DecisionInputs
) -> None:
    current = measured.recommended(inputs)
    flips = find_flips(measured, inputs)
    assert [flip.axis for flip in flips] == list(Axis)
    found = [(flip, point, way) for flip in flips for point, way in ((flip.below, 1), (flip.above, -1)) if point]
    assert len(found) >= 3
    for flip, point, way in found:
        axis = Axis(flip.axis)
        assert point.arm != current
        assert measured.recommended(measured.moved(inputs, axis, point.value)) == point.arm
        nearer = point.value * (1 + way * 2 * RELATIVE_TOLERANCE)
        assert measured.recommended(measured.moved(inputs, axis, nearer)) == current


def test_coverage_tells_from_where_on_tuning_and_retrieval_win(measured: MeasuredArms) -> None:
    flip = flip_on(find_flips(measured, INPUTS), Axis.COVERAGE)
    assert measured.recommended(INPUTS) == "hybrid"
    assert flip.below is not None
    assert flip.above is not None
    assert (flip.below.arm, flip.above.arm) == ("rag", "fine-tuned")
    assert 0 < flip.below.value < 0.5 < flip.above.value < 1


def test_volume_decides_where_answers_have_a_worth(measured: MeasuredArms) -> None:
    flip = flip_on(find_flips(measured, replace(INPUTS, values=WORTH)), Axis.QUERIES_PER_MONTH)
    assert flip.below is not None
    assert flip.below.arm in ("base", "few-shot")
    assert (flip.searched_low, flip.searched_high) == (0.0, 1e8)


def test_an_undeclared_worth_is_searched_from_the_top(measured: MeasuredArms) -> None:
    flip = flip_on(find_flips(measured, INPUTS), Axis.RIGHT_ANSWER)
    assert flip.current is None
    assert flip.above is None
    assert flip.below is not None
    assert flip.below.value < 0.1


def test_inputs_that_play_no_part_say_so(arms: dict[str, list[QuestionRecord]], measured: MeasuredArms) -> None:
    flips = find_flips(measured, INPUTS)
    assert "No arm is paid by the token" in flip_on(flips, Axis.INPUT_PRICE).note
    hosted = measure(arms, hosted=True)
    flips = find_flips(hosted, INPUTS)
    assert "No arm runs on your own machine" in flip_on(flips, Axis.MACHINE_PRICE).note
    assert flip_on(flips, Axis.INPUT_PRICE).current == 1.0
    unpriced = replace(INPUTS, prices=replace(prices(), models={}))
    assert "no price" in flip_on(find_flips(hosted, unpriced), Axis.RIGHT_ANSWER).note


def test_without_seen_and_unseen_facts_coverage_plays_no_part() -> None:
    measured = measure(candidates({"base": (0.2,), "rag": (0.7,)}, (Slice.NEW_CASE,)))
    assert "coverage plays no part" in flip_on(find_flips(measured, INPUTS), Axis.COVERAGE).note


def test_token_prices_flip_between_arms_that_answer_alike() -> None:
    arms = candidates({"few-shot": (0.7,), "fine-tuned": (0.7,)}, (Slice.NEW_CASE,))
    arms["fine-tuned"] = [replace(record, arm="fine-tuned") for record in arms["few-shot"]]
    measured = measure(arms, hosted=True)
    assert measured.recommended(INPUTS) == "few-shot"
    flip = flip_on(find_flips(measured, INPUTS), Axis.INPUT_PRICE)
    # 500 or 800 tokens a question; 0.4 USD of training spread over 12 months and repeated each month.
    solved = 0.4 * (1 + 1 / 12) / (1_000 * 300) * 1e6
    assert flip.above is not None
    assert flip.above.arm == "fine-tuned"
    assert flip.above.value == pytest.approx(solved, rel=2 * RELATIVE_TOLERANCE)


def test_the_map_agrees_with_the_decision_in_every_cell(measured: MeasuredArms) -> None:
    inputs = replace(INPUTS, values=WORTH)
    drawn = map_decision(measured, inputs)
    assert (drawn.x_axis, drawn.y_axis) == ("queries_per_month", "coverage")
    x, y = drawn.x_values.index(1_000), drawn.y_values.index(0.5)
    assert drawn.arms[y][x] == measured.recommended(inputs)
    assert len(drawn.arms) == len(drawn.y_values)
    assert all(len(row) == len(drawn.x_values) for row in drawn.arms)
    assert len({arm for row in drawn.arms for arm in row}) >= 3
    moved = measured.moved(measured.moved(inputs, Axis.COVERAGE, 0.9), Axis.QUERIES_PER_MONTH, drawn.x_values[-1])
    assert drawn.arms[drawn.y_values.index(0.9)][-1] == measured.recommended(moved)


def test_a_map_of_one_input_or_of_an_idle_one_is_refused(measured: MeasuredArms) -> None:
    for x, y in ((Axis.MARGIN, Axis.MARGIN), (Axis.INPUT_PRICE, Axis.MARGIN)):
        with pytest.raises(EvaluationError, match="make no map"):
            map_decision(measured, INPUTS, x, y)


def test_without_a_recommended_arm_nothing_flips(arms: dict[str, list[QuestionRecord]]) -> None:
    broke = replace(INPUTS, traffic=Traffic(queries_per_month=1e6), constraints=Constraints(monthly_budget_usd=0.0))
    with pytest.raises(EvaluationError, match="no arm is recommended"):
        find_flips(measure(arms), broke)


def test_a_budget_takes_an_arm_out_from_some_volume_on(arms: dict[str, list[QuestionRecord]]) -> None:
    inputs = replace(INPUTS, constraints=Constraints(monthly_budget_usd=5.0))
    flip = flip_on(find_flips(measure(arms), inputs), Axis.QUERIES_PER_MONTH)
    fixed = (620 * 1e-4) * (1 + 1 / 12)
    assert flip.above is not None
    assert flip.above.value == pytest.approx((5.0 - fixed) / (1.6 * 1e-4), rel=2 * RELATIVE_TOLERANCE)


@pytest.mark.parametrize("values", [None, WORTH], ids=["by score", "by net value"])
@pytest.mark.parametrize(
    "constraints", [Constraints(), Constraints(facts_must_be_deletable=True), Constraints(good_enough=0.45)]
)
def test_the_verdict_and_the_function_of_its_inputs_are_one_rule(
    arms: dict[str, list[QuestionRecord]], values: AnswerValues | None, constraints: Constraints
) -> None:
    measured = measure(arms)
    for coverage, margin, volume in ((0.5, 0.02, 1e3), (0.0, 0.02, 1e6), (1.0, 0.1, 10.0), (0.9, 0.3, 0.0)):
        inputs = DecisionInputs(prices(), Traffic(queries_per_month=volume), coverage, margin, values, constraints)
        usd = measured.monthly_usd(inputs)
        verdict = recommend(
            arms, (), (), usd, DecisionRule("exact_match", margin, coverage), weights_of(arms, coverage),
            out=measured.broken(inputs, usd), values=values, queries_per_month=volume,
            good_enough=constraints.good_enough,
        )  # fmt: skip
        assert verdict.arm == measured.recommended(inputs) is not None


def test_a_conclusion_holds_all_that_a_report_shows(
    arms: dict[str, list[QuestionRecord]],
) -> None:
    measured = measure(arms)
    inputs = replace(INPUTS, values=WORTH, constraints=Constraints(must_cite_sources=True, no_gpu_in_serving=True))
    conclusion = concluded(arms, inputs, measured)
    assert conclusion.recommendation.arm == measured.recommended(inputs)
    assert len(conclusion.constraints) == 2 * len(arms)
    assert len(conclusion.break_evens) == 10
    assert [value.arm for value in conclusion.net_values] == list(arms)
    assert conclusion.flips == find_flips(measured, inputs)
    assert conclusion.flip_map == map_decision(measured, inputs)


def test_below_the_bar_nothing_is_shipped_and_every_arm_says_by_how_much(
    arms: dict[str, list[QuestionRecord]], measured: MeasuredArms
) -> None:
    high = replace(INPUTS, constraints=Constraints(good_enough=0.95))
    conclusion = concluded(arms, high, measured)
    assert (conclusion.recommendation.verdict, conclusion.recommendation.arm) == (Verdict.NOT_READY, None)
    assert measured.recommended(high) is None
    assert (conclusion.flips, conclusion.flip_map) == ((), None)
    told = {outcome.arm: outcome for outcome in conclusion.constraints}
    assert not any(outcome.met for outcome in told.values())
    assert told["rag"].measured == conclusion.scores["rag"].interval.estimate
    assert "good enough is 95.0" in told["rag"].message


def test_an_interval_that_holds_the_bar_says_so(arms: dict[str, list[QuestionRecord]], measured: MeasuredArms) -> None:
    best = measured.score(measured.recommended(INPUTS), measured.weights(0.5)).interval
    at_it = replace(INPUTS, constraints=Constraints(good_enough=best.estimate - 0.01))
    found = concluded(arms, at_it, measured).recommendation
    assert found.arm is not None
    assert any("is within the interval" in reason and "it is likely above" in reason for reason in found.reasons)


def test_an_arm_out_by_constraint_is_named_and_the_last_one_left_is_shipped(
    arms: dict[str, list[QuestionRecord]],
) -> None:
    strict = replace(INPUTS, constraints=Constraints(must_cite_sources=True, facts_must_be_deletable=True))
    conclusion = concluded(arms, strict, measure(arms))
    assert conclusion.recommendation.headline == "Ship rag: it is the only arm that meets the declared constraints."
    assert any(reason.startswith("fine-tuned is out: it must cite") for reason in conclusion.recommendation.reasons)


def test_no_arm_within_the_constraints_gives_no_verdict_and_no_flips(arms: dict[str, list[QuestionRecord]]) -> None:
    conclusion = concluded(arms, replace(INPUTS, constraints=Constraints(max_p95_latency_s=0.1)), measure(arms))
    assert conclusion.recommendation.headline == "No verdict: no arm meets the declared constraints."
    assert (conclusion.flips, conclusion.flip_map) == ((), None)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.sampled_from([1e-6, 0.5, 3.0, 1e6]), st.floats(0, 1), st.sampled_from([10.0, 1e4]))
def test_scaling_all_costs_changes_no_ranking(seed: int, factor: float, coverage: float, volume: float) -> None:
    measured = measure(candidates(seed=seed))
    inputs = DecisionInputs(prices(), Traffic(queries_per_month=volume), coverage)
    assert measured.recommended(replace(inputs, prices=prices(factor))) == measured.recommended(inputs)
    valued = replace(inputs, values=WORTH)
    scaled = AnswerValues(WORTH.right_usd * factor, WORTH.wrong_usd * factor)
    dearer = replace(inputs, prices=prices(factor), values=scaled)
    assert measured.recommended(dearer) == measured.recommended(valued)


@pytest.mark.parametrize(
    ("axis", "value", "message"),
    [
        (Axis.COVERAGE, 2.0, r"the coverage is 2\.0"),
        (Axis.MARGIN, 1.0, r"the margin is 1\.0"),
        (Axis.QUERIES_PER_MONTH, -1.0, r"queries_per_month is -1\.0"),
        (Axis.REFRESHES_PER_MONTH, float("inf"), "refreshes_per_month is inf"),
        (Axis.MACHINE_PRICE, -0.1, r"machine_usd_per_hour is -0\.1"),
        (Axis.INPUT_PRICE, float("nan"), "usd_per_million_input_tokens is nan"),
        (Axis.RIGHT_ANSWER, -1.0, r"right_usd is -1\.0"),
    ],
)
def test_impossible_values_are_refused_by_name(measured: MeasuredArms, axis: Axis, value: float, message: str) -> None:
    with pytest.raises((ConfigError, EvaluationError), match=message):
        measured.moved(INPUTS, axis, value)


def test_every_input_has_a_bracket_that_moves_it(arms: dict[str, list[QuestionRecord]]) -> None:
    for axis in Axis:
        measured = measure(arms, hosted=axis in (Axis.INPUT_PRICE, Axis.OUTPUT_PRICE))
        for point in BRACKETS[axis].points:
            assert measured.value(measured.moved(INPUTS, axis, point), axis) == point
