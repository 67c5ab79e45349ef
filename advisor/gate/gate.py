"""A gate for continuous integration: does a comparison keep what was asked of it? Pass, fail, or cannot compare.

A check fails only on evidence: the mean must lie beyond the limit by more than chance explains, at 5 % over all checks
of the gate together (Holm). Where the questions show neither, it passes, unless they are so few that a gross breach
would have gone unseen: then it cannot compare. How often it errs is simulated (docs/ci.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.evidence.statistics import ALPHA, holm, questions_needed
from advisor.gate.baseline import GatedComparison, changes_since, check_against_baseline
from advisor.gate.check import GateCheck, GateTest, GateVerdict, cannot_compare
from advisor.gate.rules import GateRules, WhenUnclear
from advisor.gate.threshold import check_threshold
from advisor.results.comparison import Verdict
from advisor.results.quantities import count, p_value


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """The verdict of a gate.

    Attributes:
        comparison: Id. baseline: id of the stored comparison; None where nothing was compared with.
        notes: What differs between the two comparisons, and the like; decides nothing.
    """

    verdict: GateVerdict
    headline: str
    checks: tuple[GateCheck, ...]
    notes: tuple[str, ...]
    comparison: str
    baseline: str | None


def evaluate_gate(rules: GateRules, now: GatedComparison, baseline: GatedComparison | None = None) -> GateOutcome:
    """Hold a comparison against the rules.

    Args:
        baseline: The stored comparison; needed where the rules name a baseline, and unused otherwise.
    Returns:
        Fails where any check fails; else cannot compare where any check cannot; else passes. A comparison that its
        audit blocked proves nothing, so it cannot be compared at all.
    """
    drafts: list[GateCheck | GateTest] = [
        check_threshold(threshold, now.comparison, rules) for threshold in rules.thresholds
    ]
    notes: tuple[str, ...] = ()
    if rules.baseline is not None and baseline is None:
        drafts.append(
            cannot_compare("baseline", "There is no stored baseline yet; store one, since none is stored unasked.")
        )
    elif rules.baseline is not None and baseline is not None:
        drafts += check_against_baseline(rules.baseline, now, baseline, rules)
        notes = tuple(changes_since(now.comparison, baseline.comparison))
    tests = [draft for draft in drafts if isinstance(draft, GateTest)]
    adjusted = dict(zip(map(id, tests), holm([test.p_value for test in tests]), strict=True))
    at_worst = dict(zip(map(id, tests), holm([test.worst_p_value for test in tests]), strict=True))
    checks = [
        _decided(draft, adjusted[id(draft)], at_worst[id(draft)], len(tests), rules)
        if isinstance(draft, GateTest)
        else draft
        for draft in drafts
    ]
    if now.comparison.recommendation.verdict is Verdict.INVALID_COMPARISON:
        why = (
            f"The audit blocked the comparison, so its figures prove nothing. {now.comparison.recommendation.headline}"
        )
        checks = [replace(check, verdict=GateVerdict.CANNOT_COMPARE, reason=why) for check in checks]
    verdict = _overall(checks)
    return GateOutcome(
        verdict,
        _headline(verdict, checks),
        tuple(checks),
        notes,
        now.comparison.id,
        baseline.comparison.id if rules.baseline is not None and baseline is not None else None,
    )


def _overall(checks: Sequence[GateCheck]) -> GateVerdict:
    verdicts = {check.verdict for check in checks}
    order = (GateVerdict.FAIL, GateVerdict.CANNOT_COMPARE)
    return next((verdict for verdict in order if verdict in verdicts), GateVerdict.PASS)


def _headline(verdict: GateVerdict, checks: Sequence[GateCheck]) -> str:
    of_it = [check.name for check in checks if check.verdict is verdict]
    if verdict is GateVerdict.PASS:
        return f"Gate passed: {_checks(len(checks))}."
    what = "Gate failed" if verdict is GateVerdict.FAIL else "Gate cannot compare"
    return f"{what}: {len(of_it)} of {_checks(len(checks))} ({'; '.join(of_it[:3])}{'; …' if len(of_it) > 3 else ''})."


def _checks(number: int) -> str:
    return f"{number} check{'s' if number != 1 else ''}"


def _decided(test: GateTest, adjusted: float, adjusted_at_worst: float, n_tests: int, rules: GateRules) -> GateCheck:
    """A breach that is shown fails; where unscored answers decide whether it is, nothing can be said."""
    chance = f"p {_p(adjusted)}" + (f" after adjusting for {n_tests} checks" if n_tests > 1 else "")
    check = replace(test.check, p_adjusted=adjusted)
    if test.gap > 0 and test.gap >= test.least_gap and adjusted < ALPHA:
        return replace(check, verdict=GateVerdict.FAIL, reason=f"{test.found} Chance hardly explains it ({chance}).")
    if test.n_unscored and test.worst_gap > 0 and test.worst_gap >= test.least_gap and adjusted_at_worst < ALPHA:
        why = f"The {count(test.n_unscored)} unscored answers decide whether this is a breach; score them first."
        return replace(check, verdict=GateVerdict.CANNOT_COMPARE, reason=f"{test.found} {why}")
    if test.shown:
        return replace(check, verdict=GateVerdict.PASS, reason=f"{test.found} The whole interval is within it.")
    if test.gap > 0 and adjusted < ALPHA:
        why = f"The fall is real ({chance}) and smaller than what was declared to matter."
        return replace(check, verdict=GateVerdict.PASS, reason=f"{test.found} {why}")
    if rules.unclear is WhenUnclear.PASS and test.detectable > rules.resolution:
        wanted = questions_needed(rules.resolution, test.detectable, test.n_questions)
        why = (
            f"{count(test.n_questions)} questions are too few to see a breach of {test.scale.value(rules.resolution)} "
            f"{test.scale.unit}; about {count(wanted)} are needed."
        )
        return replace(check, verdict=GateVerdict.CANNOT_COMPARE, reason=f"{test.found} {why}")
    told = f"A breach is not shown ({chance})" if test.gap > 0 else "That it is kept is not certain"
    ends = {
        WhenUnclear.PASS: "which passes",
        WhenUnclear.FAIL: "and what is unclear was declared to fail",
        WhenUnclear.CANNOT_COMPARE: "and what is unclear was declared not to be comparable",
    }
    return replace(
        check, verdict=GateVerdict(rules.unclear.value), reason=f"{test.found} {told}, {ends[rules.unclear]}."
    )


def _p(probability: float) -> str:
    text = p_value(probability)
    return text if text.startswith("<") else f"= {text}"
