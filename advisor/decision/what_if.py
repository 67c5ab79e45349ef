"""The decision made anew from stored scores when something declared changes; no model is asked anything."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from advisor.decision.conclusion import Conclusion, conclude
from advisor.decision.constraints import Constraints
from advisor.decision.flip import BRACKETS
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.recommendation import DecisionRule
from advisor.decision.record import DecisionRecord, read_record
from advisor.errors import EvaluationError
from advisor.evidence.evidence import N_QUALITIES_KEPT
from advisor.evidence.records import read_scored_answers
from advisor.evidence.statistics import N_RESAMPLES
from advisor.evidence.weighted_metric import WeightedMetric
from advisor.money.cost import estimate_cost
from advisor.results.comparison import Comparison, CostEstimate, MetricSummary
from advisor.results.json_report import read_comparison
from lm.files import sha256


@dataclass(frozen=True)
class StoredDecision:
    """A finished comparison with the scores it was decided on, ready to be decided again.

    Attributes:
        quality: The deciding metric of each candidate, for any weights.
    """

    comparison: Comparison
    record: DecisionRecord
    measured: MeasuredArms
    quality: Mapping[str, WeightedMetric]

    def prepare(self) -> None:
        """Resample now what the first decision, and the first change of the coverage, would otherwise wait for."""
        self.measured.recommended(self.record.inputs)
        for coverage in (self.record.inputs.coverage, 0.0, 1.0) if self.record.race is None else ():
            for metric in self.quality.values():
                # Where the questions bear no interval, or no slice has weight, whoever asks for it is told so.
                with suppress(EvaluationError):
                    metric.summary(self.measured.weights(coverage))

    @property
    def n_bytes(self) -> int:
        """About how much memory this takes: nearly all of it are resampled means."""
        evidence = self.measured.evidence
        n_means: int = N_RESAMPLES * evidence.scores.shape[1] * len(set(evidence.slices)) * len(evidence.arms)
        # Three columns of each arm together, one of each for every set of slices with weight; and means over slices.
        n_kept = 2 * N_QUALITIES_KEPT * N_RESAMPLES * len(evidence.arms)
        return 8 * (6 * n_means + n_kept + 4 * evidence.scores.size)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the decision would be.

    Attributes:
        quality: The deciding metric of each candidate, weighed as the inputs say; None where it was not measured.
        costs: Of each candidate; None without a price.
    """

    inputs: DecisionInputs
    constraints: Constraints
    conclusion: Conclusion
    quality: Mapping[str, MetricSummary | None] = field(hash=False)
    costs: Mapping[str, CostEstimate | None] = field(hash=False)


@dataclass(frozen=True, slots=True)
class AxisRange:
    """What an input can be set to.

    Attributes:
        current: Its value in the decision on record; None where it was not declared or plays no part.
        by_decades: Whether it is best moved by factors and not by steps.
    """

    axis: Axis
    current: float | None
    low: float
    high: float
    by_decades: bool


def read_stored_decision(report: str, decision: str, results: bytes) -> StoredDecision:
    """From the contents of `report.json`, `decision.json` and `results.jsonl`.

    Raises:
        EvaluationError: one of them is damaged, or they are not of one comparison.
    """
    comparison, record = read_comparison(report), read_record(decision)
    if sha256(results) != record.results_hash or comparison.id != record.comparison_id:
        raise EvaluationError("the report, the decision and the results are not of one comparison; compare again")
    answers = read_scored_answers(results, record.metric)
    candidates = {arm: answers[arm] for arm in record.uses}
    measured = MeasuredArms.from_answers(
        candidates, record.uses, record.traits, record.constraints, seed=record.seed, race=record.race
    )
    quality = {arm: WeightedMetric(one, record.metric, seed=record.seed) for arm, one in candidates.items()}
    return StoredDecision(comparison, record, measured, quality)


def axis_ranges(stored: StoredDecision) -> tuple[AxisRange, ...]:
    """Every input that can be moved, with where it stands."""
    current = {axis: stored.measured.value(stored.record.inputs, axis) for axis in Axis}
    return tuple(
        AxisRange(axis, current[axis], bracket.low, bracket.high, bracket.by_decades)
        for axis, bracket in BRACKETS.items()
    )


def reconsider(
    stored: StoredDecision,
    inputs: DecisionInputs,
    constraints: Constraints,
    *,
    parts: Collection[str] = (),
) -> WhatIf:
    """The decision for other inputs and constraints.

    Args:
        parts: Of "flips" and "flip_map", which take longer: those wanted.
    Raises:
        EvaluationError: the inputs put all the weight on questions that were not asked, or a race was run for others.
    """
    record = stored.record
    # With other weights the differences of the report no longer are those that decide.
    same_weights = inputs.coverage == record.inputs.coverage
    measured = replace(stored.measured, constraints=constraints)
    conclusion = conclude(
        stored.comparison.differences if same_weights else (),
        stored.comparison.findings,
        measured,
        inputs,
        DecisionRule(record.metric, inputs.margin, inputs.coverage, record.seed),
        parts=parts,
    )
    quality = {arm: _quality(stored, arm, None if same_weights else inputs.coverage) for arm in measured.uses}
    costs = {
        arm: estimate_cost(use, inputs.prices, inputs.traffic, accuracy=_estimate(quality[arm]))
        for arm, use in measured.uses.items()
    }
    return WhatIf(inputs, constraints, conclusion, quality, costs)


def _quality(stored: StoredDecision, arm: str, coverage: float | None) -> MetricSummary | None:
    """The deciding metric over all slices, weighed anew where the coverage is another."""
    if coverage is None:
        return stored.comparison.arm(arm).metric(stored.record.metric)
    return stored.quality[arm].summary(stored.measured.weights(coverage))


def _estimate(summary: MetricSummary | None) -> float | None:
    return summary.interval.estimate if summary is not None and summary.interval is not None else None
