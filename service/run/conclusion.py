"""From measurements to the comparison that is reported: gathers the plain facts; what they come to is the advisor's."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from advisor.audit.arms import audit_arms, audit_model_ends
from advisor.data.dataset import Dataset, Split, split_sizes
from advisor.data.slices import slice_weights
from advisor.decision.arm_summary import ArmFacts, summarise_arm
from advisor.decision.conclusion import conclude
from advisor.decision.constraints import ArmTraits, abstention_recall
from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.race import FinishedRace
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse, OutsideUse, mean_usd, measure_use
from advisor.evidence.evidence import paired_differences
from advisor.evidence.form_gain import form_gains
from advisor.metrics.grounding import mean_backed
from advisor.metrics.registry import is_quality
from advisor.results.answer import TOKENS, BuildUsage
from advisor.results.comparison import (
    BUILD_COST,
    BUILD_TIME,
    ArmRole,
    ArmSummary,
    AuditFinding,
    Comparison,
    FormGains,
    Interval,
    LatencySummary,
    PairedDifference,
)
from advisor.results.score import Metric
from lm.language_model import LanguageModel
from service.run.arm import Arm, minus_index
from service.run.auditing import arm_setup
from service.run.measuring import ArmMeasurement
from service.run.settings import FILES, ComparisonSettings, Constrain
from service.store.stages.stage_key import library_versions


def conclude_comparison(
    settings: ComparisonSettings,
    dataset: Dataset,
    models: Mapping[str, LanguageModel],
    measured: Sequence[ArmMeasurement],
    latencies: Mapping[str, LatencySummary],
    metrics: Sequence[Metric],
    findings: list[AuditFinding],
    declared: DecisionInputs,
    run_id: str,
    race: FinishedRace | None = None,
) -> tuple[Comparison, MeasuredArms]:
    """The comparison as it is reported, but for the seconds the whole run took; and what it was decided from.

    Args:
        models: That arms start from, by their specs, the first being that of the comparison.
        race: In which the arms were asked; None where every arm was asked every question.
    """
    model = next(iter(models.values()), None)
    test = dataset.split(Split.TEST)
    slices = [dataset.slice_of(example) for example in test]
    weights = slice_weights(slices, [example.group for example in test], coverage=settings.coverage)
    names = [metric.name for metric in metrics]
    sizes = race.block_sizes if race is not None else ()
    arms = [
        summarise_arm(_facts(one, latencies, settings), dataset, names, weights, seed=settings.seed, block_sizes=sizes)
        for one in measured
    ]
    candidates = {m.arm.id: m for m in measured if m.arm.role is ArmRole.CANDIDATE}
    records = {kind: one.records for kind, one in candidates.items()}
    held_to_form = settings.constrain is Constrain.AUTO
    findings = findings + audit_arms(arms, records, dataset, names[0], held_to_form=held_to_form)
    differences: tuple[PairedDifference, ...] = ()
    # Where too little was scored for any difference, the recommendation says so in its own words.
    with suppress(EvaluationError):
        differences = (
            race.differences
            if race is not None
            else paired_differences(records, names[0], weights=weights, seed=settings.seed)
        )
    of_arms = MeasuredArms.from_records(
        records,
        names[0],
        {kind: _use(one, settings) for kind, one in candidates.items()},
        {kind: _traits(one, latencies) for kind, one in candidates.items()},
        other_metrics=[metric.name for metric in metrics[1:] if is_quality(metric)],
        seed=settings.seed,
        race=race.outcome if race is not None else None,
        raced={arm.id: arm.metrics[0] for arm in arms if arm.id in candidates} if race is not None else None,
    )
    hosted = {kind: use.model for kind, use in of_arms.uses.items() if use.device is None}
    today = datetime.now(UTC).date()
    findings += audit_model_ends(hosted, declared.prices, today, declared.traffic.amortisation_months)
    conclusion = conclude(of_arms, declared, differences=differences, findings=findings)
    comparison = Comparison(
        id=run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        card=dataset.card,
        dataset_hash=dataset.content_hash,
        n_documents=len(dataset.documents),
        split_sizes=split_sizes(dataset),
        slice_sizes={str(part): slices.count(part) for part in dict.fromkeys(slices)},
        model=model.name if model is not None else "",
        arms=tuple(replace(arm, cost=conclusion.costs.get(arm.id)) for arm in arms),
        differences=differences,
        recommendation=conclusion.recommendation,
        findings=(*findings, *conclusion.findings),
        settings=_named(settings)
        | {"training_curves": {m.arm.id: list(m.arm.training_curve) for m in measured if m.arm.training_curve}},
        hashes={"dataset": dataset.content_hash}
        | ({"model": model.fingerprint} if model is not None else {})
        | {f"model {spec}": other.fingerprint for spec, other in list(models.items())[1:]}
        | {f"pipeline {m.arm.id}": m.arm.pipeline.fingerprint for m in measured}
        | {
            name: digest
            for m in candidates.values()
            if m.arm.generates
            for name, digest in arm_setup(m.arm, settings).hashes.items()
        },
        versions=library_versions(),
        prices_as_of=declared.prices.as_of,
        prices_source=declared.prices.source,
        wall_s=0.0,
        break_evens=conclusion.break_evens,
        net_values=conclusion.net_values,
        constraints=conclusion.constraints,
        flips=conclusion.flips,
        flip_map=conclusion.flip_map,
        race=race.outcome if race is not None else None,
        metric_verdicts=conclusion.metric_verdicts,
        form_gains=_form_gains(measured, arms, names[0], settings.seed),
        dtype=getattr(model, "dtype_name", ""),
    )
    return comparison, of_arms


def _facts(one: ArmMeasurement, latencies: Mapping[str, LatencySummary], settings: ComparisonSettings) -> ArmFacts:
    arm = one.arm
    return ArmFacts(
        id=arm.id,
        kind=arm.kind,
        model=arm.base.name if arm.generates else arm.spec.model if arm.spec is not None else "",
        unknown=_unknown(one, settings),
        role=arm.role,
        label=arm.label,
        retrieves=arm.retrieves,
        questions=one.questions,
        records=one.records,
        throughput_per_s=one.throughput_per_s,
        build_usage=arm.pipeline.build_usage,
        latency=latencies.get(arm.id),
        validation_losses={trained.training_seed: trained.validation_loss for trained in (arm, *arm.other_seeds)},
        deployed_seed=arm.training_seed,
        tuning=arm.tuning,
    )


def _form_gains(
    measured: Sequence[ArmMeasurement], arms: Sequence[ArmSummary], metric: str, seed: int
) -> FormGains | None:
    scores = {one.arm.id: one.form for one in measured if one.form is not None}
    tuned = {one.arm.id for one in measured if one.arm.tuned}
    standing = {
        arm.id: summary.interval.estimate for arm in arms if (summary := arm.metric(metric)) and summary.interval
    }
    return form_gains(scores, metric, tuned, standing, seed=seed)


def _named(settings: ComparisonSettings) -> dict[str, Any]:
    """The settings as a report shows them: files by name, for reports leave the machine.

    What asks or checks a comparison again has the paths from `settings.json` and the decision record.
    """
    raw = settings.to_json()
    return raw | {name: Path(raw[name]).name for name in ("dataset", *FILES) if raw[name]}


def _use(one: ArmMeasurement, settings: ComparisonSettings) -> ArmUse:
    index, training = _built(one.arm)
    return measure_use(
        one.records,
        model=one.arm.priced_as,
        embedder=settings.embedder,
        device=one.arm.device,
        throughput_per_s=one.throughput_per_s,
        index=index,
        index_bytes=one.arm.index.n_bytes if one.arm.index is not None else 0,
        training=training,
        adapter_slowdown=settings.adapter_slowdown if one.arm.tuned and one.arm.device is not None else None,
        judge=one.judge,
        n_asked_besides=one.n_asked_besides,
        outside=_outside(one, settings) if one.arm.outside else None,
        n_trials=len(one.arm.tuning.trials) if one.arm.tuning is not None else 0,
        seed=settings.seed,
    )


def _outside(one: ArmMeasurement, settings: ComparisonSettings) -> OutsideUse:
    """What is known of the money of an outside arm: as its answers tell or people declare."""
    declared = settings.declared_figures[one.arm.id]
    told = mean_usd(one.records, one.arm.given.usd, settings.seed) if one.arm.given is not None else None
    if told is None and (usd := declared.usd_per_question) is not None:
        told = Interval(usd, usd, usd, method="declared")
    return OutsideUse(not any(TOKENS in answer.unknown for answer in one.answers), told, declared.build_usd)


def _unknown(one: ArmMeasurement, settings: ComparisonSettings) -> tuple[str, ...]:
    """What is not known of an arm."""
    if not one.arm.outside:
        return ()
    found = {name: None for answer in one.answers for name in answer.unknown}
    is_declared = settings.declared_figures[one.arm.id].build_usd is not None
    return (*found, BUILD_TIME, *(() if is_declared else (BUILD_COST,)))


def _traits(one: ArmMeasurement, latencies: Mapping[str, LatencySummary]) -> ArmTraits:
    latency = latencies.get(one.arm.id)
    p95_s = latency.p95_s if latency else None
    recall = abstention_recall(one.records)
    backed = mean_backed([record.answer for record in one.records]) if one.arm.retrieves else None
    return ArmTraits(one.arm.retrieves, one.arm.tuned, one.arm.device, p95_s, recall, backed, one.unreadable)


def _built(arm: Arm) -> tuple[BuildUsage, BuildUsage]:
    """What building an arm took: index and training apart, since documents change at another pace than adapters."""
    return (arm.index_usage, minus_index(arm)) if arm.tuned else (arm.pipeline.build_usage, BuildUsage())
