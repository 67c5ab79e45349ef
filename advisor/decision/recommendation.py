"""From paired differences to a verdict that can be defended, and to what it would take to get one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from advisor.data.wording import listed, points
from advisor.decision.decision import Ruling, Stakes, decide, priced_arms
from advisor.errors import EvaluationError
from advisor.evidence.evidence import Evidence, gather_evidence
from advisor.evidence.scorecard import applicable
from advisor.evidence.statistics import minimum_detectable_effect, questions_needed, seed_variance
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import (
    AuditFinding,
    Interval,
    PairedDifference,
    QuestionRecord,
    Recommendation,
    Severity,
    Verdict,
)

MAX_UNSCORED_SHARE = 0.05
MIN_QUESTIONS = 30
MIN_CLUSTERS = 10


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What was declared before the run.

    Attributes:
        metric: The one the verdict is about.
        margin: Differences smaller than this do not matter, in score units, in [0, 1).
        coverage: Share of production questions whose fact training covers, in [0, 1].
        seed: Of the resampling.
    """

    metric: str
    margin: float = 0.02
    coverage: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise EvaluationError(
                f"the margin is {self.margin}; give a difference in score units, at least 0 and below 1"
            )
        if not 0 <= self.coverage <= 1:
            raise EvaluationError(f"the coverage is {self.coverage}; give a share between 0 and 1")


def recommend(
    candidates: Mapping[str, Sequence[QuestionRecord]],
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    usd_per_month: Mapping[str, float],
    rule: DecisionRule,
    weights: Mapping[str, float],
    *,
    out: Mapping[str, str] | None = None,
    values: AnswerValues | None = None,
    queries_per_month: float = 0.0,
) -> Recommendation:
    """`recommend_from` the records of each candidate arm, same questions in the same order."""
    evidence = gather_evidence(applicable(candidates, rule.metric), rule.metric, seed=rule.seed)
    return recommend_from(
        evidence,
        differences,
        findings,
        usd_per_month,
        rule,
        weights,
        out=out,
        values=values,
        queries_per_month=queries_per_month,
    )


def recommend_from(
    evidence: Evidence,
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    usd_per_month: Mapping[str, float],
    rule: DecisionRule,
    weights: Mapping[str, float],
    *,
    out: Mapping[str, str] | None = None,
    values: AnswerValues | None = None,
    queries_per_month: float = 0.0,
) -> Recommendation:
    """The verdict in words, by the rule of `decision.decide`; the order of arms and questions changes nothing.

    An arm wins when it beats every other candidate: the interval of each difference clears 0 after Holm, and the
    difference reaches the margin. Without a winner the cheapest arm is named that is non-inferior (the interval clears
    minus the margin) to every arm that scored higher.

    Failing can never help an arm. With more than 5 % unscored it is out. Otherwise its unscored answers stand at the
    bottom of the scale whenever it is judged itself, and to win it must also beat rivals whose unscored answers stand
    at the top (Manski's bounds). Leaving such questions out instead would reward an arm for failing on hard ones.

    Args:
        evidence: Scores of each candidate arm in [0, 1], higher is better, by the rule's metric and seed.
        differences: Of every pair of candidates by the rule's metric, for the words; a missing one is computed.
        usd_per_month: Total of each arm, for choosing among arms that are as good; infinite where it has no price.
        out: Arms that break a declared constraint, each with the sentence that says which and by how much.
        values: What answers are worth, if declared: then arms are compared by net value at `queries_per_month`.
    Source:
        Horowitz & Manski 2000, "Nonparametric analysis of randomized experiments with missing covariate and outcome
        data", JASA 95, for the bounds.
    """
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        headline = invalid_headline(blocking[0])
        return _without_verdict(Verdict.INVALID_COMPARISON, headline, [f.remedy for f in blocking], rule, weights)
    n_questions, n_clusters = len(evidence.clusters), len(set(evidence.clusters))
    if are_too_few(n_questions, n_clusters):
        headline = too_few_headline(n_questions, n_clusters)
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, [], rule, weights)
    stakes = Stakes(weights, rule.margin, usd_per_month, queries_per_month, values)
    shares = unscored_shares(evidence)
    scored = scored_arms(evidence)
    admissible = [arm for arm in scored if arm not in (out or {})]
    fit = priced_arms(stakes, admissible)
    notes = [(out or {})[arm] for arm in evidence.arms if arm in (out or {})]
    notes += [_unscored_note(arm, shares[arm], out=arm not in scored) for arm in evidence.arms if shares[arm]]
    notes += [f"{arm} is out: it has no price, so its net value is unknown." for arm in admissible if arm not in fit]
    if not fit or len(fit) == len(scored) == 1:
        headline = nothing_to_choose(fit, scored, admissible)
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, notes, rule, weights)
    try:
        ruling = decide(evidence, stakes, fit)
    except EvaluationError as error:  # a slice on so few documents that resamples miss it
        return _without_verdict(Verdict.INSUFFICIENT_DATA, f"No verdict: {error}.", notes, rule, weights)
    if len(fit) == 1:
        headline = f"Ship {ruling.arm}: it is the only arm that meets the declared constraints."
        return Recommendation(
            Verdict.WINNER, ruling.arm, headline, tuple(notes), rule.metric, rule.margin, rule.coverage, weights,
            ruling.joint.probability_best(), None, None,
        )  # fmt: skip
    standard_error, seed_error = _largest_standard_error(ruling)
    detectable = minimum_detectable_effect(standard_error)
    best, undecided = ruling.outcome.best, ruling.outcome.undecided
    leads = {
        other: _reported_lead(differences, best, other, lead) if values is None else lead
        for other, lead in ruling.leads.items()
    }
    amount = _Amounts(rule.metric, ruling.usd_per_unit)
    probability_best = ruling.joint.probability_best()
    if not undecided:
        closest = min(leads, key=lambda other: (leads[other].estimate, other))
        headline = (
            f"Ship {best}: it beats every other arm, the closest ({closest}) by {amount.with_unit(leads[closest])}."
        )
        return Recommendation(
            Verdict.WINNER, best, headline, tuple(notes), rule.metric, rule.margin, rule.coverage, weights,
            probability_best, amount.in_score_units(detectable), None,
        )  # fmt: skip
    widest = max(undecided, key=lambda o: (leads[o].high - leads[o].low, o))
    lead = max(leads[widest].estimate, rule.margin)
    needed = questions_needed(lead, standard_error, n_questions, seed_error=seed_error)
    reasons = _undecided_reasons(best, undecided, leads, rule, detectable, needed, amount)
    if needed is None and seed_error > 0:
        reasons.append(
            f"No number of questions would settle it with {len(ruling.by_seed)} training seeds, whose scores differ "
            "too much: train with more."
        )
    by_money = values is not None
    margin = f"{amount.plain(rule.margin)} {'USD a month' if by_money else 'points'}"
    headline = undecided_headline(best, ruling.arm, undecided, margin, quality="net value" if by_money else "score")
    return Recommendation(
        Verdict.NO_CLEAR_WINNER,
        ruling.arm,
        headline,
        (*notes, *reasons),
        rule.metric, rule.margin, rule.coverage, weights, probability_best, amount.in_score_units(detectable), needed,
    )  # fmt: skip


def unscored_shares(evidence: Evidence) -> dict[str, float]:
    """Share of each arm's answers that could not be scored, over all training seeds."""
    return dict(zip(evidence.arms, np.isnan(evidence.scores).mean(axis=(1, 2)).tolist(), strict=True))


def scored_arms(evidence: Evidence) -> list[str]:
    """The arms of which enough was scored for a verdict."""
    return [arm for arm, share in unscored_shares(evidence).items() if share <= MAX_UNSCORED_SHARE]


@dataclass(frozen=True, slots=True)
class _Amounts:
    """How differences are told: points of score, or US dollars a month where answers have a declared worth."""

    metric: str
    usd_per_unit: float | None

    def plain(self, difference: float) -> str:
        if self.usd_per_unit is None:
            return points(difference)
        amount = difference * self.usd_per_unit
        # Below a dollar three digits that say something, not cents that say nothing.
        return f"{amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"{amount:.3g}"

    def interval(self, interval: Interval) -> str:
        unit = "points" if self.usd_per_unit is None else "USD a month"
        return f"{self.plain(interval.estimate)} {unit} [{self.plain(interval.low)}, {self.plain(interval.high)}]"

    def with_unit(self, interval: Interval) -> str:
        unit = f"points of {self.metric}" if self.usd_per_unit is None else "USD of net value a month"
        return f"{self.plain(interval.estimate)} {unit} [{self.plain(interval.low)}, {self.plain(interval.high)}]"

    def in_score_units(self, difference: float) -> float | None:
        return difference if self.usd_per_unit is None else None


def _unscored_note(arm: str, share: float, *, out: bool) -> str:
    if out:
        return f"{arm} is out: {share:.0%} of its answers could not be scored."
    return f"{share:.1%} of the answers of {arm} could not be scored; in choosing they count against it."


def _oriented(differences: Sequence[PairedDifference], first: str, second: str) -> PairedDifference | None:
    """The difference first - second, whichever way round it was computed; None if it was not."""
    for d in differences:
        if (d.first, d.second) == (first, second):
            return d
        if (d.first, d.second) == (second, first):
            interval = replace(d.interval, estimate=-d.interval.estimate, low=-d.interval.high, high=-d.interval.low)
            return replace(d, first=first, second=second, interval=interval)
    return None


def _reported_lead(differences: Sequence[PairedDifference], first: str, second: str, lead: Interval) -> Interval:
    """The lead as the table of differences shows it, without unscored pairs; the rule's own where it is not there."""
    reported = _oriented(differences, first, second)
    return reported.interval if reported is not None else lead


def _largest_standard_error(ruling: Ruling) -> tuple[float, float]:
    """Of the best arm minus another, the largest there is; and the part of it that comes of the training seeds."""
    i = ruling.joint.arms.index(ruling.outcome.best)
    errors = np.delete(ruling.joint.resampled[:, [i]] - ruling.joint.resampled, i, axis=1).std(axis=0)
    widest = int(errors.argmax())
    by_seed = np.delete(ruling.by_seed[:, [i]] - ruling.by_seed, i, axis=1)[:, widest]
    return float(errors[widest]), sqrt(seed_variance(by_seed))


def are_too_few(n_questions: int, n_clusters: int) -> bool:
    """Whether a test set is below what any verdict needs."""
    return n_questions < MIN_QUESTIONS or n_clusters < MIN_CLUSTERS


def too_few_headline(n_questions: int, n_clusters: int) -> str:
    """Why there is no verdict on so small a test set."""
    return (
        f"No verdict: {n_questions} test questions on {n_clusters} documents or facts are too few; "
        f"at least {MIN_QUESTIONS} on {MIN_CLUSTERS} are needed."
    )


def invalid_headline(blocking: AuditFinding) -> str:
    """Why there is no verdict on a comparison with such a finding."""
    return f"No verdict: the comparison is invalid. {blocking.message}"


def nothing_to_choose(fit: Sequence[str], scored: Sequence[str], admissible: Sequence[str]) -> str:
    """Why there is no verdict where at most one arm is left.

    Args:
        scored: Arms of which enough was scored; admissible: those of them that meet the constraints; fit: those of them
            whose price is known.
    """
    if fit:
        return f"{fit[0]} is the only arm that was measured, so there is nothing to choose between."
    if not scored:
        return "No verdict: no arm could be scored well enough."
    if not admissible:
        return "No verdict: no arm meets the declared constraints."
    return "No verdict: no arm has a price, so no net value is known; add prices or leave the worth of answers out."


def undecided_headline(best: str, named: str, undecided: Sequence[str], margin: str, *, quality: str = "score") -> str:
    """That no arm wins, and what is named instead.

    Args:
        margin: With its unit. quality: What arms are compared by.
    """
    text = (
        f"No clear winner: {best} has the highest {quality}, but its lead over {listed(undecided)} is not shown to be "
        f"real and {margin} or more."
    )
    if named != best:
        return f"{text} {named} is as good within the margin and cheaper to serve and keep fresh."
    return f"{text} No cheaper arm is shown to be as good within the margin; {best} is the best guess."


def _undecided_reasons(
    best: str,
    undecided: Sequence[str],
    leads: Mapping[str, Interval],
    rule: DecisionRule,
    detectable: float,
    needed: int | None,
    amount: _Amounts,
) -> list[str]:
    reasons = [f"{best} minus {other}: {amount.interval(leads[other])}." for other in undecided]
    unit = "points" if amount.usd_per_unit is None else "USD a month"
    reasons.append(
        f"This test set can show differences of about {amount.plain(detectable)} {unit}; "
        f"the margin is {amount.plain(rule.margin)}."
    )
    if needed is not None:
        reasons.append(f"About {needed:,} test questions like these would settle it.")
    return reasons


def _without_verdict(
    verdict: Verdict, headline: str, reasons: Sequence[str], rule: DecisionRule, weights: Mapping[str, float]
) -> Recommendation:
    return Recommendation(
        verdict, None, headline, tuple(reasons), rule.metric, rule.margin, rule.coverage, weights, {}, None, None
    )
