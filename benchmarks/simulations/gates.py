"""How often a gate errs, on comparisons whose truth is known. `python -m benchmarks.simulations.gates` prints the table
of docs/ci.md; the tests run the same functions with fewer replays."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from advisor.data.dataset import DatasetCard, Slice, Task
from advisor.evidence.scorecard import summarise_metric
from advisor.gate.baseline import GatedComparison
from advisor.gate.check import GateVerdict
from advisor.gate.gate import evaluate_gate
from advisor.gate.rules import BaselineRule, GateRules, Threshold
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    Comparison,
    LatencySummary,
    QuestionRecord,
    Recommendation,
    Verdict,
)
from advisor.results.score import Score
from benchmarks.simulations.replays import Floats, Rng, clustered_scores, correlated_arms, names, replayed
from lm.completion import FinishReason, Usage

_ANSWER = Answer("text", Usage(), FinishReason.STOP, (), "hash")


def stored(
    scores: Mapping[str, Sequence[float | None]],
    *,
    metric: str = "exact_match",
    clusters: Sequence[str] | None = None,
    slices: Sequence[Slice] | None = None,
    recommended: str | None = "rag",
    verdict: Verdict = Verdict.WINNER,
) -> GatedComparison:
    """A finished comparison of arms with these scores on one question a cluster, unless told otherwise."""
    n = len(next(iter(scores.values())))
    clusters = clusters or names(n)
    slices = list(slices or [Slice.NEW_CASE] * n)
    weights = {part.value: 1 / len(set(slices)) for part in set(slices)}
    records = [
        QuestionRecord(
            arm,
            f"q{i}",
            f"question {i}",
            (f"answer {i}",),
            (),
            slices[i],
            clusters[i],
            clusters[i],
            _ANSWER,
            {metric: Score(None if value is None else float(value))},
        )
        for arm, values in scores.items()
        for i, value in enumerate(values)
    ]
    arms = tuple(
        ArmSummary(
            arm,
            ArmRole.CANDIDATE,
            arm,
            summarise_metric([r for r in records if r.arm == arm], metric, weights=weights),
            Usage(),
            1.0,
            BuildUsage(),
            None,
            None,
            n,
            0,
        )
        for arm in scores
    )
    comparison = Comparison(
        id="simulated",
        created_at="2026-01-01T00:00:00+00:00",
        card=DatasetCard("simulated", Task.CLASSIFICATION, "en", "CC0-1.0", (metric,), "", ""),
        dataset_hash="hash",
        n_documents=0,
        split_sizes={"test": n},
        slice_sizes={part.value: slices.count(part) for part in set(slices)},
        model="none",
        arms=arms,
        differences=(),
        recommendation=Recommendation(
            verdict, recommended, "No headline.", (), metric, 0.02, 0.5, weights, {}, None, None
        ),
        findings=(),
        settings={},
        hashes={},
        versions={},
        prices_as_of="",
        prices_source="",
        wall_s=0.0,
    )
    return GatedComparison(comparison, records)


def threshold_ends(
    truth: float, limit: float, n: int, size: int, n_thresholds: int, wanted: GateVerdict, rng: Rng
) -> float:
    """1 where a gate of equal thresholds on arms of that true accuracy ends so.

    Args:
        n: Documents. size: Questions of each; documents differ (intra-cluster correlation .35).
    """
    arms = {
        f"arm{i}": (
            clustered_scores(rng, n, size, truth) if size > 1 else (rng.random(n) < truth).astype(float)
        ).tolist()
        for i in range(n_thresholds)
    }
    rules = GateRules(tuple(Threshold("exact_match", arm, at_least=limit) for arm in arms))
    return float(evaluate_gate(rules, stored(arms, clusters=names(n, size))).verdict is wanted)


def baseline_ends(loss: float, n: int, n_arms: int, wanted: GateVerdict, rng: Rng) -> float:
    """1 where arms that truly lost so much since the baseline, on the same questions (correlation .5), end so."""
    now, before = {}, {}
    for i in range(n_arms):
        first, second = correlated_arms(rng, (0.7 - loss, 0.7), n=n)
        now[f"arm{i}"], before[f"arm{i}"] = first.tolist(), second.tolist()
    rules = GateRules(baseline=BaselineRule(tuple(now)))
    return float(evaluate_gate(rules, stored(now), stored(before)).verdict is wanted)


def documents_baseline_ends(loss: float, n: int, size: int, wanted: GateVerdict, rng: Rng) -> float:
    """The same on documents of several questions, each run with its own good and bad documents."""
    now, before = (clustered_scores(rng, n, size, mean).tolist() for mean in (0.7 - loss, 0.7))
    clusters = names(n, size)
    rules = GateRules(baseline=BaselineRule(("rag",)))
    outcome = evaluate_gate(rules, stored({"rag": now}, clusters=clusters), stored({"rag": before}, clusters=clusters))
    return float(outcome.verdict is wanted)


def latency_ends(
    factor: float, n: int, rules: GateRules, wanted: GateVerdict, rng: Rng, *, n_arms: int = 1, shared: bool = True
) -> float:
    """1 where waits that truly are so many times as long as in the baseline end so.

    A long answer takes long in both runs (log-normal, .4); either run adds its own noise (.1), and one wait in 50 is
    held up by something else, to twice its length on average.

    Args:
        n: Questions timed. shared: whether both runs timed the same ones.
    """
    arms = {f"arm{i}": [1.0, 0.0] for i in range(n_arms)}
    size = rng.normal(0, 0.4, (n_arms, n))
    size_before = size if shared else rng.normal(0, 0.4, (n_arms, n))
    now, before = _waits(factor, size, rng), _waits(1.0, size_before, rng)
    looked_at = replace(rules, baseline=replace(rules.baseline or BaselineRule(), arms=tuple(arms)))
    checks = evaluate_gate(looked_at, _timed(stored(arms), now), _timed(stored(arms), before, shared=shared)).checks
    timed = [check.verdict for check in checks if "latency" in check.name]
    assert len(timed) == n_arms
    return float(wanted in timed)


def _waits(factor: float, size: Floats, rng: Rng) -> Floats:
    held_up = (rng.random(size.shape) < 0.02) * rng.exponential(0.5, size.shape)
    return np.asarray(factor * np.exp(size + rng.normal(0, 0.1, size.shape) + held_up))


def _timed(made: GatedComparison, waits: Floats, *, shared: bool = True) -> GatedComparison:
    """The comparison with these waits, shape (n_arms, n_questions)."""
    timed = []
    for arm, row in zip(made.comparison.arms, waits.tolist(), strict=True):
        by_id = {f"{'q' if shared else 'other'}{i}": wait for i, wait in enumerate(row)}
        p50_s, p95_s = np.quantile(row, (0.5, 0.95))
        timed.append(replace(arm, latency=LatencySummary(float(p50_s), float(p95_s), len(row), 0, by_id)))
    records = [
        replace(made.records[0], arm=arm.id, example_id=example_id, question=example_id)
        for arm in timed
        for example_id in (arm.latency.waits_s if arm.latency else ())
    ]
    return GatedComparison(replace(made.comparison, arms=tuple(timed)), records)


FAIL, CANNOT = GateVerdict.FAIL, GateVerdict.CANNOT_COMPARE
NO_SLOWER = GateRules(baseline=BaselineRule(max_latency_increase=0.0), latency_tolerance=0.0)
A_QUARTER = GateRules(baseline=BaselineRule(max_latency_increase=0.25))
HALF = GateRules(baseline=BaselineRule(max_latency_increase=0.5))

ROWS: tuple[tuple[str, str, Callable[[Rng], float], int, float | None], ...] = (
    (
        "threshold, truth exactly at it, 300 questions",
        "fails",
        partial(threshold_ends, 0.8, 0.8, 300, 1, 1, FAIL),
        2_000,
        0.035,
    ),
    (
        "the same, five arms with one threshold each",
        "fails",
        partial(threshold_ends, 0.8, 0.8, 300, 1, 5, FAIL),
        1_000,
        0.035,
    ),
    ("the same, 60 documents of 8 questions", "fails", partial(threshold_ends, 0.8, 0.8, 60, 8, 1, FAIL), 1_000, 0.05),
    (
        "truth 2 points above it, 300 questions",
        "fails",
        partial(threshold_ends, 0.82, 0.8, 300, 1, 1, FAIL),
        2_000,
        0.01,
    ),
    (
        "truth exactly at it, 300 questions",
        "cannot compare",
        partial(threshold_ends, 0.8, 0.8, 300, 1, 1, CANNOT),
        1_000,
        0.0,
    ),
    (
        "truth exactly at it, 25 questions",
        "cannot compare",
        partial(threshold_ends, 0.8, 0.8, 25, 1, 1, CANNOT),
        1_000,
        None,
    ),
    (
        "truth 5 points below it, 300 questions",
        "fails",
        partial(threshold_ends, 0.75, 0.8, 300, 1, 1, FAIL),
        1_000,
        None,
    ),
    (
        "truth 10 points below it, 300 questions",
        "fails",
        partial(threshold_ends, 0.7, 0.8, 300, 1, 1, FAIL),
        1_000,
        None,
    ),
    ("baseline, nothing lost, 300 questions", "fails", partial(baseline_ends, 0.0, 300, 1, FAIL), 1_000, 0.035),
    ("the same, five arms", "fails", partial(baseline_ends, 0.0, 300, 5, FAIL), 300, 0.035),
    ("the same, 60 documents of 8 questions", "fails", partial(documents_baseline_ends, 0.0, 60, 8, FAIL), 500, 0.04),
    ("baseline, nothing lost, 50 questions", "cannot compare", partial(baseline_ends, 0.0, 50, 1, CANNOT), 500, None),
    ("baseline, 5 points lost, 300 questions", "fails", partial(baseline_ends, 0.05, 300, 1, FAIL), 500, None),
    ("baseline, 10 points lost, 300 questions", "fails", partial(baseline_ends, 0.1, 300, 1, FAIL), 500, None),
    ("baseline, 10 points lost, 1,000 questions", "fails", partial(baseline_ends, 0.1, 1_000, 1, FAIL), 200, None),
    ("waits no longer, nothing tolerated, 20", "fails", partial(latency_ends, 1.0, 20, NO_SLOWER, FAIL), 1_000, 0.05),
    ("waits no longer, nothing tolerated, 32", "fails", partial(latency_ends, 1.0, 32, NO_SLOWER, FAIL), 1_000, 0.05),
    (
        "waits no longer, nothing tolerated, 32 of other questions",
        "fails",
        partial(latency_ends, 1.0, 32, NO_SLOWER, FAIL, shared=False),
        1_000,
        0.05,
    ),
    (
        "waits no longer, five arms, a quarter allowed and a tenth tolerated, 32",
        "fails",
        partial(latency_ends, 1.0, 32, A_QUARTER, FAIL, n_arms=5),
        300,
        0.05,
    ),
    ("waits doubled, a quarter allowed, 20", "fails", partial(latency_ends, 2.0, 20, A_QUARTER, FAIL), 500, None),
    ("waits doubled, a quarter allowed, 32", "fails", partial(latency_ends, 2.0, 32, A_QUARTER, FAIL), 500, None),
    (
        "waits doubled, a quarter allowed, 32 of other questions",
        "fails",
        partial(latency_ends, 2.0, 32, A_QUARTER, FAIL, shared=False),
        500,
        None,
    ),
    ("waits doubled, half allowed, 32", "fails", partial(latency_ends, 2.0, 32, HALF, FAIL), 500, None),
    ("waits tripled, half allowed, 32", "fails", partial(latency_ends, 3.0, 32, HALF, FAIL), 500, None),
)
"""What is simulated, how the gate may end, replays, and the share that must not be passed."""


def main() -> None:
    """Write the table."""
    sys.stdout.write("| truth | gate | replays | share | required |\n|---|---|---|---|---|\n")
    for what, ends, replay, n_replays, bound in ROWS:
        found = replayed(replay, n_replays=n_replays, seed=41)
        required = f"at most {100 * bound:.1f} %" if bound is not None else ""
        sys.stdout.write(f"| {what} | {ends} | {n_replays:,} | {100 * found:.1f} % | {required} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
