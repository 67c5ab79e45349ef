"""From measurements to the comparison that is reported."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

from advisor.audit.answers import audit_answers
from advisor.audit.arms import audit_arms
from advisor.audit.form import audit_form
from advisor.audit.other_metrics import audit_other_metrics
from advisor.audit.power import audit_power
from advisor.data.answer_form import constraint_of, keeps_form
from advisor.data.dataset import Dataset, Split
from advisor.decision.conclusion import conclude
from advisor.decision.constraints import ArmTraits, abstention_recall
from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.metric_verdicts import verdicts_by_metric
from advisor.decision.race import FinishedRace
from advisor.decision.race_scorecard import summarise_raced_metric
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse, measure_use
from advisor.evidence.corpus_scorecard import summarise_corpus_metric
from advisor.evidence.form_gain import form_gains
from advisor.evidence.scorecard import answer_of_seed, mean_usage, paired_differences, summarise_metric, training_seeds
from advisor.evidence.slices import slice_weights
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import RETRIEVAL_METRICS, is_quality
from advisor.money.cost import estimate_cost
from advisor.money.prices import PriceList
from advisor.results.answer import BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    AuditFinding,
    Comparison,
    FormGains,
    LatencySummary,
    PairedDifference,
    QuestionRecord,
    SeedSummary,
)
from advisor.results.score import Metric
from lm.language_model import LanguageModel
from service.run.arm import Arm, minus_index
from service.run.auditing import arm_setup
from service.run.measuring import ArmMeasurement
from service.run.settings import ComparisonSettings, Constrain
from service.store.stages.stage_key import library_versions


def conclude_comparison(
    settings: ComparisonSettings,
    dataset: Dataset,
    model: LanguageModel,
    measured: Sequence[ArmMeasurement],
    latencies: Mapping[str, LatencySummary],
    metrics: Sequence[Metric],
    findings: list[AuditFinding],
    arms_measured: MeasuredArms,
    inputs: DecisionInputs,
    run_id: str,
    race: FinishedRace | None = None,
) -> Comparison:
    """The comparison as it is reported, but for the seconds the whole run took.

    Args:
        race: In which the arms were asked; None where every arm was asked every question.
    """
    test = dataset.split(Split.TEST)
    slices = [dataset.slice_of(example) for example in test]
    weights = slice_weights(slices, [example.group for example in test], coverage=settings.coverage)
    sizes = race.block_sizes if race is not None else ()
    rule = DecisionRule(metrics[0].name, settings.margin, settings.coverage, settings.seed)
    prices, uses = inputs.prices, arms_measured.uses
    arms = [_summarise(one, dataset, settings, metrics, weights, sizes, latencies, prices, uses) for one in measured]
    candidates = {m.arm.pipeline.kind: m.records for m in measured if m.arm.role is ArmRole.CANDIDATE}
    findings = findings + audit_arms(arms, dataset, rule.metric) + audit_answers(candidates)
    if settings.constrain is Constrain.AUTO:
        findings += audit_form(arms)
    differences: tuple[PairedDifference, ...] = ()
    # Where too little was scored for any difference, the recommendation says so in its own words.
    with suppress(EvaluationError):
        differences = (
            race.differences
            if race is not None
            else paired_differences(candidates, rule.metric, weights=weights, seed=settings.seed)
        )
    conclusion = conclude(differences, findings, arms_measured, inputs, rule)
    others = [metric.name for metric in metrics[1:] if is_quality(metric)]
    verdicts = verdicts_by_metric(candidates, others, conclusion.recommendation, arms_measured, inputs, rule)
    return Comparison(
        id=run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        card=dataset.card,
        dataset_hash=dataset.content_hash,
        n_documents=len(dataset.documents),
        split_sizes={str(split): len(dataset.split(split)) for split in Split},
        slice_sizes={str(part): slices.count(part) for part in dict.fromkeys(slices)},
        model=model.name,
        arms=tuple(arms),
        differences=differences,
        recommendation=conclusion.recommendation,
        findings=(
            *findings,
            *audit_power(conclusion.recommendation),
            *audit_other_metrics(conclusion.recommendation, verdicts),
        ),
        settings=_named(settings)
        | {
            "training_curves": {
                m.arm.pipeline.kind: list(m.arm.training_curve) for m in measured if m.arm.training_curve
            }
        },
        hashes={"dataset": dataset.content_hash, "model": model.fingerprint}
        | {f"pipeline {m.arm.pipeline.kind}": m.arm.pipeline.fingerprint for m in measured}
        | {
            name: digest
            for m in measured
            if m.arm.role is ArmRole.CANDIDATE and m.arm.generates
            for name, digest in arm_setup(m.arm).hashes.items()
        },
        versions=library_versions(),
        prices_as_of=prices.as_of,
        prices_source=prices.source,
        wall_s=0.0,
        break_evens=conclusion.break_evens,
        net_values=conclusion.net_values,
        constraints=conclusion.constraints,
        flips=conclusion.flips,
        flip_map=conclusion.flip_map,
        race=race.outcome if race is not None else None,
        metric_verdicts=verdicts,
        form_gains=_form_gains(measured, arms, rule),
        dtype=getattr(model, "dtype_name", ""),
    )


def _form_gains(measured: Sequence[ArmMeasurement], arms: Sequence[ArmSummary], rule: DecisionRule) -> FormGains | None:
    scores = {one.arm.pipeline.kind: one.form for one in measured if one.form is not None}
    tuned = {one.arm.pipeline.kind for one in measured if one.arm.tuned}
    standing = {
        arm.kind: summary.interval.estimate for arm in arms if (summary := arm.metric(rule.metric)) and summary.interval
    }
    return form_gains(scores, rule.metric, tuned, standing, seed=rule.seed)


def _named(settings: ComparisonSettings) -> dict[str, Any]:
    """The settings as a report shows them: files by name, for reports leave the machine.

    What asks or checks a comparison again has the paths from `settings.json` and the decision record.
    """
    raw = settings.to_json()
    return raw | {name: Path(raw[name]).name for name in ("dataset", "prices", "prior") if raw[name]}


def decision_evidence(
    measured: Sequence[ArmMeasurement],
    latencies: Mapping[str, LatencySummary],
    metric: str,
    settings: ComparisonSettings,
    race: FinishedRace | None = None,
) -> MeasuredArms:
    """What the decision is made from: the candidates' scores, and what each takes."""
    candidates = {one.arm.pipeline.kind: one for one in measured if one.arm.role is ArmRole.CANDIDATE}
    return MeasuredArms.from_records(
        {kind: one.records for kind, one in candidates.items()},
        metric,
        {kind: _use(one, settings) for kind, one in candidates.items()},
        {kind: _traits(one, latencies) for kind, one in candidates.items()},
        settings.constraints,
        seed=settings.seed,
        race=race.outcome if race is not None else None,
    )


def _use(one: ArmMeasurement, settings: ComparisonSettings) -> ArmUse:
    index, training = _built(one.arm)
    return measure_use(
        one.records,
        model=one.arm.pipeline.model.name.removeprefix("openai:"),
        embedder=settings.embedder.removeprefix("openai:"),
        device=one.arm.device,
        throughput_per_s=one.throughput_per_s,
        index=index,
        index_bytes=one.arm.index.n_bytes if one.arm.index is not None else 0,
        training=training,
        adapter_slowdown=settings.adapter_slowdown if one.arm.tuned and one.arm.device is not None else None,
        judge=one.judge,
        n_asked_besides=one.n_asked_besides,
        seed=settings.seed,
    )


def _traits(one: ArmMeasurement, latencies: Mapping[str, LatencySummary]) -> ArmTraits:
    latency = latencies.get(one.arm.pipeline.kind)
    p95_s = latency.p95_s if latency else None
    return ArmTraits(one.arm.retrieves, one.arm.tuned, one.arm.device, p95_s, abstention_recall(one.records))


def _summarise(
    one: ArmMeasurement,
    dataset: Dataset,
    settings: ComparisonSettings,
    metrics: Sequence[Metric],
    weights: Mapping[str, float],
    block_sizes: Sequence[int],
    latencies: Mapping[str, LatencySummary],
    prices: PriceList,
    uses: Mapping[str, ArmUse],
) -> ArmSummary:
    pipeline = one.arm.pipeline
    summaries = tuple(
        summary
        for metric in metrics
        if metric.name not in RETRIEVAL_METRICS or one.arm.retrieves
        for summary in (
            summarise_raced_metric(_blocks(one.records, block_sizes), metric.name, weights=weights)
            if block_sizes
            else summarise_metric(one.records, metric.name, weights=weights, seed=settings.seed)
        )
    )
    summaries += tuple(
        summarise_corpus_metric(name, CORPUS_METRICS[name], one.questions, one.records, seed=settings.seed)
        for name in dataset.card.metrics
        if name in CORPUS_METRICS
    )
    constraint = constraint_of(dataset)
    form = keeps_form(constraint, [record.answer.text for record in one.records]) if constraint is not None else None
    overall = summaries[0].interval
    use = uses.get(pipeline.kind)
    accuracy = overall.estimate if overall else None
    return ArmSummary(
        kind=pipeline.kind,
        role=one.arm.role,
        label=one.arm.label,
        metrics=summaries,
        usage_per_question=mean_usage(one.records),
        throughput_per_s=one.throughput_per_s,
        build_usage=pipeline.build_usage,
        latency=latencies.get(pipeline.kind),
        cost=estimate_cost(use, prices, settings.traffic, accuracy=accuracy) if use else None,
        n_questions=len(one.records),
        n_length_stopped=sum(record.answer.finish_reason == "length" for record in one.records),
        seeds=_seed_summaries(one, metrics[0].name, weights, settings.seed),
        n_outside_form=form.count(False) if form is not None else None,
        n_constraint_refused=sum(record.answer.constraint_refused for record in one.records),
    )


def _blocks(records: Sequence[QuestionRecord], sizes: Sequence[int]) -> list[Sequence[QuestionRecord]]:
    """The records block by block, as they were asked."""
    ends = list(accumulate(sizes))
    return [records[end - size : end] for end, size in zip(ends, sizes, strict=True) if end <= len(records)]


def _seed_summaries(
    one: ArmMeasurement, metric: str, weights: Mapping[str, float], seed: int
) -> tuple[SeedSummary, ...]:
    """The score of each training, where there are several."""
    trained = {arm.training_seed: arm for arm in (one.arm, *one.arm.other_seeds)}
    if len(trained) == 1:
        return ()
    summaries = []
    for training_seed in training_seeds(one.records):
        rows = [
            replace(record, scores=answer_of_seed(record, training_seed)[1], training_seed=None, other_seeds=())
            for record in one.records
        ]
        interval = summarise_metric(rows, metric, weights=weights, seed=seed)[0].interval
        summaries.append(
            SeedSummary(
                training_seed if training_seed is not None else seed,
                interval.estimate if interval else None,
                trained[training_seed].validation_loss,
                training_seed == one.arm.training_seed,
            )
        )
    return tuple(summaries)


def _built(arm: Arm) -> tuple[BuildUsage, BuildUsage]:
    """What building an arm took: index and training apart, since documents change at another pace than adapters."""
    return (arm.index_usage, minus_index(arm)) if arm.tuned else (arm.pipeline.build_usage, BuildUsage())
