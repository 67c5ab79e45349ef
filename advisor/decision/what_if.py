"""The decision made again from stored scores when something declared changes; no model is asked anything."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from advisor.audit.check import Check
from advisor.audit.judge import LabelNeeds, audit_labels
from advisor.decision.conclusion import Conclusion, conclude
from advisor.decision.flip import BRACKETS
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.record import DecisionRecord, read_record
from advisor.errors import EvaluationError
from advisor.evidence.evidence import N_QUALITIES_KEPT
from advisor.evidence.prediction_powered import effective_labels, label_counts
from advisor.evidence.records import read_scored_answers
from advisor.evidence.statistics import N_RESAMPLES
from advisor.metrics.human import CORRECT, HUMAN_METRICS
from advisor.metrics.registry import JUDGE_METRICS
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from advisor.results.score import Labels
from lm.files import sha256


@dataclass(frozen=True)
class StoredDecision:
    """A finished comparison with the scores it was decided on, ready to be decided again."""

    comparison: Comparison
    record: DecisionRecord
    measured: MeasuredArms

    def prepare(self) -> None:
        """Resample now what the first decision, and the first change of the coverage, would otherwise wait for."""
        self.measured.recommended(self.record.inputs)
        for coverage in (self.record.inputs.coverage, 0.0, 1.0) if self.record.race is None else ():
            for metric in self.measured.quality.values():
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


def read_stored_decision(report: str, decision: str, results: bytes, labels: Labels | None = None) -> StoredDecision:
    """From the contents of `report.json`, `decision.json` and `results.jsonl`.

    Args:
        labels: What people have said of the answers since. They correct a judge that decides; where none does, they
            are the scores.
    Raises:
        EvaluationError: one of them is damaged, they are not of one comparison, or the labels are too few to decide.
    """
    comparison, record = read_comparison(report), read_record(decision)
    if sha256(results) != record.results_hash or comparison.id != record.comparison_id:
        raise EvaluationError("the report, the decision and the results are not of one comparison; compare again")
    is_labelled = record.metric in HUMAN_METRICS or record.metric in JUDGE_METRICS
    metric = record.metric if labels is None or is_labelled else CORRECT
    answers = read_scored_answers(results, metric, labels=labels)
    candidates = {arm: answers[arm] for arm in record.uses}
    measured = MeasuredArms.from_answers(
        candidates, metric, record.uses, record.traits, seed=record.seed, race=record.race, raced=record.raced
    )
    if labels is not None:
        weights = measured.weights(record.inputs.coverage)
        n_by_arm = {
            arm: effective_labels(label_counts(one.labels, [str(part) for part in one.slices]), weights)
            for arm, one in candidates.items()
        }
        needs = LabelNeeds(metric, n_by_arm, record.race is not None)
        (told,) = audit_labels(needs)
        if not needs.suffice:
            raise EvaluationError(f"{told.message} {'; '.join(told.items)}")
        findings = [*(finding for finding in comparison.findings if finding.check != Check.HUMAN_LABELS), told]
        # The differences of the report are of other scores.
        comparison = replace(comparison, findings=tuple(findings), differences=())
    return StoredDecision(comparison, record, measured)


def axis_ranges(stored: StoredDecision) -> tuple[AxisRange, ...]:
    """Every input that can be moved, with where it stands."""
    current = {axis: stored.measured.value(stored.record.inputs, axis) for axis in Axis}
    return tuple(
        AxisRange(axis, current[axis], bracket.low, bracket.high, bracket.by_decades)
        for axis, bracket in BRACKETS.items()
    )


def reconsider(stored: StoredDecision, inputs: DecisionInputs, *, parts: Collection[str] = ()) -> Conclusion:
    """The decision for other inputs.

    Args:
        parts: Of "flips" and "flip_map", which take longer: those wanted.
    Raises:
        EvaluationError: the inputs put all the weight on questions that were not asked, or a race was run for others.
    """
    # With other weights the differences of the report no longer are those that decide.
    same_weights = inputs.coverage == stored.record.inputs.coverage
    differences = stored.comparison.differences if same_weights else ()
    return conclude(stored.measured, inputs, differences=differences, findings=stored.comparison.findings, parts=parts)
