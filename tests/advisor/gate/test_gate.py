"""The gate on comparisons whose scores are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.evidence.prediction_powered import METHOD
from advisor.evidence.records import read_record, record_line
from advisor.gate.baseline import GatedComparison
from advisor.gate.check import GateCheck, GateVerdict
from advisor.gate.gate import evaluate_gate
from advisor.gate.rules import BaselineRule, GateRules, Threshold, WhenUnclear, read_gate_rules
from advisor.results.comparison import (
    CostEstimate,
    Drop,
    Interval,
    LatencySummary,
    RaceOutcome,
    SeedAnswer,
    Verdict,
)
from advisor.results.score import Score
from benchmarks.simulations.gates import stored
from lm.errors import ConfigError

N = 300


def share(right: float, n: int = N) -> list[float | None]:
    return [1.0 if i < round(right * n) else 0.0 for i in range(n)]


def at_least(limit: float, **more: object) -> GateRules:
    return GateRules((Threshold("exact_match", "rag", at_least=limit),), **more)  # type: ignore[arg-type]


AGAINST = GateRules(baseline=BaselineRule(("rag",)))


def verdict(rules: GateRules, now: GatedComparison, before: GatedComparison | None = None) -> GateVerdict:
    return evaluate_gate(rules, now, before).verdict


def test_a_threshold_fails_only_where_the_whole_interval_lies_below_it() -> None:
    now = stored({"rag": share(0.7)})
    interval = now.comparison.arms[0].metrics[0].interval
    assert interval is not None
    assert verdict(at_least(interval.high + 0.002), now) is GateVerdict.FAIL
    assert verdict(at_least(interval.high - 0.002), now) is GateVerdict.PASS
    assert verdict(at_least(0.5), now) is GateVerdict.PASS


def test_a_threshold_from_above_mirrors_one_from_below() -> None:
    now = stored({"rag": share(0.3)})
    for limit, expected in ((0.2, GateVerdict.FAIL), (0.28, GateVerdict.PASS), (0.5, GateVerdict.PASS)):
        rules = GateRules((Threshold("exact_match", "rag", at_most=limit),))
        assert verdict(rules, now) is expected


def test_what_is_unclear_follows_the_declared_policy() -> None:
    now = stored({"rag": share(0.7)})
    for policy in WhenUnclear:
        assert verdict(at_least(0.72, unclear=policy), now).value == policy.value
        assert verdict(at_least(0.5, unclear=policy), now) is GateVerdict.PASS
        assert verdict(at_least(0.9, unclear=policy), now) is GateVerdict.FAIL


def test_too_few_questions_to_see_a_gross_breach_cannot_be_compared() -> None:
    now = stored({"rag": share(0.7, 20)})
    outcome = evaluate_gate(at_least(0.8), now)
    assert outcome.verdict is GateVerdict.CANNOT_COMPARE
    assert "20 questions are too few to see a breach of 20.0 points; about 42 are needed." in outcome.checks[0].reason
    assert verdict(at_least(0.8, resolution=0.5), now) is GateVerdict.PASS
    assert verdict(at_least(0.3), now) is GateVerdict.PASS


def test_reasons_hold_numbers_interval_and_count() -> None:
    check = evaluate_gate(at_least(0.9), stored({"rag": share(0.7)})).checks[0]
    assert check.reason.startswith("rag has 70.0 [64.6, 74.9] points on 300 questions; at least 90.0 is asked.")
    assert check.name == "rag: exact_match at least 90.0 points"
    assert check.measured == pytest.approx(0.7)
    assert check.p_adjusted is not None
    assert check.p_adjusted < 0.001


def test_a_threshold_may_be_about_one_slice() -> None:
    slices = [Slice.SEEN_FACT] * 150 + [Slice.UNSEEN_FACT] * 150
    now = stored({"rag": share(0.5)}, slices=slices)
    for part, expected in ((Slice.SEEN_FACT, GateVerdict.PASS), (Slice.UNSEEN_FACT, GateVerdict.FAIL)):
        assert verdict(GateRules((Threshold("exact_match", "rag", at_least=0.6, slice=part),)), now) is expected


def test_the_recommended_arm_is_looked_at_where_none_is_named() -> None:
    now = stored({"base": share(0.2), "rag": share(0.8)}, recommended="rag")
    assert verdict(GateRules((Threshold("exact_match", at_least=0.7),)), now) is GateVerdict.PASS
    none = stored({"base": share(0.2)}, recommended=None)
    assert verdict(GateRules((Threshold("exact_match", at_least=0.1),)), none) is GateVerdict.CANNOT_COMPARE


@pytest.mark.parametrize(
    "threshold",
    [
        Threshold("exact_match", "hybrid", at_least=0.5),
        Threshold("token_f1", "rag", at_least=0.5),
        Threshold("exact_match", "rag", at_least=0.5, slice=Slice.UNANSWERABLE),
        Threshold("p95_latency_s", "rag", at_most=1),
        Threshold("usd_per_query", "rag", at_most=1),
    ],
)
def test_what_was_not_measured_cannot_be_compared(threshold: Threshold) -> None:
    assert verdict(GateRules((threshold,)), stored({"rag": share(0.8)})) is GateVerdict.CANNOT_COMPARE


def test_a_comparison_its_audit_blocked_cannot_be_compared_whatever_its_figures() -> None:
    now = stored({"rag": share(0.1)}, verdict=Verdict.INVALID_COMPARISON)
    assert verdict(at_least(0.9), now) is GateVerdict.CANNOT_COMPARE
    blocked = stored({"rag": share(0.9)}, verdict=Verdict.INVALID_COMPARISON)
    assert verdict(AGAINST, stored({"rag": share(0.1)}), blocked) is GateVerdict.CANNOT_COMPARE


def test_one_failing_check_fails_the_gate_also_where_another_cannot_be_compared() -> None:
    rules = GateRules((Threshold("exact_match", "rag", at_least=0.9), Threshold("exact_match", "no", at_least=0.9)))
    outcome = evaluate_gate(rules, stored({"rag": share(0.1)}))
    assert outcome.verdict is GateVerdict.FAIL
    assert "1 of 2 checks" in outcome.headline


# Unscored answers


def test_above_five_percent_unscored_nothing_is_said() -> None:
    few: list[float | None] = [None] * 14 + share(0.2, N - 14)
    many: list[float | None] = [None] * 16 + share(0.2, N - 16)
    assert verdict(at_least(0.9), stored({"rag": few})) is GateVerdict.FAIL
    assert verdict(at_least(0.9), stored({"rag": many})) is GateVerdict.CANNOT_COMPARE
    assert verdict(AGAINST, stored({"rag": many}), stored({"rag": share(0.9)})) is GateVerdict.CANNOT_COMPARE


def test_where_unscored_answers_decide_nothing_is_said() -> None:
    values: list[float | None] = [None] * 14 + share(0.7, N - 14)
    outcome = evaluate_gate(at_least(0.74), stored({"rag": values}))
    assert outcome.verdict is GateVerdict.CANNOT_COMPARE
    assert "14 unscored answers decide" in outcome.checks[0].reason


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=30, max_size=60), st.data())
@settings(max_examples=60, deadline=None)
def test_losing_a_score_never_turns_a_failure_into_a_pass(scores: list[float], data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(scores) - 1))
    rules = at_least(data.draw(st.sampled_from([0.3, 0.5, 0.7, 0.9])))
    whole = verdict(rules, stored({"rag": scores}))
    partial: list[float | None] = list(scores)
    partial[lost] = None
    if whole is GateVerdict.FAIL:
        assert verdict(rules, stored({"rag": partial})) is not GateVerdict.PASS


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=30, max_size=60), st.data())
@settings(max_examples=40, deadline=None)
def test_a_lost_score_never_mends_a_loss_against_the_baseline(
    pairs: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    before = stored({"rag": [float(b) for _, b in pairs]})
    scores: list[float | None] = [float(a) for a, _ in pairs]
    if verdict(AGAINST, stored({"rag": scores}), before) is GateVerdict.FAIL:
        scores[data.draw(st.integers(0, len(scores) - 1))] = None
        assert verdict(AGAINST, stored({"rag": scores}), before) is not GateVerdict.PASS


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=30, max_size=60), st.integers(0, 59))
@settings(max_examples=60, deadline=None)
def test_a_better_answer_never_turns_a_pass_into_a_failure(scores: list[float], index: int) -> None:
    better = list(scores)
    better[index % len(scores)] = 1.0
    if verdict(at_least(0.6), stored({"rag": scores})) is not GateVerdict.FAIL:
        assert verdict(at_least(0.6), stored({"rag": better})) is not GateVerdict.FAIL


@given(st.integers(1, 6), st.floats(0.4, 0.9))
@settings(max_examples=30, deadline=None)
def test_more_checks_never_make_one_of_them_fail(n_more: int, limit: float) -> None:
    now = stored({"rag": share(0.6)})
    more = tuple(Threshold("exact_match", "rag", at_least=0.01) for _ in range(n_more))
    alone = evaluate_gate(at_least(limit), now).checks[0]
    among = evaluate_gate(GateRules((*at_least(limit).thresholds, *more)), now).checks[0]
    assert (alone.p_adjusted or 0) <= (among.p_adjusted or 0)
    if among.verdict is GateVerdict.FAIL:
        assert alone.verdict is GateVerdict.FAIL


# Cost and waits


def with_economics(now: GatedComparison, p95_s: float, usd: Interval | float) -> GatedComparison:
    spread = usd if isinstance(usd, Interval) else None
    amount = usd.estimate if isinstance(usd, Interval) else usd
    cost = CostEstimate(0.0, amount, None, 0.0, amount * 1000, "", serve_interval=spread)
    arm = replace(now.comparison.arms[0], latency=LatencySummary(p95_s / 2, p95_s, 16, 0), cost=cost)
    return replace(now, comparison=replace(now.comparison, arms=(arm,)))


def timed(made: GatedComparison, factor: float, n: int = 32, first: int = 0) -> GatedComparison:
    """With waits of `n` questions, long and short ones, all so many times as long."""
    waits = {f"q{first + i}": factor * (1 + i % 8 / 8) for i in range(n)}
    arm = made.comparison.arms[0]
    p95_s = float(np.quantile(list(waits.values()), 0.95)) if waits else factor
    arm = replace(arm, latency=LatencySummary(p95_s / 2, p95_s, max(n, 16), 0, waits))
    return replace(made, comparison=replace(made.comparison, arms=(arm,)))


@pytest.mark.parametrize(("p95_s", "expected"), [(0.9, "pass"), (1.05, "cannot compare"), (1.2, "fail")])
def test_a_wait_may_pass_its_limit_by_the_tolerance_only(p95_s: float, expected: str) -> None:
    rules = GateRules((Threshold("p95_latency_s", "rag", at_most=1),), unclear=WhenUnclear.CANNOT_COMPARE)
    assert verdict(rules, with_economics(stored({"rag": share(0.5)}), p95_s, 0.1)).value == expected


@pytest.mark.parametrize(("low", "expected"), [(0.11, "fail"), (0.09, "cannot compare")])
def test_a_cost_fails_where_all_its_spread_is_above_the_limit(low: float, expected: str) -> None:
    rules = GateRules((Threshold("usd_per_query", "rag", at_most=0.1),), unclear=WhenUnclear.CANNOT_COMPARE)
    assert verdict(rules, with_economics(stored({"rag": share(0.5)}), 1, Interval(0.12, low, 0.13))).value == expected


def test_no_right_answer_has_no_price_low_enough() -> None:
    rules = GateRules((Threshold("usd_per_correct_answer", "rag", at_most=5),))
    assert verdict(rules, with_economics(stored({"rag": share(0.0)}), 1, 0.1)) is GateVerdict.FAIL


def test_growth_of_waits_and_costs_is_held_against_the_baseline() -> None:
    before = timed(with_economics(stored({"rag": share(0.5)}), 1.0, 0.1), 1.0)
    rules = GateRules(baseline=BaselineRule(("rag",), max_latency_increase=0.25, max_cost_increase=0.25))
    same = evaluate_gate(rules, timed(with_economics(stored({"rag": share(0.5)}), 1.2, 0.12), 1.2), before)
    assert [check.verdict.value for check in same.checks] == ["pass"] * 3
    worse = evaluate_gate(rules, timed(with_economics(stored({"rag": share(0.5)}), 1.5, 0.13), 1.5), before)
    assert [check.verdict.value for check in worse.checks] == ["pass", "fail", "fail"]


def wait_check(now: GatedComparison, before: GatedComparison, **more: object) -> GateCheck:
    rules = GateRules(
        baseline=BaselineRule(("rag",), max_latency_increase=0.25),
        unclear=WhenUnclear.CANNOT_COMPARE,
        **more,  # type: ignore[arg-type]
    )
    (found,) = [check for check in evaluate_gate(rules, now, before).checks if "latency" in check.name]
    return found


@pytest.mark.parametrize(
    ("factor", "tolerance", "expected"),
    [(1.2, 0.1, "pass"), (1.3, 0.1, "cannot compare"), (1.3, 0.0, "fail"), (1.5, 0.1, "fail")],
)
def test_waits_fail_beyond_the_growth_allowed_and_tolerated(factor: float, tolerance: float, expected: str) -> None:
    now, before = timed(stored({"rag": share(0.5)}), factor), timed(stored({"rag": share(0.5)}), 1.0)
    check = wait_check(now, before, latency_tolerance=tolerance)
    assert check.verdict.value == expected
    assert f"{factor:.2f} [{factor:.2f}, {factor:.2f}] times as long (32 questions asked on both sides)" in check.reason


def test_one_long_wait_is_no_breach() -> None:
    before = timed(stored({"rag": share(0.5)}), 1.0, 20)
    arm = before.comparison.arms[0]
    assert arm.latency is not None
    waits = {**arm.latency.waits_s, "q0": 60.0}
    held_up = replace(arm, latency=replace(arm.latency, p95_s=60.0, waits_s=waits))
    now = replace(before, comparison=replace(before.comparison, arms=(held_up,)))
    assert wait_check(now, before).verdict is GateVerdict.CANNOT_COMPARE
    assert "A breach is not shown" in wait_check(now, before).reason


@pytest.mark.parametrize(
    ("n_now", "n_before", "told"),
    [
        (32, 0, "The baseline holds a p95 without the waits"),
        (0, 32, "This comparison holds a p95 without the waits"),
        (32, 19, "The baseline timed 19 questions; a p95 takes 20"),
        (19, 32, "This comparison timed 19 questions"),
    ],
)
def test_too_few_waits_cannot_be_compared_however_long(n_now: int, n_before: int, told: str) -> None:
    now, before = timed(stored({"rag": share(0.5)}), 9.0, n_now), timed(stored({"rag": share(0.5)}), 1.0, n_before)
    check = wait_check(now, before)
    assert check.verdict is GateVerdict.CANNOT_COMPARE
    assert told in check.reason


def test_waits_of_other_questions_are_two_samples() -> None:
    before = timed(stored({"rag": share(0.5)}), 1.0)
    for now in (
        timed(stored({"rag": share(0.5)}), 3.0, first=100),
        renamed(timed(stored({"rag": share(0.5)}), 3.0), 0, question="another"),
    ):
        check = wait_check(now, before)
        assert "of which the baseline timed others" in check.reason
        assert check.verdict is GateVerdict.FAIL
        assert check.low is not None and check.high is not None
        assert check.low < check.high


# Baseline


def test_a_loss_against_the_baseline_fails_and_a_gain_passes() -> None:
    low, high = stored({"rag": share(0.6)}), stored({"rag": share(0.7)})
    outcome = evaluate_gate(AGAINST, low, high)
    assert outcome.verdict is GateVerdict.FAIL
    assert "changed by −10.0 [" in outcome.checks[0].reason
    assert "paired on 300 questions" in outcome.checks[0].reason
    assert verdict(AGAINST, high, low) is GateVerdict.PASS
    assert verdict(AGAINST, low, low) is GateVerdict.PASS


def test_a_sure_loss_below_the_minimum_effect_passes() -> None:
    rules = GateRules(baseline=BaselineRule(("rag",), minimum_effect=0.05))
    now, before = stored({"rag": share(0.66)}), stored({"rag": share(0.7)})
    outcome = evaluate_gate(rules, now, before)
    assert outcome.verdict is GateVerdict.PASS
    assert "smaller than what was declared to matter" in outcome.checks[0].reason
    assert verdict(AGAINST, now, before) is GateVerdict.FAIL


def test_the_order_of_the_questions_changes_nothing() -> None:
    now, before = stored({"rag": share(0.6)}), stored({"rag": share(0.7)})
    turned = replace(before, records=list(before.records)[::-1])
    assert evaluate_gate(AGAINST, now, turned) == evaluate_gate(AGAINST, now, before)


def renamed(
    now: GatedComparison, first: int, *, question: str = "", references: tuple[str, ...] = ()
) -> GatedComparison:
    records = [
        replace(r, question=question or r.question, references=references or r.references) if i >= first else r
        for i, r in enumerate(now.records)
    ]
    return replace(now, records=records)


def test_questions_reworded_or_with_other_references_are_left_out_of_the_pairs() -> None:
    now, before = stored({"rag": share(0.6)}), stored({"rag": share(0.7)})
    for changed in (renamed(now, 280, question="another"), renamed(now, 280, references=("another",))):
        reason = evaluate_gate(AGAINST, changed, before).checks[0].reason
        assert "paired on 280 questions, 40 asked on one side only left out" in reason


def test_other_questions_are_compared_unpaired_and_it_is_said() -> None:
    now, before = stored({"rag": share(0.6)}), stored({"rag": share(0.9)})
    outcome = evaluate_gate(AGAINST, renamed(now, 100, question="another"), before)
    assert "unpaired, since the baseline asked other questions" in outcome.checks[0].reason
    assert outcome.verdict is GateVerdict.FAIL
    assert verdict(AGAINST, renamed(now, 100, question="another"), stored({"rag": share(0.6)})) is GateVerdict.PASS


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: replace(c, card=replace(c.card, name="other")), "another dataset"),
        (lambda c: replace(c, card=replace(c.card, task="extraction")), "task changed"),
        (lambda c: replace(c, recommendation=replace(c.recommendation, metric="token_f1")), "deciding metric changed"),
    ],
)
def test_another_data_set_task_or_metric_cannot_be_compared(change: object, told: str) -> None:
    before = stored({"rag": share(0.9)})
    outcome = evaluate_gate(AGAINST, stored({"rag": share(0.1)}), replace(before, comparison=change(before.comparison)))  # type: ignore[operator]
    assert outcome.verdict is GateVerdict.CANNOT_COMPARE
    assert told in outcome.checks[0].reason


def test_without_a_stored_baseline_nothing_is_compared_and_nothing_is_stored() -> None:
    assert verdict(AGAINST, stored({"rag": share(0.9)})) is GateVerdict.CANNOT_COMPARE


def test_a_metric_by_another_judge_cannot_be_compared() -> None:
    assert verdict(AGAINST, judged(0.5, judge="a"), judged(0.5, judge="b")) is GateVerdict.CANNOT_COMPARE
    assert verdict(AGAINST, judged(0.5), judged(0.5)) is GateVerdict.PASS


def judged(right: float, *, judge: str = "a", n_labels: int = 60, told: float | None = None) -> GatedComparison:
    """A share that a judge calls right, and people's labels of the first answers: as the judge, or of a share."""
    made = stored({"rag": share(right)}, metric="faithfulness")
    records = []
    for i, record in enumerate(made.records):
        value = record.scores["faithfulness"].value if told is None else float(i % 10 < round(10 * told))
        # Spread over right and wrong ones alike.
        is_labelled = i % (N // n_labels) == 0
        labels = {"human:faithfulness": Score(value)} if is_labelled else {}
        records.append(replace(record, scores={**record.scores, **labels}))
    return replace(made, comparison=replace(made.comparison, settings={"judge": judge}), records=records)


def test_scores_of_a_judge_count_as_far_as_people_confirm_them() -> None:
    assert verdict(AGAINST, judged(0.2), judged(0.9)) is GateVerdict.FAIL
    outcome = evaluate_gate(AGAINST, judged(0.2, n_labels=10), judged(0.9))
    assert outcome.verdict is GateVerdict.CANNOT_COMPARE
    assert "people labelled 30 answers of each arm, and the answers of today have fewer" in outcome.checks[0].reason
    # The judge sees a fall where people see none: labels of both kinds of answers say the same share.
    fallen = judged(0.2, n_labels=150, told=0.8)
    assert verdict(AGAINST, fallen, judged(0.9, n_labels=150, told=0.8)) is not GateVerdict.FAIL


def test_a_threshold_on_scores_of_a_judge_wants_the_interval_that_people_corrected() -> None:
    rules = GateRules((Threshold("faithfulness", "rag", at_least=0.3),))
    made = judged(0.7)
    outcome = evaluate_gate(rules, made)
    assert outcome.verdict is GateVerdict.CANNOT_COMPARE
    assert "label some under Labels" in outcome.checks[0].reason
    (arm, *others), (summary, *rest) = made.comparison.arms, made.comparison.arms[0].metrics
    assert summary.interval is not None
    corrected = replace(summary, interval=replace(summary.interval, method=METHOD))
    arms = (replace(arm, metrics=(corrected, *rest)), *others)
    assert verdict(rules, replace(made, comparison=replace(made.comparison, arms=arms))) is GateVerdict.PASS


def test_records_read_back_from_their_file_give_the_same_outcome() -> None:
    now, before = stored({"rag": share(0.6)}), stored({"rag": share(0.7)})
    again = replace(now, records=[read_record(record_line(record)) for record in now.records])
    assert evaluate_gate(AGAINST, again, before) == evaluate_gate(AGAINST, now, before)


def tuned(values_by_seed: list[list[float | None]]) -> GatedComparison:
    made = stored({"rag": values_by_seed[0]})
    records = [
        replace(
            record,
            training_seed=0,
            other_seeds=tuple(
                SeedAnswer(seed, record.answer, {"exact_match": Score(values[i])})
                for seed, values in enumerate(values_by_seed[1:], 1)
            ),
        )
        for i, record in enumerate(made.records)
    ]
    return replace(made, records=records)


def test_training_seeds_that_differ_widen_the_difference() -> None:
    one = evaluate_gate(AGAINST, stored({"rag": share(0.6)}), stored({"rag": share(0.7)})).checks[0]
    several = evaluate_gate(
        AGAINST, tuned([share(0.6), share(0.7), share(0.5)]), tuned([share(0.7), share(0.7), share(0.7)])
    ).checks[0]
    assert one.low is not None
    assert one.high is not None
    assert several.low is not None
    assert several.high is not None
    assert several.measured == pytest.approx(-0.1)
    assert several.high - several.low > 2 * (one.high - one.low)
    assert several.verdict is not GateVerdict.FAIL
    again = evaluate_gate(AGAINST, tuned([share(0.6), share(0.6)]), stored({"rag": share(0.7)}))
    assert again.verdict is GateVerdict.FAIL


def test_an_arm_that_a_race_stopped_asking_cannot_be_compared() -> None:
    def raced(n_questions: int, *, dropped: bool) -> GatedComparison:
        made = stored({"rag": share(0.1)})
        drops = (Drop("rag", "base", 1, 20),) if dropped else ()
        race = RaceOutcome(drops, {}, (), (), {}, 1, n_questions, 15, N, N, 20, 600, {"new-case": 1.0}, 0.02, 0.5, ())
        return replace(made, comparison=replace(made.comparison, race=race))

    whole = stored({"rag": share(0.9)})
    for now in (raced(20, dropped=False), raced(N, dropped=True)):
        assert verdict(at_least(0.9), now) is GateVerdict.CANNOT_COMPARE
        assert verdict(AGAINST, now, whole) is GateVerdict.CANNOT_COMPARE
        assert verdict(AGAINST, whole, now) is GateVerdict.CANNOT_COMPARE
    assert verdict(at_least(0.9), raced(N, dropped=False)) is GateVerdict.FAIL


# Rules


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, "asks for nothing"),
        ({"treshold": []}, "no setting 'treshold'"),
        ({"threshold": {}}, r"\[\[gate.threshold\]\]"),
        ({"threshold": [{"arm": "rag", "at_least": 0.5}]}, "number 1 names no measure"),
        ({"threshold": [{"measure": "exact_mach", "at_least": 0.5}]}, "'exact_mach' is not measured"),
        ({"threshold": [{"measure": "exact_match"}]}, "needs one of at_least and at_most"),
        ({"threshold": [{"measure": "exact_match", "at_least": 70}]}, "70 points are 0.7"),
        ({"threshold": [{"measure": "exact_match", "at_least": "high"}]}, "must be a number"),
        ({"threshold": [{"measure": "exact_match", "at_least": True}]}, "must be a number"),
        ({"threshold": [{"measure": "exact_match", "at_least": float("nan")}]}, "finite"),
        ({"threshold": [{"measure": "p95_latency_s", "at_least": 1}]}, "at_most of at least 0"),
        ({"threshold": [{"measure": "p95_latency_s", "at_most": 1, "slice": "seen-fact"}]}, "not measured by slice"),
        ({"threshold": [{"measure": "exact_match", "at_least": 0.5, "slice": "seen"}]}, "'seen' is none of"),
        ({"baseline": {"arms": []}}, "for no arm"),
        ({"baseline": {"arms": "rag"}}, "must be a list"),
        ({"baseline": {"metrics": ["speed"]}}, "'speed' is not measured"),
        ({"baseline": {"minimum_effect": 2}}, "minimum_effect is 2"),
        ({"baseline": {"max_cost_increase": -1}}, "max_cost_increase is -1"),
        ({"baseline": True}, "must be a table"),
        ({"baseline": {}, "unclear": "maybe"}, "'maybe' is none of pass, fail, cannot compare"),
        ({"baseline": {}, "resolution": 0}, "resolution is 0"),
        ({"baseline": {}, "latency_tolerance": -0.1}, "latency_tolerance"),
    ],
)
def test_wrong_rules_are_refused_by_name(raw: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_gate_rules(raw)


def test_rules_are_read_whole() -> None:
    raw = {
        "unclear": "fail",
        "resolution": 0.1,
        "threshold": [{"arm": "rag", "measure": "exact_match", "at_least": 0.5, "slice": "unseen-fact"}],
        "baseline": {"arms": ["rag"], "metrics": ["token_f1"], "slices": ["seen-fact"], "minimum_effect": 0.01},
    }
    rules = read_gate_rules(raw)
    assert rules.thresholds == (Threshold("exact_match", "rag", at_least=0.5, slice=Slice.UNSEEN_FACT),)
    assert rules.baseline == BaselineRule(("rag",), ("token_f1",), (Slice.SEEN_FACT,), 0.01)
    assert (rules.unclear, rules.resolution) == (WhenUnclear.FAIL, 0.1)


def test_another_dtype_and_another_constraint_are_named_and_decide_nothing() -> None:
    def notes(now: dict[str, object], before: dict[str, object]) -> str:
        ours, theirs = stored({"rag": share(0.6)}), stored({"rag": share(0.6)})
        ours = replace(ours, comparison=replace(ours.comparison, **now))  # type: ignore[arg-type]
        theirs = replace(theirs, comparison=replace(theirs.comparison, **before))  # type: ignore[arg-type]
        outcome = evaluate_gate(AGAINST, ours, theirs)
        assert outcome.verdict is GateVerdict.PASS
        return " ".join(outcome.notes)

    assert "computed in float32 in the baseline and in bfloat16 now" in notes(
        {"dtype": "bfloat16"}, {"dtype": "float32"}
    )
    for same in ({"dtype": "float32"}, {"dtype": ""}):
        assert "computed in" not in notes({"dtype": "float32"}, same)
    labelled = tuple(replace(arm, n_outside_form=0) for arm in stored({"rag": share(0.6)}).comparison.arms)
    held = {"settings": {"constrain": "auto"}, "arms": labelled}
    assert "constrain = off in the baseline and auto now" in notes(held, {})
    assert "constrain" not in notes(held, {"settings": {"constrain": "auto"}})
    assert "constrain" not in notes({"settings": {"constrain": "auto"}}, {})


@pytest.mark.parametrize("n", [10, 60])
def test_that_nothing_changed_in_few_questions_is_no_proof_that_nothing_is_lost(n: int) -> None:
    same = stored({"rag": share(0.8, n)})
    for policy in (WhenUnclear.FAIL, WhenUnclear.CANNOT_COMPARE):
        (check,) = evaluate_gate(replace(AGAINST, unclear=policy), same, same).checks
        assert check.verdict.value == policy.value
        assert check.low is not None and check.low < -2.5 / n
        assert "The whole interval is within it" not in check.reason
    # By the rule of three 400 questions without a change leave losses of .7 points, and 2 are declared to matter.
    many = stored({"rag": share(0.8, 400)})
    assert verdict(replace(AGAINST, unclear=WhenUnclear.FAIL), many, many) is GateVerdict.PASS


def test_other_questions_all_of_which_are_right_prove_no_more() -> None:
    now, before = stored({"rag": share(1.0, 40)}), stored({"rag": share(1.0, 40)})
    before = replace(before, records=[replace(r, example_id=f"other {r.example_id}") for r in before.records])
    (check,) = evaluate_gate(replace(AGAINST, unclear=WhenUnclear.FAIL), now, before).checks
    assert check.verdict is GateVerdict.FAIL
    assert check.low is not None and check.low < -0.05


def test_a_comparison_in_which_no_arm_is_good_enough_fails_the_threshold_of_the_recommended() -> None:
    now = stored({"rag": share(0.19)})
    headline = "Not ready to ship: rag is the best of 5 arms and scores 19.0 points"
    poor = replace(now.comparison.recommendation, verdict=Verdict.NOT_READY, arm=None, headline=headline)
    now = replace(now, comparison=replace(now.comparison, recommendation=poor))
    (check,) = evaluate_gate(GateRules((Threshold("exact_match", at_least=0.1),)), now).checks
    assert (check.verdict, check.reason) == (GateVerdict.FAIL, headline)
