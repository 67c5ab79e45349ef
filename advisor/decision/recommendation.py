"""The verdict in words: what to ship, how sure that is, and what it would take to be surer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, hypot, isfinite

from advisor.data.wording import listed, points
from advisor.decision.decision import Ruling, Stakes, decide
from advisor.errors import EvaluationError
from advisor.evidence.evidence import MIN_CLUSTERS, MIN_QUESTIONS, Evidence
from advisor.evidence.statistics import deciding_error, minimum_detectable_effect, questions_needed
from advisor.results.comparison import (
    AuditFinding,
    Interval,
    MetricSummary,
    PairedDifference,
    Recommendation,
    Severity,
    Verdict,
)

MAX_QUESTIONS_NEEDED = 1_000_000
"""More than anyone would ask."""


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
    evidence: Evidence,
    differences: Sequence[PairedDifference],
    findings: Sequence[AuditFinding],
    stakes: Stakes,
    rule: DecisionRule,
    *,
    out: Mapping[str, str] | None = None,
    scores: Mapping[str, MetricSummary] | None = None,
) -> Recommendation:
    """The verdict in words, by the rule of `decision.decide`; the order of arms and questions changes nothing.

    An arm wins when it beats every other candidate: the interval of each difference clears 0 after Holm, and the
    difference reaches the margin. Without a winner the cheapest arm is named that is non-inferior (the interval clears
    minus the margin) to every arm that scored higher. It is the best choice where no arm that it does not beat may cost
    less, in money or in waiting; where one may, there is a trade-off and no clear winner. Where a bar is declared for
    the score and the best arm lies below it, nothing is ready to ship.

    Failing can never help an arm. With more than 5 % unscored it is out. Otherwise its unscored answers stand at the
    bottom of the scale whenever it is judged itself, and to win it must also beat rivals whose unscored answers stand
    at the top (Manski's bounds). Leaving such questions out instead would reward an arm for failing on hard ones.

    Args:
        evidence: Scores of each candidate arm in [0, 1], higher is better, by the rule's metric and seed.
        differences: Of every pair of candidates by the rule's metric, for the words; a missing one is computed.
        stakes: With the margin and the weights of the rule.
        out: Arms that break a declared constraint, each with the sentence that says which and by how much.
        scores: By the deciding metric, with their intervals, for the words.
    Source:
        Horowitz & Manski 2000, "Nonparametric analysis of randomized experiments with missing covariate and outcome
        data", JASA 95, for the bounds.
    """
    out = out or {}
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        headline = invalid_headline(blocking[0])
        return _without_verdict(Verdict.INVALID_COMPARISON, headline, [f.remedy for f in blocking], rule, stakes)
    n_questions, n_clusters = len(evidence.clusters), len(set(evidence.clusters))
    if are_too_few(n_questions, n_clusters):
        headline = too_few_headline(n_questions, n_clusters)
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, [], rule, stakes)
    scored, fit = evidence.scored_arms, stakes.fit(evidence, out)
    admissible = [arm for arm in scored if arm not in out]
    shares = evidence.unscored_shares
    notes = [out[arm] for arm in evidence.arms if arm in out]
    notes += [_unscored_note(arm, shares[arm], out=arm not in scored) for arm in evidence.arms if shares[arm]]
    notes += [f"{arm} is out: it has no price, so its net value is unknown." for arm in admissible if arm not in fit]
    if not fit or len(fit) == len(scored) == 1:
        headline = nothing_to_choose(fit, scored, admissible)
        return _without_verdict(Verdict.INSUFFICIENT_DATA, headline, notes, rule, stakes)
    try:
        ruling = decide(evidence, stakes, fit)
    except EvaluationError as error:  # a slice on so few documents that resamples miss it
        return _without_verdict(Verdict.INSUFFICIENT_DATA, f"No verdict: {error}.", notes, rule, stakes)
    words = _Words(ruling, stakes, rule, differences, scores or {})
    pair = words.hardest_pair
    verdict, headline, reasons = words.told(len(fit))
    detectable = needed = None
    if pair is not None and verdict is not Verdict.NOT_READY:
        spread, seed_error, unseen = ruling.errors(*pair)
        level, lead = ruling.level(*pair), words.lead(pair[1]).estimate
        detectable = minimum_detectable_effect(hypot(spread, unseen), level=level)
        if verdict is not Verdict.WINNER:
            wanted = deciding_error(lead, rule.margin, level=level)
            needed = questions_needed(wanted, spread, n_questions, seed_error=seed_error, unseen=unseen)
            if needed is not None and evidence.exact and lead > rule.margin:
                # McNemar's test counts whole questions (continuity correction of Fleiss, Levin & Paik 2003).
                needed += ceil(2 / lead)
            needed = needed if needed is not None and needed <= MAX_QUESTIONS_NEEDED else None
            reasons += words.about_power(detectable, needed, seed_error)
    return Recommendation(
        verdict,
        ruling.arm if verdict is not Verdict.NOT_READY else None,
        headline,
        (*words.how_good(), *notes, *reasons),
        rule.metric,
        rule.margin,
        rule.coverage,
        stakes.weights,
        ruling.joint.probability_best(),
        words.in_score_units(detectable),
        needed,
        ruling.outcome.best,
        stakes.good_enough,
    )


class _Words:
    """A ruling as people read it: differences in points of score, or in US dollars where answers have a worth."""

    def __init__(
        self,
        ruling: Ruling,
        stakes: Stakes,
        rule: DecisionRule,
        differences: Sequence[PairedDifference],
        scores: Mapping[str, MetricSummary],
    ) -> None:
        self._ruling, self._stakes, self._rule = ruling, stakes, rule
        self._outcome = ruling.outcome
        self._by_money = stakes.values is not None
        self._differences = () if self._by_money else differences
        self._scores = scores
        self._unit = "USD a month" if self._by_money else "points"

    def lead(self, other: str, arm: str | None = None) -> Interval:
        """Of the best arm, or another, as the table of differences shows it; the rule's own where it is not there."""
        arm = arm or self._outcome.best
        reported = _oriented(self._differences, arm, other)
        return reported.interval if reported is not None else self._ruling.lead(arm, other)

    @property
    def _rivals(self) -> tuple[str, ...]:
        return tuple(arm for arm in self._outcome.standing if arm != self._outcome.best)

    @property
    def hardest_pair(self) -> tuple[str, str] | None:
        """The leader and the rival closest to it of those that matter: what may cost less, else what is not beaten."""
        outcome = self._outcome
        others = outcome.cheaper_rivals(outcome.best, self._stakes) or outcome.undecided or self._rivals
        if not others:
            return None
        return outcome.best, min(others, key=lambda other: (self.lead(other).estimate, other))

    def told(self, n_arms: int) -> tuple[Verdict, str, list[str]]:
        """Verdict, headline and the differences it rests on."""
        outcome, arm = self._outcome, self._ruling.arm
        if arm is None:
            return Verdict.NOT_READY, self._not_ready(n_arms), self._about_bar(outcome.best)
        bar = self._about_bar(arm)
        if not self._rivals:
            return Verdict.WINNER, f"Ship {arm}: it is the only arm that meets the declared constraints.", bar
        if not outcome.undecided:
            closest = min(self._rivals, key=lambda other: (self.lead(other).estimate, other))
            won = f"Ship {arm}: it beats every other arm, the closest ({closest}) by {self._of_metric(closest)}."
            return Verdict.WINNER, won, bar
        first = arm if outcome.standing[arm] == outcome.standing[outcome.best] else outcome.best
        told = [
            f"{first} minus {other}: {self._interval(self.lead(other, first))}."
            for other in outcome.standing
            if other != first and (first, other) not in outcome.beaten
        ]
        cheaper = outcome.cheaper_rivals(arm, self._stakes)
        if cheaper:
            return Verdict.NO_CLEAR_WINNER, self._trade_off(arm, cheaper), [*bar, *told]
        return Verdict.BEST_CHOICE, self._choice(arm), [*bar, *told]

    def how_good(self) -> list[str]:
        """How good the arm is, before it is compared."""
        arm = self._ruling.arm or self._outcome.best
        summary = self._scores.get(arm)
        if summary is None or summary.interval is None:
            return []
        return [f"{arm} scores {self._of_score(summary.interval)} of {self._rule.metric}."]

    def about_power(self, detectable: float, needed: int | None, seed_error: float) -> list[str]:
        """What this test set can show, and what would settle it."""
        sentences = [
            f"This test set can show differences of about {self._amount(detectable)} {self._unit}; "
            f"the margin is {self._amount(self._rule.margin)}."
        ]
        if needed is not None:
            sentences.append(f"About {needed:,} test questions like these would settle it.")
        elif seed_error > 0:
            sentences.append(
                "No realistic number of questions would settle it with so few training seeds, whose scores differ too "
                "much: train with more."
            )
        return sentences

    def in_score_units(self, difference: float | None) -> float | None:
        """None where differences are told in money."""
        return None if self._by_money else difference

    def _not_ready(self, n_arms: int) -> str:
        best, bar = self._outcome.best, self._stakes.good_enough
        summary = self._scores.get(best)
        found = summary.interval if summary is not None else None
        scored = self._of_score(found) if found else f"{points(self._ruling.scores[best])} points"
        which = f"the best of {n_arms} arms" if n_arms > 1 else "the only arm"
        return (
            f"Not ready to ship: {best} is {which} and scores {scored} of {self._rule.metric}; at least "
            f"{points(bar or 0.0)} was declared to be good enough."
        )

    def _about_bar(self, arm: str) -> list[str]:
        """That the interval of an arm holds the bar, so that which side it lies on is not shown."""
        bar, summary = self._stakes.good_enough, self._scores.get(arm)
        interval = summary.interval if summary is not None else None
        if bar is None or interval is None or not interval.low < bar <= interval.high:
            return []
        side = "above" if interval.estimate >= bar else "below"
        return [
            f"The bar of {points(bar)} is within the interval of {arm}: it is likely {side}, but this is not shown. "
            "Ask more questions to be sure."
        ]

    def _choice(self, arm: str) -> str:
        outcome = self._outcome
        higher = [other for other in outcome.standing if outcome.standing[other] > outcome.standing[arm]]
        if higher:
            loss = max(self._ruling.at_most(other, arm) for other in higher)
            return (
                f"Ship {arm}: it is at most {self._amount(max(0.0, loss))} {self._unit} worse than {listed(higher)}, "
                f"less than the margin of {self._amount(self._rule.margin)}, and {outcome.best} "
                f"{self._costs(outcome.best, arm)}."
            )
        rivals = [other for other in outcome.standing if other != arm and (arm, other) not in outcome.beaten]
        worst = min(rivals, key=lambda other: (self.lead(other, arm).low, other))
        risk = -self.lead(worst, arm).low
        better = f"at most {self._amount(risk)} {self._unit} better" if risk > 0 else "not better"
        if len(rivals) == 1:
            return f"Ship {arm}: {worst} {self._costs(worst, arm)} and is {better}."
        return f"Ship {arm}: {listed(rivals)} cost at least as much and are {better}."

    def _trade_off(self, arm: str, cheaper: Sequence[str]) -> str:
        best = self._outcome.best
        quality = "net value" if self._by_money else "score"
        margin = f"{self._amount(self._rule.margin)} {self._unit}"
        text = (
            f"No clear winner: {best} has the highest {quality}, but its lead over {listed(self._outcome.undecided)} "
            f"is not shown to be real and {margin} or more"
        )
        if arm != best:
            return (
                f"{text}. {arm} is as good within the margin and cheaper; {listed(cheaper)} may cost less still or "
                "answer faster, and is not shown to be as good."
            )
        closest = min(cheaper, key=lambda other: (self.lead(other).estimate, other))
        if not isfinite(self._stakes.usd_per_month[best] + self._stakes.usd_per_month[closest]):
            return f"{text}, and without prices nothing says which of them costs less."
        which = "cheaper" if self._stakes.is_dearer(best, closest) else "faster"
        return f"{text}, and it {self._costs(best, closest)} as {closest}: no {which} arm is shown to be as good."

    def _costs(self, arm: str, other: str) -> str:
        """How an arm's money or waiting compares with another's, as the end of a sentence."""
        usd, others = self._stakes.usd_per_month[arm], self._stakes.usd_per_month[other]
        if not (isfinite(usd) and isfinite(others)):
            return "may cost as much"
        if self._stakes.is_dearer(arm, other) and others > 0 and usd / others >= 1.05:
            ratio = usd / others
            return f"costs {ratio:,.0f} × as much" if ratio >= 10 else f"costs {ratio:.1f} × as much"
        wait_s, others_s = self._stakes.p95_s.get(arm), self._stakes.p95_s.get(other)
        if wait_s and others_s and wait_s / others_s >= 1.05:
            return f"has a p95 latency {wait_s / others_s:.1f} × as long"
        return "costs as much"

    def _amount(self, difference: float) -> str:
        if self._ruling.usd_per_unit is None:
            return points(difference)
        amount = difference * self._ruling.usd_per_unit
        return f"{amount:,.2f}"

    def _range(self, interval: Interval) -> str:
        return f"[{self._amount(interval.low)}, {self._amount(interval.high)}]"

    def _interval(self, interval: Interval) -> str:
        return f"{self._amount(interval.estimate)} {self._unit} {self._range(interval)}"

    def _of_metric(self, other: str) -> str:
        lead = self.lead(other)
        unit = "USD of net value a month" if self._by_money else f"points of {self._rule.metric}"
        return f"{self._amount(lead.estimate)} {unit} {self._range(lead)}"

    def _of_score(self, interval: Interval) -> str:
        return f"{points(interval.estimate)} points [{points(interval.low)}, {points(interval.high)}]"


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


def are_too_few(n_questions: int, n_clusters: int) -> bool:
    """Whether a test set is below what any verdict needs."""
    return n_questions < MIN_QUESTIONS or n_clusters < MIN_CLUSTERS


def too_few_headline(n_questions: int, n_clusters: int) -> str:
    """Why there is no verdict on so small a test set."""
    return (
        f"No verdict: {n_questions} test questions on {n_clusters} documents or facts are too few. You need at least "
        f"{MIN_QUESTIONS} test questions on {MIN_CLUSTERS} documents."
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
    return "No verdict: no arm has a price, so no net value is known; add prices or leave out the value of answers."


def _without_verdict(
    verdict: Verdict, headline: str, reasons: Sequence[str], rule: DecisionRule, stakes: Stakes
) -> Recommendation:
    return Recommendation(
        verdict, None, headline, tuple(reasons), rule.metric, rule.margin, rule.coverage, stakes.weights, {}, None,
        None, good_enough=stakes.good_enough,
    )  # fmt: skip
