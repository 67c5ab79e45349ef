"""One arm of a comparison, aggregated from its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from advisor.data.answer_form import constraint_of, keeps_form
from advisor.data.dataset import Dataset, Example
from advisor.decision.race_scorecard import summarise_raced_metric
from advisor.evidence.corpus_scorecard import summarise_corpus_metric
from advisor.evidence.scorecard import answer_of_seed, mean_usage, summarise_metric, training_seeds
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import RETRIEVAL_METRICS
from advisor.results.answer import BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    LatencySummary,
    QuestionRecord,
    SeedSummary,
    TuningSummary,
)


@dataclass(frozen=True)
class ArmFacts:
    """What was measured of one arm, and what it is.

    Attributes:
        model: Name of the language model that it starts from; "" where it has none.
        questions: What it was asked; records: one of each, in the same order.
        validation_losses: Of each training, by seed; one training or none where it was not trained several times.
        deployed_seed: Of the adapter that is deployed.
        unknown: What is not known of it: tokens, seconds, build cost.
    """

    id: str
    kind: str
    model: str
    role: ArmRole
    label: str
    retrieves: bool
    questions: Sequence[Example]
    records: Sequence[QuestionRecord]
    throughput_per_s: float
    build_usage: BuildUsage
    latency: LatencySummary | None
    validation_losses: Mapping[int | None, float | None]
    deployed_seed: int | None
    unknown: tuple[str, ...] = ()
    tuning: TuningSummary | None = None


def summarise_arm(
    arm: ArmFacts,
    dataset: Dataset,
    metrics: Sequence[str],
    weights: Mapping[str, float],
    *,
    seed: int = 0,
    block_sizes: Sequence[int] = (),
) -> ArmSummary:
    """Its figures, but for what it costs.

    Args:
        metrics: The deciding one first.
        weights: Share of production traffic of each slice.
        block_sizes: Questions of each block of a race; () where every arm was asked every question.
    """
    summaries = [
        summary
        for metric in metrics
        if metric not in RETRIEVAL_METRICS or arm.retrieves
        for summary in (
            summarise_raced_metric(_blocks(arm.records, block_sizes), metric, weights=weights)
            if block_sizes
            else summarise_metric(arm.records, metric, weights=weights, seed=seed)
        )
    ]
    summaries += [
        summarise_corpus_metric(name, CORPUS_METRICS[name], arm.questions, arm.records, seed=seed)
        for name in dataset.card.metrics
        if name in CORPUS_METRICS
    ]
    constraint = constraint_of(dataset)
    form = keeps_form(constraint, [record.answer.text for record in arm.records]) if constraint is not None else None
    return ArmSummary(
        id=arm.id,
        kind=arm.kind,
        model=arm.model,
        unknown=arm.unknown,
        role=arm.role,
        label=arm.label,
        metrics=tuple(summaries),
        usage_per_question=mean_usage(arm.records),
        throughput_per_s=arm.throughput_per_s,
        build_usage=arm.build_usage,
        latency=arm.latency,
        cost=None,
        n_questions=len(arm.records),
        n_length_stopped=sum(record.answer.finish_reason == "length" for record in arm.records),
        seeds=_seed_summaries(arm, metrics[0], weights, seed),
        n_outside_form=form.count(False) if form is not None else None,
        n_constraint_refused=sum(record.answer.constraint_refused for record in arm.records),
        tuning=arm.tuning,
    )


def _blocks(records: Sequence[QuestionRecord], sizes: Sequence[int]) -> list[Sequence[QuestionRecord]]:
    """The records block by block, as they were asked."""
    ends = list(accumulate(sizes))
    return [records[end - size : end] for end, size in zip(ends, sizes, strict=True) if end <= len(records)]


def _seed_summaries(arm: ArmFacts, metric: str, weights: Mapping[str, float], seed: int) -> tuple[SeedSummary, ...]:
    """The score of each training, where there are several."""
    if len(arm.validation_losses) < 2:
        return ()
    summaries = []
    for training_seed in training_seeds(arm.records):
        rows = [
            replace(record, scores=answer_of_seed(record, training_seed)[1], training_seed=None, other_seeds=())
            for record in arm.records
        ]
        interval = summarise_metric(rows, metric, weights=weights, seed=seed)[0].interval
        summaries.append(
            SeedSummary(
                training_seed if training_seed is not None else seed,
                interval.estimate if interval else None,
                arm.validation_losses[training_seed],
                training_seed == arm.deployed_seed,
            )
        )
    return tuple(summaries)
