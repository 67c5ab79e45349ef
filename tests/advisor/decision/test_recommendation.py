"""Verdicts, and what must never change them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.data.slices import slice_weights
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.evidence import paired_differences
from advisor.results.answer import Answer
from advisor.results.comparison import AuditFinding, QuestionRecord, Recommendation, Severity, Verdict
from advisor.results.score import Score, unscored
from benchmarks.simulations.replays import recommended as recommend
from lm.completion import FinishReason, Usage

Scores = Mapping[str, Sequence[float | None]]
RULE = DecisionRule("exact_match")
BLOCK = AuditFinding("leakage", Severity.BLOCK, "3 test questions stand in training.", "Remove them from training.")


def records(
    arm: str, scores: Sequence[float | None], *, size: int = 1, slices: Sequence[Slice] = (Slice.NEW_CASE,)
) -> list[QuestionRecord]:
    """One record a score; `size` questions a cluster, slices in turn."""
    answer = Answer("text", Usage(), FinishReason.STOP, (), "hash")
    return [
        QuestionRecord(
            arm,
            f"q{i}",
            f"Question {i}?",
            ("a",),
            (),
            slices[i % len(slices)],
            f"g{i}",
            f"c{i // size}",
            answer,
            {"exact_match": unscored("failed") if score is None else Score(score)},
        )
        for i, score in enumerate(scores)
    ]


def verdict(
    arms: Mapping[str, Sequence[QuestionRecord]],
    *,
    usd: Mapping[str, float] | None = None,
    rule: DecisionRule = RULE,
    findings: Sequence[AuditFinding] = (),
    **stakes: object,
) -> Recommendation:
    questions = next(iter(arms.values()))
    weights = slice_weights(
        [record.slice for record in questions], [record.group for record in questions], coverage=rule.coverage
    )
    differences = paired_differences(arms, rule.metric, weights=weights, seed=rule.seed)
    prices = usd or {arm: float(len(arm)) for arm in arms}
    return recommend(arms, differences, findings, prices, rule, weights, **stakes)


def decide(scores: Scores, *, size: int = 1, **options: object) -> Recommendation:
    return verdict({arm: records(arm, values, size=size) for arm, values in scores.items()}, **options)  # type: ignore[arg-type]


def right(n_right: int, n: int = 100) -> list[float]:
    """`n` answers of which the first `n_right` are right."""
    return [1.0] * n_right + [0.0] * (n - n_right)


def test_an_arm_that_beats_every_other_wins() -> None:
    result = decide({"base": right(40), "rag": right(90), "fine-tuned": right(60)})
    assert (result.verdict, result.arm) == (Verdict.WINNER, "rag")
    assert result.headline.startswith("Ship rag: it beats every other arm, the closest (fine-tuned) by 30.0 points")
    assert result.probability_best["rag"] == 1.0
    assert result.questions_needed is None


def test_a_lead_below_the_margin_is_no_win_however_sure() -> None:
    scores = {"base": right(960, 1000), "rag": right(970, 1000)}
    assert decide(scores, rule=DecisionRule("exact_match", margin=0.0)).verdict is Verdict.WINNER
    assert decide(scores, rule=DecisionRule("exact_match", margin=0.05)).verdict is Verdict.BEST_CHOICE


def test_the_cheapest_non_inferior_arm_is_named_without_a_winner() -> None:
    scores = {"base": right(900, 1000), "rag": right(902, 1000), "hybrid": right(905, 1000)}
    result = decide(scores, usd={"base": 1.0, "rag": 2.0, "hybrid": 3.0})
    assert (result.verdict, result.arm, result.leader) == (Verdict.BEST_CHOICE, "base", "hybrid")
    assert re.match(
        r"Ship base: it is at most 1\.\d points worse than hybrid and rag, less than the margin of 2\.0, and hybrid "
        r"costs 3\.0 × as much\.",
        result.headline,
    )
    assert any("This test set can show differences of about" in reason for reason in result.reasons)


def two_arms(n: int = 60) -> dict[str, list[float]]:
    """Of which rag is ahead, and not surely."""
    rng = np.random.default_rng(0)
    scores = {arm: (rng.random(n) < 0.5).astype(float).tolist() for arm in ("base", "rag")}
    scores["rag"][:] = np.where(np.arange(n) % 10 == 0, 1.0, scores["rag"]).tolist()
    return scores


def test_an_arm_that_costs_more_and_is_not_shown_to_be_better_is_a_trade_off() -> None:
    scores = two_arms()
    scores["base"] = [1.0 - score for score in scores["rag"]]
    scores["base"][:2] = [1.0, 1.0]
    best = max(scores, key=lambda arm: sum(scores[arm]))
    other = "base" if best == "rag" else "rag"
    result = decide(scores, usd={best: 3.0, other: 1.0})
    assert (result.verdict, result.arm, result.leader) == (Verdict.NO_CLEAR_WINNER, best, best)
    assert f"and it costs 3.0 × as much as {other}: no cheaper arm is shown to be as good" in result.headline
    assert result.questions_needed is not None
    assert result.questions_needed > 60
    assert result.minimum_detectable_effect is not None
    assert result.minimum_detectable_effect > 0.1


def test_the_highest_score_that_costs_no_more_is_the_choice_with_its_risk_named() -> None:
    hybrid = [*right(72, 80), *right(3, 20)]
    tuned = right(80)
    scores = {"base": right(10), "hybrid": hybrid, "fine-tuned": tuned}
    result = decide(scores, usd={"base": 1.0, "fine-tuned": 2.0, "hybrid": 3.4})
    assert (result.verdict, result.arm) == (Verdict.BEST_CHOICE, "fine-tuned")
    found = re.match(
        r"Ship fine-tuned: hybrid costs 1\.7 × as much and is at most (\d\.\d) points better\.", result.headline
    )
    assert found is not None
    (reason,) = [reason for reason in result.reasons if reason.startswith("fine-tuned minus hybrid")]
    assert f"[-{found[1]}, " in reason
    # Cheaper in money and slower is a trade-off again.
    waits = {"base": 1.0, "fine-tuned": 1.5, "hybrid": 1.0}
    assert decide(scores, usd={"base": 1.0, "fine-tuned": 2.0, "hybrid": 3.4}, p95_s=waits).verdict is (
        Verdict.NO_CLEAR_WINNER
    )


def test_less_than_a_cent_a_month_is_no_reason_against_an_arm() -> None:
    scores = {"base": right(10), "hybrid": [*right(72, 80), *right(3, 20)], "fine-tuned": right(80)}
    cents = {"base": 0.001, "fine-tuned": 0.010, "hybrid": 0.002}
    assert decide(scores, usd=cents).verdict is Verdict.BEST_CHOICE
    assert decide(scores, usd={arm: 100 * usd for arm, usd in cents.items()}).verdict is Verdict.NO_CLEAR_WINNER
    slower = decide(scores, usd=cents, p95_s={"base": 1.0, "fine-tuned": 1.5, "hybrid": 0.5})
    assert slower.verdict is Verdict.NO_CLEAR_WINNER
    assert "has a p95 latency 3.0 × as long as hybrid: no faster arm is shown to be as good" in slower.headline


def test_without_prices_nothing_says_that_the_highest_score_costs_no_more() -> None:
    result = decide(two_arms(), usd=dict.fromkeys(("base", "rag"), float("inf")))
    assert result.verdict is Verdict.NO_CLEAR_WINNER
    assert "without prices nothing says which of them costs less" in result.headline


def test_the_best_arm_below_the_declared_bar_is_not_shipped() -> None:
    scores = {"base": right(5), "rag": right(19)}
    result = decide(scores, good_enough=0.7)
    assert (result.verdict, result.arm, result.leader) == (Verdict.NOT_READY, None, "rag")
    assert "rag is the best of 2 arms and scores 19.0 points" in result.headline
    assert "at least 70.0 was declared to be good enough" in result.headline
    assert decide(scores, good_enough=0.15).arm == "rag"


def test_of_equals_only_those_at_the_bar_are_shipped() -> None:
    scores = {"base": right(900, 1000), "rag": right(902, 1000), "hybrid": right(905, 1000)}
    usd = {"base": 1.0, "rag": 2.0, "hybrid": 3.0}
    assert [decide(scores, usd=usd, good_enough=bar).arm for bar in (0.9, 0.901, 0.904, 0.91)] == [
        "base", "rag", "hybrid", None,
    ]  # fmt: skip


def test_headline_and_reasons_show_the_interval_that_decides() -> None:
    rng = np.random.default_rng(6)
    difficulty = rng.normal(0, 1, 40)
    scores = {f"arm{i}": (difficulty + 0.25 * i + rng.normal(0, 1, 40) > 0).astype(float).tolist() for i in range(5)}
    result = decide(scores, usd={arm: float(i) for i, arm in enumerate(scores)})
    assert result.verdict is Verdict.NO_CLEAR_WINNER
    for reason in result.reasons:
        if found := re.search(r"minus .*\[(-?[\d.]+), ", reason):
            assert float(found[1]) <= 0


def test_that_nothing_was_seen_is_no_difference_of_0() -> None:
    result = decide({"base": right(20, 30), "rag": right(20, 30)}, usd={"base": 1.0, "rag": 2.0})
    assert result.minimum_detectable_effect is not None
    assert result.minimum_detectable_effect > 3 / 30
    assert not any("about 0.0 points" in reason for reason in result.reasons)


def test_arms_that_answer_alike_are_told_apart_by_price_alone() -> None:
    scores = {"base": right(50), "rag": right(50)}
    assert decide(scores, usd={"base": 2.0, "rag": 1.0}).arm == "rag"
    assert decide(scores, usd={"base": 1.0, "rag": 1.0}).arm == "base"


@pytest.mark.parametrize(("n", "size"), [(29, 1), (90, 10)])
def test_too_few_questions_or_documents_give_no_verdict(n: int, size: int) -> None:
    result = decide({"base": right(0, n), "rag": right(n, n)}, size=size)
    assert (result.verdict, result.arm) == (Verdict.INSUFFICIENT_DATA, None)
    assert f"{n} test questions on {n // size} documents or facts are too few" in result.headline


def test_a_single_arm_has_nothing_to_be_compared_with() -> None:
    result = decide({"rag": right(90)})
    assert (result.verdict, result.arm) == (Verdict.INSUFFICIENT_DATA, None)
    assert "rag is the only arm" in result.headline


def test_no_arms_give_no_verdict() -> None:
    assert recommend({}, (), (), {}, RULE, {"new-case": 1.0}).verdict is Verdict.INSUFFICIENT_DATA


def test_a_slice_on_one_question_gives_no_verdict_rather_than_a_crash() -> None:
    slices = [Slice.SEEN_FACT, Slice.UNSEEN_FACT, Slice.UNANSWERABLE, *[Slice.NEW_CASE] * 97]
    weights = {"seen-fact": 0.3, "unseen-fact": 0.3, "unanswerable": 0.3, "new-case": 0.1}
    arms = {arm: records(arm, right(n), slices=slices) for arm, n in (("base", 10), ("rag", 90))}
    result = recommend(arms, (), (), {"base": 1, "rag": 2}, RULE, weights)
    assert result.verdict is Verdict.INSUFFICIENT_DATA
    assert "a slice has so few documents or facts" in result.headline


def test_a_blocking_finding_makes_the_comparison_invalid() -> None:
    result = decide({"base": right(10), "rag": right(90)}, findings=[replace(BLOCK, severity=Severity.WARN), BLOCK])
    assert (result.verdict, result.arm) == (Verdict.INVALID_COMPARISON, None)
    assert BLOCK.message in result.headline
    assert result.reasons == (BLOCK.remedy,)


def test_a_warning_does_not_stop_a_verdict() -> None:
    result = decide({"base": right(10), "rag": right(90)}, findings=[replace(BLOCK, severity=Severity.WARN)])
    assert result.verdict is Verdict.WINNER


def test_an_arm_with_more_than_five_percent_unscored_is_out() -> None:
    rag: list[float | None] = [*right(94, 94), *[None] * 6]
    result = decide({"base": right(50), "fine-tuned": right(80), "rag": rag})
    assert result.arm == "fine-tuned"
    assert "rag is out: 6% of its answers could not be scored." in result.reasons
    result = decide({"base": right(50), "rag": rag})
    assert (result.verdict, result.arm) == (Verdict.INSUFFICIENT_DATA, None)
    result = decide({"base": [None] * 100, "rag": rag})
    assert (result.verdict, result.headline) == (
        Verdict.INSUFFICIENT_DATA,
        "No verdict: no arm could be scored well enough.",
    )


def test_five_percent_unscored_are_borne_and_counted_against_the_arm() -> None:
    rag: list[float | None] = [*right(95, 95), *[None] * 5]
    result = decide({"base": right(50), "rag": rag})
    assert (result.verdict, result.arm) == (Verdict.WINNER, "rag")
    assert any(reason.startswith("5.0% of the answers of rag could not be scored") for reason in result.reasons)


def test_a_win_that_hangs_on_a_rivals_unscored_answers_is_none() -> None:
    base: list[float | None] = [*right(86, 96), *[None] * 4]
    scores = {"base": base, "rag": right(94, 100)}
    assert decide({"base": right(86), "rag": right(94)}).verdict is Verdict.WINNER
    assert decide(scores).verdict is Verdict.BEST_CHOICE


def test_questions_the_metric_does_not_apply_to_are_not_unscored() -> None:
    arms = {arm: records(arm, right(n)) for arm, n in (("base", 40), ("rag", 90))}
    silent = {arm: [replace(r, scores={}, slice=Slice.UNANSWERABLE) for r in rows[:20]] for arm, rows in arms.items()}
    result = verdict({arm: [*rows, *silent[arm]] for arm, rows in arms.items()})
    assert (result.verdict, result.arm) == (Verdict.WINNER, "rag")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": -0.01}, "the margin is -0.01"),
        ({"margin": 1.0}, "the margin is 1.0"),
        ({"margin": float("nan")}, "the margin is nan"),
        ({"coverage": 2.0}, "the coverage is 2.0"),
        ({"coverage": -0.1}, "the coverage is -0.1"),
        ({"coverage": float("nan")}, "the coverage is nan"),
    ],
)
def test_bad_settings_are_refused_by_name(change: dict[str, float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        DecisionRule("exact_match", **change)


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[dict[str, list[float]], dict[str, float], int, float]:
    """Scores of two to four arms from useless to near perfect, prices with ties, cluster size, margin."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.sampled_from([40, 60, 100]))
    difficulty = rng.random(n)
    graded = draw(st.booleans())
    scores = {}
    for i in range(draw(st.integers(2, 4))):
        skill = draw(st.sampled_from([0.2, 0.5, 0.55, 0.6, 0.9]))
        values = np.clip(skill - difficulty + rng.normal(0.5, 0.3, n), 0, 1)
        scores[f"arm{i}"] = (np.round(values, 1) if graded else np.round(values)).tolist()
    usd = {arm: float(draw(st.sampled_from([1, 1, 2, 3]))) for arm in scores}
    return scores, usd, draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([0.0, 0.02, 0.1]))


TWO_SLICES = (Slice.SEEN_FACT, Slice.UNSEEN_FACT, Slice.UNSEEN_FACT)
properties = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@properties
@given(comparisons(), st.randoms(use_true_random=False))
def test_the_order_of_arms_and_of_questions_changes_nothing(
    drawn: tuple[dict[str, list[float]], dict[str, float], int, float], shuffler: "np.random.Generator"
) -> None:
    scores, usd, size, margin = drawn
    rule = DecisionRule("exact_match", margin)
    arms = {arm: records(arm, values, size=size, slices=TWO_SLICES) for arm, values in scores.items()}
    names, order = list(arms), list(range(len(arms["arm0"])))
    shuffler.shuffle(names)
    shuffler.shuffle(order)
    mixed = {arm: [arms[arm][i] for i in order] for arm in names}
    assert verdict(mixed, usd=usd, rule=rule) == verdict(arms, usd=usd, rule=rule)


@properties
@given(comparisons(), st.sampled_from([0.5, 3.0, 1e6]))
def test_dearer_money_changes_nothing_while_cents_are_no_matter(
    drawn: tuple[dict[str, list[float]], dict[str, float], int, float], factor: float
) -> None:
    scores, usd, size, margin = drawn
    rule = DecisionRule("exact_match", margin)
    scaled = {arm: factor * price for arm, price in usd.items()}
    assert decide(scores, usd=scaled, rule=rule, size=size) == decide(scores, usd=usd, rule=rule, size=size)


@settings(properties, max_examples=150)
@given(comparisons(), st.data())
def test_unscored_answers_never_raise_the_arm_that_gave_them(
    drawn: tuple[dict[str, list[float]], dict[str, float], int, float], data: st.DataObject
) -> None:
    scores, usd, size, margin = drawn
    rule = DecisionRule("exact_match", margin)
    n = len(scores["arm0"])
    before = {arm: records(arm, values, size=size, slices=TWO_SLICES) for arm, values in scores.items()}
    if data.draw(st.booleans(), label="a rival fails too"):
        before["arm1"][data.draw(st.integers(0, n - 1))].scores["exact_match"] = unscored("failed")  # type: ignore[index]
    arm = data.draw(st.sampled_from(sorted(scores)), label="arm")
    # Losing the worst answers is what would help most, if anything did.
    worst_first = sorted(range(n), key=lambda i: scores[arm][i])
    lost = set(worst_first[: data.draw(st.integers(1, n // 20 + 1), label="lost")])
    after = dict(before)
    after[arm] = [
        replace(row, scores={"exact_match": unscored("failed")}) if i in lost else row
        for i, row in enumerate(before[arm])
    ]
    was, became = verdict(before, usd=usd, rule=rule), verdict(after, usd=usd, rule=rule)
    if became.arm == arm:
        assert was.arm == arm
        assert became.verdict is not Verdict.WINNER or was.verdict is Verdict.WINNER


@pytest.mark.parametrize("size", [1, 4])
def test_five_equal_arms_seldom_have_a_winner(size: int) -> None:
    n_replays, n = 150, 80
    n_winners = 0
    for replay in range(n_replays):
        rng = np.random.default_rng([5, replay])
        difficulty = np.repeat(rng.normal(0, 0.7, n // size), size)
        scores = {f"arm{i}": (difficulty + rng.normal(0, 1, n) > 0).astype(float).tolist() for i in range(5)}
        n_winners += decide(scores, size=size).verdict is Verdict.WINNER
    assert n_winners / n_replays <= 0.05
