"""Races with planted scores: who is dropped, when it stops, what it says, and what must never change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decision.decision import Stakes
from advisor.decision.race import Race
from advisor.decision.race_plan import RacePlan, plan_race
from advisor.decision.race_recommendation import raced_arm, recommend_from_race
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.results.comparison import AuditFinding, PairedDifference, RaceOutcome, Recommendation, Severity, Verdict

Scores = Mapping[str, Sequence[float | None]]
RULE = DecisionRule("exact_match")
BLOCK = AuditFinding("leakage", Severity.BLOCK, "3 test questions stand in training.", "Remove them from training.")


def plan(n: int, *, size: int = 1, block_questions: int = 10) -> RacePlan:
    """One slice, `size` questions a cluster."""
    return plan_race(["s"] * n, [f"d{i // size}" for i in range(n)], {"s": 1.0}, block_questions=block_questions)


@dataclass(frozen=True)
class RaceResult:
    recommendation: Recommendation
    outcome: RaceOutcome
    differences: tuple[PairedDifference, ...]


def told(
    one: Race,
    usd: Mapping[str, float],
    findings: Sequence[AuditFinding] = (),
    *,
    out: Mapping[str, str] | None = None,
    scores: Mapping[str, float] | None = None,
    good_enough: float | None = None,
    rule: DecisionRule = RULE,
    weights: Mapping[str, float] | None = None,
) -> Recommendation:
    stakes = Stakes(weights or {"s": 1.0}, rule.margin, usd, good_enough=good_enough)
    return recommend_from_race(one.outcome(), one.differences(), stakes, scores or {}, findings, rule, out=out)


def race(
    scores: Scores, *, rule: DecisionRule = RULE, units: RacePlan | None = None, usd: Mapping[str, float] | None = None
) -> RaceResult:
    units = units or plan(len(next(iter(scores.values()))))
    one = raced(scores, Race(list(scores), units, rule))
    usd = usd or {arm: float(len(arm)) for arm in scores}
    return RaceResult(told(one, usd, rule=rule, weights=units.weights), one.outcome(), one.differences())


def raced(scores: Scores, one: Race) -> Race:
    """The race after all its blocks."""
    while (block := one.next_block()) is not None:
        one.add({arm: [scores[arm][i] for i in block.questions] for arm in one.arms})
    return one


def drawn(rng: np.random.Generator, *, n: int = 300, **chances: float) -> dict[str, list[float]]:
    """Answers of each arm, right by chance."""
    return {arm: (rng.random(n) < p).astype(float).tolist() for arm, p in chances.items()}


def test_an_arm_that_is_far_better_wins_after_a_fraction_of_the_questions() -> None:
    result = race(drawn(np.random.default_rng(0), base=0.1, rag=0.9, tuned=0.5))
    assert (result.recommendation.verdict, result.recommendation.arm) == (Verdict.WINNER, "rag")
    assert result.outcome.remaining == ("rag",)
    assert [(drop.arm, drop.by) for drop in result.outcome.drops] == [("base", "rag"), ("tuned", "rag")]
    assert result.outcome.drops[0].n_questions < result.outcome.drops[1].n_questions < 300
    assert result.outcome.n_evaluations == sum(d.n_questions for d in result.outcome.drops) + result.outcome.n_questions
    assert result.outcome.share_saved == 1 - result.outcome.n_evaluations / 900
    assert result.outcome.share_saved > 0.5
    assert "Ship rag: every other arm is surely worse, the closest (tuned) by" in result.recommendation.headline
    assert "base was surely worse than rag after 20 questions and was asked no more." in result.recommendation.reasons


def test_what_is_said_of_a_dropped_arm_is_what_its_evidence_bears() -> None:
    result = race(drawn(np.random.default_rng(1), base=0.1, rag=0.9, tuned=0.5))
    ours = [d for d in result.differences if "rag" in (d.first, d.second)]
    assert [(drop.by, drop.arm) for drop in result.outcome.drops] == [(d.first, d.second) for d in ours]
    for difference in ours:
        assert difference.p_adjusted <= 0.05
        assert 0 < difference.interval.low < difference.interval.high <= 1
        assert difference.interval.estimate == (difference.interval.low + difference.interval.high) / 2
        assert difference.test == "betting e-process"


def test_arms_that_cannot_be_told_apart_are_asked_everything() -> None:
    result = race(drawn(np.random.default_rng(2), base=0.6, rag=0.6))
    assert result.recommendation.verdict is Verdict.NO_CLEAR_WINNER
    assert result.outcome.share_saved == 0
    (difference,) = result.differences
    assert difference.interval.low < 0 < difference.interval.high
    assert difference.n == 300
    assert result.recommendation.questions_needed is not None
    assert result.recommendation.questions_needed > 300
    assert result.recommendation.probability_best == {}
    assert result.recommendation.minimum_detectable_effect is None


def test_arms_surely_within_the_margin_end_the_race_and_the_cheapest_is_named() -> None:
    rng = np.random.default_rng(3)
    base = (rng.random(2_000) < 0.7).astype(float)
    rag = np.where(rng.random(2_000) < 0.03, 1 - base, base)
    result = race(
        {"base": base.tolist(), "rag": rag.tolist()},
        rule=DecisionRule("exact_match", margin=0.05),
        usd={"base": 2.0, "rag": 1.0},
    )
    assert (result.recommendation.verdict, result.recommendation.arm) == (Verdict.BEST_CHOICE, "rag")
    assert result.recommendation.leader in result.recommendation.headline
    assert result.outcome.share_saved > 0.5
    (difference,) = result.differences
    assert -0.05 < difference.interval.low < difference.interval.high < 0.05


def test_a_lead_that_is_sure_but_below_the_margin_drops_nobody() -> None:
    base = [1.0, 0.0] * 1_000
    rag = [1.0 if i % 10 == 1 else score for i, score in enumerate(base)]
    wide = race({"base": base, "rag": rag}, rule=DecisionRule("exact_match", margin=0.15))
    assert wide.outcome.drops == ()
    assert set(wide.outcome.not_worse) == {("base", "rag"), ("rag", "base")}
    assert wide.differences[0].interval.high < 0  # base minus rag: rag is surely better
    narrow = race({"base": base, "rag": rag}, rule=DecisionRule("exact_match", margin=0.05))
    assert (narrow.recommendation.verdict, narrow.recommendation.arm) == (Verdict.WINNER, "rag")


def test_a_third_arm_in_between_is_beaten_by_the_best_one_left() -> None:
    result = race(drawn(np.random.default_rng(4), good=0.95, middling=0.6, poor=0.05))
    assert {drop.arm: drop.by for drop in result.outcome.drops} == {"poor": "good", "middling": "good"}


def test_questions_of_one_document_are_one_unit_and_prove_no_more_than_one() -> None:
    rng = np.random.default_rng(5)
    documents = np.repeat(rng.random(20) < 0.5, 20).astype(float)
    scores = {"base": (1 - documents).tolist(), "rag": documents.tolist()}
    clustered = race(scores, units=plan(400, size=20, block_questions=40))
    (difference,) = clustered.differences
    assert difference.n_clusters == 20
    assert clustered.recommendation.verdict is not Verdict.WINNER
    singly = race({arm: values[::20] for arm, values in scores.items()} | {}, units=plan(20)).outcome
    assert singly.n_evaluations == 0  # 20 questions are below what any verdict needs


def test_slices_count_by_their_weight() -> None:
    slices = ["seen"] * 200 + ["unseen"] * 200
    clusters = [f"d{i}" for i in range(400)]
    scores = {"tuned": [1.0] * 200 + [0.0] * 200, "rag": [0.0] * 200 + [1.0] * 200}
    for coverage, winner in ((0.8, "tuned"), (0.2, "rag")):
        units = plan_race(slices, clusters, {"seen": coverage, "unseen": 1 - coverage})
        assert race(scores, units=units).recommendation.arm == winner
    balanced = race(scores, units=plan_race(slices, clusters, {"seen": 0.5, "unseen": 0.5}))
    assert balanced.recommendation.verdict is not Verdict.WINNER


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.permutations(["base", "hybrid", "rag", "tuned"]))
def test_the_order_of_arms_changes_nothing(seed: int, order: list[str]) -> None:
    rng = np.random.default_rng(seed)
    units = plan(100)
    scores = drawn(rng, n=100, **{arm: rng.random() for arm in sorted(order)})
    assert race({arm: scores[arm] for arm in order}, units=units) == race(scores, units=units)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0, 0.1), st.sampled_from([0.0, 0.02, 0.1]))
def test_unscored_is_never_better_than_wrong(seed: int, share: float, margin: float) -> None:
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.2, 0.9, 3)
    scores: dict[str, list[float | None]] = {
        arm: list(values)
        for arm, values in drawn(rng, n=120, **dict(zip(("base", "rag", "tuned"), chances, strict=True))).items()
    }
    failed = rng.random(120) < share
    rule = DecisionRule("exact_match", margin)
    wrong = race(scores | {"rag": [0.0 if f else s for f, s in zip(failed, scores["rag"], strict=True)]}, rule=rule)
    missing = race(scores | {"rag": [None if f else s for f, s in zip(failed, scores["rag"], strict=True)]}, rule=rule)
    if missing.recommendation.arm == "rag":
        assert wrong.recommendation.arm == "rag"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 15))
def test_after_the_same_questions_unscored_only_widens_what_is_known(seed: int, n_failed: int) -> None:
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float | None]] = {
        arm: list(values) for arm, values in drawn(rng, base=0.55, rag=0.6).items()
    }
    failing = list(scores["rag"])
    for i in rng.integers(0, 300, n_failed):
        failing[i] = None
    rule = DecisionRule("exact_match", margin=0.9)  # nobody leads by that much, so that both races go the same way
    units = plan(300)
    whole, worse = Race(["base", "rag"], units, rule), Race(["base", "rag"], units, rule)
    for block in units.blocks[:12]:
        for one, rag in ((whole, scores["rag"]), (worse, failing)):
            if one.next_block() is not None:
                one.add(
                    {"base": [scores["base"][i] for i in block.questions], "rag": [rag[i] for i in block.questions]}
                )
    if whole.n_blocks == worse.n_blocks:
        known, less = (one.differences()[0].interval for one in (whole, worse))
        assert less.low <= known.low
        assert less.high >= known.high


def test_a_winner_must_win_though_its_rivals_missing_answers_were_right() -> None:
    scores: dict[str, list[float | None]] = {"base": [0.0] * 300, "rag": [0.0] * 300}
    for i in range(0, 300, 22):
        scores["rag"][i] = 1.0
    assert race(scores).recommendation.verdict is Verdict.WINNER
    scores["base"] = [None if i % 23 == 1 else 0.0 for i in range(300)]
    result = race(scores)
    assert result.recommendation.verdict is Verdict.BEST_CHOICE
    assert any("answers of base could not be scored" in reason for reason in result.recommendation.reasons)


def test_an_arm_that_would_be_beaten_but_for_its_failures_is_not_recommended_later() -> None:
    units = plan(300)
    early = [i for block in units.blocks[:8] for i in block.questions]
    late = [i for block in units.blocks[8:] for i in block.questions]
    scores: dict[str, list[float | None]] = {"base": [0.0] * 300, "rag": [0.0] * 300}
    for i in early[::4]:
        scores["base"][i] = 1.0
    for i in early[1::7]:
        scores["rag"][i] = None
    for i in late[::3]:
        scores["rag"][i] = 1.0
    wrong = [0.0 if score is None else score for score in scores["rag"]]
    assert race({"base": scores["base"], "rag": wrong}, units=units).recommendation.verdict is Verdict.WINNER
    result = race(scores, units=units)
    assert result.outcome.standing["rag"] > result.outcome.standing["base"]
    assert result.outcome.behind == ("rag",)
    assert (result.recommendation.verdict, result.recommendation.arm) == (Verdict.NO_CLEAR_WINNER, "base")


def test_an_arm_that_often_fails_is_out_and_the_others_race_on() -> None:
    rng = np.random.default_rng(6)
    scores: dict[str, list[float | None]] = {arm: list(values) for arm, values in drawn(rng, base=0.3, rag=0.8).items()}
    scores["tuned"] = [None if i % 3 == 0 else 1.0 for i in range(300)]
    result = race(scores)
    assert (result.recommendation.verdict, result.recommendation.arm) == (Verdict.WINNER, "rag")
    assert next(drop for drop in result.outcome.drops if drop.arm == "tuned").by is None
    assert any("tuned is out: too many answers were unscored" in reason for reason in result.recommendation.reasons)


def test_an_arm_that_drops_others_and_then_fails_leaves_no_verdict() -> None:
    units = plan(300)
    early = {i for block in units.blocks[:10] for i in block.questions}
    scores: dict[str, list[float | None]] = {
        "base": [0.0] * 300,
        "rag": [float(i % 5 != 1) for i in range(300)],
        "tuned": [float(i % 10 != 2) if i in early else None for i in range(300)],
    }
    result = race(scores, units=units)
    by = {drop.arm: drop.by for drop in result.outcome.drops}
    assert by["tuned"] is None
    assert by["base"] == "tuned"
    assert result.recommendation.verdict is Verdict.INSUFFICIENT_DATA
    assert "Race again without tuned." in result.recommendation.headline


def test_when_all_fail_or_only_one_is_left_nothing_is_decided() -> None:
    none: list[float | None] = [None] * 100
    result = race({"base": none, "rag": none})
    assert (result.recommendation.verdict, result.recommendation.arm) == (Verdict.INSUFFICIENT_DATA, None)
    assert result.outcome.n_evaluations == 20  # a block of 10 each, which is more than 5 % of 100
    alone = race({"base": none, "rag": [1.0] * 100})
    assert alone.recommendation.verdict is Verdict.INSUFFICIENT_DATA
    assert "rag is the only arm that was measured" in alone.recommendation.headline


@pytest.mark.parametrize(("n", "size"), [(29, 1), (90, 10)])
def test_too_few_questions_or_documents_are_not_raced(n: int, size: int) -> None:
    result = race({"base": [0.0] * n, "rag": [1.0] * n}, units=plan(n, size=size))
    assert result.recommendation.verdict is Verdict.INSUFFICIENT_DATA
    assert result.outcome.n_evaluations == 0
    assert "are too few" in result.recommendation.headline


def test_a_comparison_that_the_audit_blocked_has_no_verdict() -> None:
    units = plan(100)
    blocked = Race(["base", "rag"], units, RULE)
    blocked.add({"base": [0.0] * 10, "rag": [1.0] * 10})
    result = told(blocked, {"base": 1.0, "rag": 1.0}, [BLOCK])
    assert result.verdict is Verdict.INVALID_COMPARISON
    assert result.reasons == ("Remove them from training.",)


def test_a_race_goes_on_where_it_was_when_its_blocks_are_added_again() -> None:
    scores = drawn(np.random.default_rng(7), base=0.5, rag=0.7)
    units = plan(300)
    whole = race(scores, units=units)
    resumed = Race(["base", "rag"], units, RULE)
    for block in units.blocks[:3]:
        resumed.add({arm: [scores[arm][i] for i in block.questions] for arm in resumed.arms})
    assert resumed.arms == ("base", "rag")
    raced(scores, resumed)
    assert (resumed.outcome(), resumed.differences()) == (whole.outcome, whole.differences)


@pytest.mark.parametrize("arms", [[], ["base"], ["base", "base"]])
def test_fewer_than_two_arms_are_no_race(arms: list[str]) -> None:
    with pytest.raises(EvaluationError, match="a race needs at least 2 different arms"):
        Race(arms, plan(100), RULE)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"base": [0.0] * 10}, "the race needs scores of base, rag; got base"),
        ({"base": [0.0] * 10, "rag": [0.0] * 9}, "rag has 9 scores for a block of 10 questions"),
        ({"base": [0.0] * 10, "rag": [0.0] * 9 + [1.5]}, "rag has a score of 1.5 for question"),
        ({"base": [0.0] * 10, "rag": [0.0] * 9 + [float("nan")]}, "rag has a score of nan for question"),
    ],
)
def test_scores_that_do_not_fit_are_refused_by_name(scores: Scores, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        Race(["base", "rag"], plan(100), RULE).add(scores)


def test_a_race_that_is_over_takes_no_more_blocks() -> None:
    over = Race(["base", "rag"], plan(100), RULE)
    while over.next_block() is not None:
        over.add({"base": [0.0] * 10, "rag": [1.0] * 10})
    assert over.n_blocks < 10
    with pytest.raises(EvaluationError, match="the race is over"):
        over.add({"rag": [1.0] * 10})


def test_every_two_remaining_arms_have_their_confidence_sequence() -> None:
    result = race(drawn(np.random.default_rng(8), base=0.6, rag=0.62, tuned=0.61))
    pairs = {(d.first, d.second) for d in result.differences}
    assert pairs == {pair for pair in permutations(("base", "rag", "tuned"), 2) if pair[0] < pair[1]}


def outcome_of(scores: Scores) -> Race:
    return raced(scores, Race(list(scores), plan(len(next(iter(scores.values())))), RULE))


def test_an_arm_that_left_behind_one_that_may_not_be_shipped_leaves_no_verdict() -> None:
    one = outcome_of(drawn(np.random.default_rng(12), base=0.1, rag=0.9, tuned=0.5))
    usd = {"base": 1.0, "rag": 2.0, "tuned": 3.0}
    assert told(one, usd).arm == "rag"
    result = told(one, usd, out={"rag": "rag is out: it is too slow."})
    assert (result.verdict, result.arm) == (Verdict.INSUFFICIENT_DATA, None)
    assert "left the race behind rag, which may not be shipped. Race again without rag." in result.headline
    assert "rag is out: it is too slow." in result.reasons
    # Arms that are out themselves need nobody to have beaten them.
    both = told(one, usd, out={arm: f"{arm} is out: it is too slow." for arm in ("base", "tuned")})
    assert (both.verdict, both.arm) == (Verdict.WINNER, "rag")
    assert told(one, usd, out=dict.fromkeys(usd, "out")).arm is None


def test_of_arms_that_are_alike_the_cheapest_that_may_be_shipped_is_named() -> None:
    alike = drawn(np.random.default_rng(13), n=1_500, base=0.95)["base"]
    one = outcome_of({"base": alike, "rag": alike, "tuned": alike})
    usd = {"base": 1.0, "rag": 2.0, "tuned": 3.0}
    assert told(one, usd).arm == "base"
    assert told(one, usd, out={"base": "base is out: it cites nothing."}).arm == "rag"
    for costs, out in ((usd, {}), (usd, {"base": ""}), ({"base": 9.0, "rag": 2.0, "tuned": 3.0}, {})):
        stakes = Stakes({"s": 1.0}, RULE.margin, costs)
        assert raced_arm(one.outcome(), stakes, {}, out) == told(one, costs, out=out).arm


def test_the_best_arm_of_a_race_is_not_shipped_below_the_declared_bar() -> None:
    one = outcome_of(drawn(np.random.default_rng(14), base=0.05, rag=0.2))
    usd, scores = {"base": 1.0, "rag": 2.0}, {"base": 0.05, "rag": 0.2}
    poor = told(one, usd, scores=scores, good_enough=0.7)
    assert (poor.verdict, poor.arm, poor.leader) == (Verdict.NOT_READY, None, "rag")
    assert poor.headline.startswith("Not ready to ship: rag ranks highest and scores 20.0 points")
    assert told(one, usd, scores=scores, good_enough=0.15).arm == "rag"
