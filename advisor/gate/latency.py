"""The p95 wait of an arm, held against the one of a stored comparison."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

import numpy as np

from advisor.evidence.statistics import N_RESAMPLES, Floats, expanded_percentile_interval
from advisor.gate.check import GateCheck, GateVerdict, cannot_compare, unclear
from advisor.gate.pairing import PAIRED_SHARE
from advisor.gate.rules import GateRules
from advisor.results.comparison import ArmSummary, Interval, QuestionRecord
from advisor.results.quantities import count, percent, seconds

LEAST_WAITS = 20
"""Fewer waits do not reach the p95: at 20, one of them lies beyond it."""


@dataclass(frozen=True, slots=True)
class WaitGrowth:
    """The p95 wait now over the p95 wait in the baseline.

    Attributes:
        ratio: With its 95 % interval.
        now_s, before_s: The two waits, of the questions compared.
        n: Waits of this comparison that were compared. paired: whether the baseline's are of the same questions.
    """

    ratio: Interval
    now_s: float
    before_s: float
    n: int
    paired: bool


def check_latency_growth(
    now: ArmSummary,
    before: ArmSummary,
    allowed: float,
    rules: GateRules,
    records: Iterable[QuestionRecord],
    records_before: Iterable[QuestionRecord],
) -> GateCheck:
    """Fails where the whole interval of the growth is beyond what is allowed and tolerated.

    Args:
        allowed: Growth of the p95 wait, .25 is a quarter.
        records: Of the arm; they say which questions were the same in the baseline.
    """
    name = f"{now.id}: p95 latency against the baseline"
    if now.latency is None or before.latency is None:
        return cannot_compare(name, "A wait was not measured on both sides.")
    waits, waits_before = now.latency.waits_s, before.latency.waits_s
    for who, kept, remedy in (
        ("This comparison", waits, "compare again"),
        ("The baseline", waits_before, "store a new one"),
    ):
        if not kept:
            why = f"{who} holds a p95 without the waits it is of, so that no interval can be formed; {remedy}."
            return cannot_compare(name, why)
        if len(kept) < LEAST_WAITS:
            why = f"{who} timed {count(len(kept))} questions; a p95 takes {LEAST_WAITS}. Add test questions."
            return cannot_compare(name, why)
    texts = {record.example_id: record.question for record in records}
    same = {r.example_id for r in records_before if texts.get(r.example_id) == r.question}
    found = wait_growth(waits, waits_before, same)
    limit = 1 + allowed
    figures = {
        "measured": found.now_s,
        "low": found.ratio.low * found.before_s,
        "high": found.ratio.high * found.before_s,
        "limit": limit * found.before_s,
    }
    how = "asked on both sides" if found.paired else "of which the baseline timed others"
    told = (
        f"The p95 latency of {now.id} is {seconds(found.now_s)}, {seconds(found.before_s)} in the baseline: "
        f"{found.ratio.estimate:.2f} [{found.ratio.low:.2f}, {found.ratio.high:.2f}] times as long "
        f"({count(found.n)} questions {how}); {percent(allowed)} more is allowed"
    )
    if found.ratio.low > limit * (1 + rules.latency_tolerance):
        tolerated = f" and {percent(rules.latency_tolerance)} tolerated" if rules.latency_tolerance else ""
        return GateCheck(name, GateVerdict.FAIL, f"{told}{tolerated}. The whole interval is beyond it.", **figures)
    if found.ratio.high <= limit:
        return GateCheck(name, GateVerdict.PASS, f"{told}. The whole interval is within it.", **figures)
    return unclear(name, f"{told}. A breach is not shown.", rules, figures)


def wait_growth(waits: Mapping[str, float], waits_before: Mapping[str, float], same: Iterable[str]) -> WaitGrowth:
    """How much longer 19 in 20 wait, by a bootstrap of the ratio of the two quantiles.

    Long answers take long in both comparisons, so that questions are resampled together where at least `PAIRED_SHARE`
    of them are shared (and `LEAST_WAITS`); otherwise each side is resampled on its own.

    Args:
        waits: Seconds by question id. same: Ids of questions that are the same in both comparisons.
    """
    shared = sorted(set(same) & set(waits) & set(waits_before))
    paired = len(shared) >= max(LEAST_WAITS, PAIRED_SHARE * max(len(waits), len(waits_before)))
    ours = _sample(waits, shared if paired else sorted(waits))
    theirs = _sample(waits_before, shared if paired else sorted(waits_before))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(ours), (N_RESAMPLES, len(ours)))
    drawn_before = drawn if paired else rng.integers(0, len(theirs), (N_RESAMPLES, len(theirs)))
    logarithms = np.log(_p95(ours[drawn])) - np.log(_p95(theirs[drawn_before]))
    now_s, before_s = float(np.quantile(ours, 0.95)), float(np.quantile(theirs, 0.95))
    found = expanded_percentile_interval(log(now_s / before_s), logarithms, min(len(ours), len(theirs)))
    ratio = Interval(exp(found.estimate), exp(found.low), exp(found.high), found.level, "bootstrap of the p95")
    return WaitGrowth(ratio, now_s, before_s, len(ours), paired)


def _sample(waits: Mapping[str, float], ids: Iterable[str]) -> Floats:
    # A clock may show no time at all, of which there is no ratio.
    return np.maximum([waits[i] for i in ids], 1e-9)


def _p95(samples: Floats) -> Floats:
    return np.asarray(np.quantile(samples, 0.95, axis=1))
