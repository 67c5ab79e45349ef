"""The prior beside the evidence: which confirms, overrules or leaves standing which."""

from dataclasses import replace

from advisor.advice.prior import PriorCheck, PriorOutcome, PriorRecommendation
from advisor.results.comparison import ArmRole, Comparison, PairedDifference, Verdict

_ALPHA = 0.05
_NO_VERDICT = (Verdict.INVALID_COMPARISON, Verdict.INSUFFICIENT_DATA, Verdict.NOT_READY)


def confront(prior: PriorRecommendation, comparison: Comparison) -> PriorCheck:
    """How a measured comparison bears on what was recommended before it.

    Evidence overrules a prior where another arm wins, or where another arm is surely better than the prior's by the
    margin or more. It never overrules a requirement: an arm that the answers rule out does not become possible by
    scoring well.
    """
    recommendation = comparison.recommendation
    candidates = {arm.id for arm in comparison.arms if arm.role is ArmRole.CANDIDATE}
    impossible = {one.arm: one.ruled_out[0].text for one in prior.ranking if one.ruled_out}
    if prior.arm is None:
        found = f" The evidence favours {recommendation.arm}." if recommendation.arm else ""
        return PriorCheck(PriorOutcome.NO_PRIOR, prior, recommendation.arm, f"{prior.headline}{found}")
    if recommendation.verdict in _NO_VERDICT:
        return _stands(prior, None, "The comparison has no verdict, so it says nothing for or against the prior.")
    if prior.arm not in candidates:
        return _stands(
            prior, recommendation.arm, f"{prior.arm} was not among the arms measured, so the prior was not tested."
        )
    winner = recommendation.arm if recommendation.verdict is Verdict.WINNER else None
    if winner == prior.arm:
        return PriorCheck(
            PriorOutcome.CONFIRMED, prior, winner, f"The answers favoured {winner}, and it beats every other arm."
        )
    better = [d for d in _beating(comparison, prior.arm) if d.first in candidates - impossible.keys()]
    if better:
        best = max(better, key=lambda d: (d.first == winner, d.interval.estimate, d.first))
        return PriorCheck(
            PriorOutcome.OVERRULED,
            prior,
            best.first,
            f"The answers favoured {prior.arm}, and {best.first} is measured to be better by "
            f"{100 * best.interval.estimate:.1f} points [{100 * best.interval.low:.1f}, "
            f"{100 * best.interval.high:.1f}].",
        )
    if winner in impossible:
        return _stands(
            prior,
            winner,
            f"{winner} scores best, and your answers rule it out ({impossible[winner]}) "
            "A requirement is not overruled by a score: drop it, or keep to the prior.",
        )
    cheaper = recommendation.arm
    note = f" {cheaper} is as good within the margin and cheaper." if cheaper and cheaper != prior.arm else ""
    if cheaper in impossible:
        note = f" {cheaper} is as good within the margin and cheaper, but your answers rule it out."
    return _stands(prior, cheaper, f"No arm is shown to be better than {prior.arm} by the margin or more.{note}")


def _stands(prior: PriorRecommendation, evidence_arm: str | None, explanation: str) -> PriorCheck:
    return PriorCheck(PriorOutcome.UNDECIDED, prior, evidence_arm, explanation)


def _beating(comparison: Comparison, arm: str) -> list[PairedDifference]:
    """Differences of arms that are surely better than `arm`, by the margin or more; each as first minus `arm`."""
    recommendation = comparison.recommendation
    return [
        d
        for d in (_against(arm, d) for d in comparison.differences if arm in (d.first, d.second))
        if d.metric == recommendation.metric
        and d.interval.low > 0
        and d.p_adjusted < _ALPHA
        and d.interval.estimate >= recommendation.margin
    ]


def _against(arm: str, d: PairedDifference) -> PairedDifference:
    """The difference with `arm` as the second of the pair."""
    if d.second == arm:
        return d
    interval = replace(d.interval, estimate=-d.interval.estimate, low=-d.interval.high, high=-d.interval.low)
    return replace(d, first=d.second, second=arm, interval=interval)
