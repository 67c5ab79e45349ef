"""How often a gate errs, on comparisons whose truth is known. `python -m benchmarks.gate_simulations` prints the table
of docs/ci.md; the tests run the same functions with fewer replays."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from advisor.answer import Answer, BuildUsage
from advisor.comparison import ArmRole, ArmSummary, Comparison, QuestionRecord, Recommendation, Verdict
from advisor.dataset import DatasetCard, Slice, Task
from advisor.gate import evaluate_gate
from advisor.gate_baseline import StoredComparison
from advisor.gate_check import GateVerdict
from advisor.gate_rules import BaselineRule, GateRules, Threshold
from advisor.score import Score
from advisor.scorecard import summarise_metric
from benchmarks.simulations import Rng, clustered_scores, correlated_arms, names, replayed
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
) -> StoredComparison:
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
    return StoredComparison(comparison, records)


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


FAIL, CANNOT = GateVerdict.FAIL, GateVerdict.CANNOT_COMPARE

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
