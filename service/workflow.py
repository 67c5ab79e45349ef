"""One comparison from settings to report. Knows the order of things and nothing of how arms are built."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from advisor.answer import Answer, BuildUsage, Pipeline
from advisor.arm_use import ArmUse, JudgeUse, measure_use
from advisor.audit import audit_arms, audit_dataset
from advisor.comparison import (
    ArmRole,
    ArmSummary,
    AuditFinding,
    Comparison,
    LatencySummary,
    PairedDifference,
    QuestionRecord,
)
from advisor.conclusion import conclude
from advisor.constraints import ArmTraits, abstention_recall
from advisor.corpus_scorecard import summarise_corpus_metric
from advisor.cost import estimate_cost
from advisor.dataset import Dataset, Example, Split, Task
from advisor.dataset_files import load_dataset
from advisor.decision_inputs import DecisionInputs, MeasuredArms
from advisor.decision_record import record_decision, write_record
from advisor.errors import EvaluationError
from advisor.failure import ArmNature, classify_failure
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import JUDGE_METRICS, RETRIEVAL_METRICS, metrics_for
from advisor.normalisation import normalise
from advisor.prices import PriceList, load_prices
from advisor.prior_check import confront
from advisor.prompt import question_turn, reference_text
from advisor.questionnaire import Answer as GivenAnswer
from advisor.questionnaire import prior, read_answers
from advisor.recommendation import DecisionRule
from advisor.report.failures import is_wrong
from advisor.report.formats import REPORT_FILES, REPORT_FORMATS
from advisor.report.json_report import read_comparison
from advisor.report.records import record_line
from advisor.score import Metric, Score, ScoringResources
from advisor.scorecard import mean_usage, paired_differences, summarise_metric
from advisor.slices import slice_weights
from lm.embedding import Embedder
from lm.errors import LanguageModelError
from lm.language_model import LanguageModel
from lm.metered_model import MeteredModel
from service.answer_log import AnswerLog
from service.data_directory import (
    DECISION_FILE,
    RECORDS_FILE,
    REPORT_FILE,
    SETTINGS_FILE,
    DataDirectory,
    write_whole,
)
from service.progress import OnProgress, Progress, silent
from service.sampling import limit_dataset
from service.settings import ComparisonSettings
from service.stage_key import code_digest, library_versions, stage_key

BLOCK_QUESTIONS = 64
LATENCY_QUESTIONS = 16
LATENCY_WARM_UP = 2
FREQUENT_ANSWERS = 5


@dataclass(frozen=True)
class Arm:
    """A built arm.

    Attributes:
        label: How it is made, for people.
        retrieves: Whether retrieval metrics are defined for it. tuned: Whether its weights saw training questions.
        device: "cpu" or "cuda" where we run its model, None for a hosted one.
        index_usage: The part of the build that indexing took, for arms that both retrieve and are tuned.
        training_curve: Losses by epoch, for tuned arms.
        findings: What building it brought to light.
    """

    pipeline: Pipeline
    role: ArmRole
    label: str
    retrieves: bool = False
    tuned: bool = False
    device: str | None = None
    index_usage: BuildUsage = BuildUsage()
    training_curve: tuple[Mapping[str, float | int | None], ...] = ()
    findings: tuple[AuditFinding, ...] = ()


class Composition(Protocol):
    """What knows how arms are built; `service.composition` in earnest, a fake in tests."""

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        """Each arm as it is built, candidates first."""
        ...

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        """One arm by its name."""
        ...

    def close(self) -> None:
        """Let go of what the arms hold open; called once, after the last answer."""
        ...

    @property
    def model(self) -> LanguageModel:
        """The model all arms start from."""
        ...

    @property
    def embedder(self) -> Embedder:
        """For retrieval and for semantic similarity."""
        ...

    @property
    def judge(self) -> LanguageModel | None:
        """For judge-based metrics, if one is configured."""
        ...


Compose = Callable[[ComparisonSettings, DataDirectory, OnProgress], Composition]


def load_limited_dataset(settings: ComparisonSettings) -> Dataset:
    """The data set as the settings want it; a judge brings its metrics with it."""
    dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    if settings.judge is not None and dataset.card.task is Task.QUESTION_ANSWERING:
        metrics = tuple(dict.fromkeys(dataset.card.metrics + JUDGE_METRICS))
        dataset = replace(dataset, card=replace(dataset.card, metrics=metrics))
    return limit_dataset(
        dataset,
        limit=settings.limit,
        train_limit=settings.train_limit,
        coverage=settings.coverage,
        seed=settings.seed,
    )


def comparison_id(
    settings: ComparisonSettings,
    dataset: Dataset,
    model_identity: str,
    prices: PriceList,
    answers: Mapping[str, GivenAnswer] | None = None,
) -> str:
    """Data set's name and a hash of all that decides the report: the same command gives the same id."""
    digest = code_digest("lm", "rag", "finetune", "advisor", "advisor.metrics", "advisor.report", "service")
    raw = settings.to_json() | {"dataset": "", "prices": asdict(prices), "prior": answers}
    return (
        f"{dataset.card.name}-{stage_key(raw, dataset.content_hash, model_identity, library_versions(), digest)[:10]}"
    )


def run_comparison(
    settings: ComparisonSettings,
    directory: DataDirectory,
    compose: Compose,
    model_identity: str,
    *,
    on_progress: OnProgress = silent,
) -> Comparison:
    """Build, measure, decide, report. What is already on disk is not done again.

    Raises:
        TuningForkError: with what to mend; answers given so far stay on disk, the same call goes on from them.
    """
    started = time.perf_counter()
    prices = load_prices(settings.prices)
    answers = read_answers(settings.prior) if settings.prior is not None else None
    dataset = load_limited_dataset(settings)
    run_id = comparison_id(settings, dataset, model_identity, prices, answers)
    folder = directory.comparison(run_id)
    if finished := _read_finished(folder):
        return finished
    metrics = metrics_for(dataset.card, has_embedder=True, has_judge=settings.judge is not None)
    findings = audit_dataset(dataset)
    composition = compose(settings, directory, on_progress)
    try:
        measured, latencies = _measure(composition, dataset, directory, metrics, on_progress)
        model = composition.model
    finally:
        composition.close()
    findings += [finding for one in measured for finding in one.arm.findings]
    arms_measured = _measured_arms(measured, latencies, metrics[0].name, settings)
    inputs = DecisionInputs(prices, settings.traffic, settings.coverage, settings.margin, settings.values)
    comparison = _conclude(
        settings, dataset, model, measured, latencies, metrics, findings, arms_measured, inputs, run_id
    )
    if answers is not None:
        comparison = replace(comparison, prior_check=confront(prior(answers), comparison))
    comparison = replace(comparison, wall_s=time.perf_counter() - started)
    records = [record for one in measured for record in one.records]
    results = "".join(record_line(record) + "\n" for record in records)
    decision = record_decision(
        comparison,
        dataset,
        arms_measured,
        inputs,
        settings=settings.resolved().to_json(),
        model=model_identity,
        results=results,
        valid_days=settings.valid_days,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORDS_FILE, results)
    write_whole(folder / DECISION_FILE, write_record(decision))
    _write_reports(folder, settings, comparison, records, on_progress)
    return comparison


def _read_finished(folder: Path) -> Comparison | None:
    """The comparison in a folder, if all its files are there and the report can be read; otherwise it is made anew."""
    needed = (RECORDS_FILE, SETTINGS_FILE, DECISION_FILE, *REPORT_FILES.values())
    if not all((folder / name).is_file() for name in needed):
        return None
    with suppress(EvaluationError, UnicodeDecodeError):
        return read_comparison((folder / REPORT_FILE).read_text(encoding="utf-8"))
    return None


def _write_reports(
    folder: Path,
    settings: ComparisonSettings,
    comparison: Comparison,
    records: Sequence[QuestionRecord],
    on_progress: OnProgress,
) -> None:
    write_whole(folder / SETTINGS_FILE, json.dumps(settings.resolved().to_json(), indent=2))
    # The JSON report marks the comparison as finished, so it comes last.
    names = sorted(REPORT_FORMATS, key=lambda name: name == "json")
    for i, name in enumerate(names):
        on_progress(Progress("report", "", i, len(names)))
        write_whole(folder / REPORT_FILES[name], REPORT_FORMATS[name](comparison, records))
    on_progress(Progress("report", "", len(names), len(names)))


@dataclass
class _Measured:
    """One arm's answers and their scores."""

    arm: Arm
    answers: list[Answer]
    wall_s: float
    records: list[QuestionRecord]
    judge: JudgeUse | None = None


def _measure(
    composition: Composition,
    dataset: Dataset,
    directory: DataDirectory,
    metrics: Sequence[Metric],
    on_progress: OnProgress,
) -> tuple[list[_Measured], dict[str, LatencySummary]]:
    """All that needs models: answers, waits, scores."""
    test = dataset.split(Split.TEST)
    measured: list[_Measured] = []
    for arm in composition.arms(dataset):
        if not measured:
            _check_questions_fit(arm, dataset)
        measured.append(_answer_all(arm, test, directory, on_progress))
    latencies = _measure_latencies(measured, test, directory, on_progress)
    for i, one in enumerate(measured):
        on_progress(Progress("score", one.arm.pipeline.kind, i, len(measured)))
        judge = MeteredModel(composition.judge) if composition.judge is not None else None
        resources = ScoringResources(dataset.card, composition.embedder, judge)
        one.records = _attribute(_score(one, test, dataset, metrics, resources), one.arm, dataset, metrics[0].name)
        if judge is not None:
            device = getattr(composition.judge, "device", None)
            one.judge = JudgeUse(judge.name.removeprefix("openai:"), device and device.type, judge.usage)
    on_progress(Progress("score", "", len(measured), len(measured)))
    return measured, latencies


def _check_questions_fit(arm: Arm, dataset: Dataset) -> None:
    """Refuse a question that leaves no room for an answer before hours are spent on the others.

    Passages and worked examples give way to a long question, so that its bare prompt decides for every arm. Hosted
    models only estimate their tokens and are left to refuse it themselves.
    """
    model, output_tokens = arm.pipeline.model, arm.pipeline.generation.max_output_tokens
    if arm.device is None:
        return
    room = model.context_tokens - output_tokens
    lengths = {
        e.id: model.count_tokens((question_turn(dataset.card.instruction, e.question),))
        for e in dataset.split(Split.TEST)
    }
    too_long = [example_id for example_id, n_tokens in lengths.items() if n_tokens > room]
    if too_long:
        others = f"; {len(too_long) - 1} more are too long: {', '.join(too_long[1:6])}" if len(too_long) > 1 else ""
        raise LanguageModelError(
            f"the question {too_long[0]} has {lengths[too_long[0]]} tokens with the instruction, and the context of "
            f"{model.name} ({model.context_tokens} tokens) has room for {room} beside an answer of {output_tokens}; "
            f"shorten or remove it, lower max_output_tokens in dataset.toml, or choose another model{others}"
        )


def _answer_all(arm: Arm, test: Sequence[Example], directory: DataDirectory, on_progress: OnProgress) -> _Measured:
    """Answers of one arm to all test questions; blocks that are on disk are not asked again.

    Blocks are cut by position among the questions, so that an interrupted run forms the same batches when it goes on.
    """
    kind = arm.pipeline.kind
    code = code_digest("lm", "rag", "advisor") if arm.role is ArmRole.CANDIDATE else code_digest("lm", "advisor")
    key = stage_key(arm.pipeline.fingerprint, code, [(e.id, e.question) for e in test])
    log = AnswerLog(directory.stage("answers", f"{key}.jsonl"))
    for start in range(0, len(test), BLOCK_QUESTIONS):
        block = test[start : start + BLOCK_QUESTIONS]
        on_progress(Progress("answer", kind, start, len(test)))
        if all(example.id in log.answers for example in block):
            continue
        block_started = time.perf_counter()
        try:
            answers = arm.pipeline.answer([example.question for example in block])
        except LanguageModelError as error:
            asked = f"{block[0].id} to {block[-1].id}" if len(block) > 1 else block[0].id
            raise LanguageModelError(f"{error} (arm {kind}, questions {asked})") from error
        log.append([example.id for example in block], answers, time.perf_counter() - block_started)
    on_progress(Progress("answer", kind, len(test), len(test)))
    return _Measured(arm, [log.answers[example.id] for example in test], log.wall_s, [])


def _measure_latencies(
    measured: Sequence[_Measured], test: Sequence[Example], directory: DataDirectory, on_progress: OnProgress
) -> dict[str, LatencySummary]:
    """What one caller waits, one question at a time, the arms in turn so that a busy moment hits all of them.

    Also counts answers that differ from those given in batches.
    """
    candidates = [m for m in measured if m.arm.role is ArmRole.CANDIDATE]
    step = max(1, len(test) // (LATENCY_QUESTIONS + LATENCY_WARM_UP))
    chosen = list(range(0, len(test), step))[: LATENCY_QUESTIONS + LATENCY_WARM_UP]
    fingerprints = [m.arm.pipeline.fingerprint for m in candidates]
    key = stage_key(fingerprints, code_digest("lm", "rag", "advisor", "service"), [test[i].question for i in chosen])
    path = directory.stage("latency", f"{key}.json")
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return {kind: LatencySummary(**raw) for kind, raw in json.loads(path.read_text(encoding="utf-8")).items()}
    waits: dict[str, list[float]] = {m.arm.pipeline.kind: [] for m in candidates}
    changed = dict.fromkeys(waits, 0)
    for turn, i in enumerate(chosen):
        on_progress(Progress("latency", "", turn, len(chosen)))
        for one in candidates:
            started = time.perf_counter()
            answer = one.arm.pipeline.answer([test[i].question])[0]
            if turn >= LATENCY_WARM_UP or len(chosen) <= LATENCY_WARM_UP:
                waits[one.arm.pipeline.kind].append(time.perf_counter() - started)
                changed[one.arm.pipeline.kind] += answer.text != one.answers[i].text
    on_progress(Progress("latency", "", len(chosen), len(chosen)))
    summaries = {
        kind: LatencySummary(float(np.quantile(w, 0.5)), float(np.quantile(w, 0.95)), len(w), changed[kind])
        for kind, w in waits.items()
    }
    write_whole(path, json.dumps({kind: asdict(summary) for kind, summary in summaries.items()}))
    return summaries


def _score(
    one: _Measured,
    test: Sequence[Example],
    dataset: Dataset,
    metrics: Sequence[Metric],
    resources: ScoringResources,
) -> list[QuestionRecord]:
    scores: list[dict[str, Score]] = [{} for _ in test]
    for metric in metrics:
        if metric.name in RETRIEVAL_METRICS and not one.arm.retrieves:
            continue
        applicable = [i for i, example in enumerate(test) if metric.applies(example)]
        values = metric.score([test[i] for i in applicable], [one.answers[i] for i in applicable], resources)
        for i, value in zip(applicable, values, strict=True):
            scores[i][metric.name] = value
    return [
        QuestionRecord(
            arm=one.arm.pipeline.kind,
            example_id=example.id,
            question=example.question,
            references=example.answers,
            gold_document_ids=example.document_ids,
            slice=dataset.slice_of(example),
            group=example.group,
            cluster=dataset.cluster_of(example),
            answer=answer,
            scores=row,
        )
        for example, answer, row in zip(test, one.answers, scores, strict=True)
    ]


def _attribute(records: Sequence[QuestionRecord], arm: Arm, dataset: Dataset, metric: str) -> list[QuestionRecord]:
    """The records with each wrong answer's kind of failure."""
    answers = Counter(normalise(reference_text(example)) for example in dataset.split(Split.TRAIN))
    frequent = frozenset(text for text, n in answers.most_common(FREQUENT_ANSWERS) if n > 1)
    nature = ArmNature(arm.retrieves, arm.tuned, frequent)
    return [
        replace(record, failure=classify_failure(record, nature)) if is_wrong(record, metric) else record
        for record in records
    ]


def _conclude(
    settings: ComparisonSettings,
    dataset: Dataset,
    model: LanguageModel,
    measured: Sequence[_Measured],
    latencies: Mapping[str, LatencySummary],
    metrics: Sequence[Metric],
    findings: list[AuditFinding],
    arms_measured: MeasuredArms,
    inputs: DecisionInputs,
    run_id: str,
) -> Comparison:
    test = dataset.split(Split.TEST)
    slices = [dataset.slice_of(example) for example in test]
    weights = slice_weights(slices, [example.group for example in test], coverage=settings.coverage)
    rule = DecisionRule(metrics[0].name, settings.margin, settings.coverage, settings.seed)
    prices, uses = inputs.prices, arms_measured.uses
    arms = [_summarise(one, dataset, settings, metrics, weights, latencies, prices, uses) for one in measured]
    findings = findings + audit_arms(arms, dataset, rule.metric)
    candidates = {m.arm.pipeline.kind: m.records for m in measured if m.arm.role is ArmRole.CANDIDATE}
    differences: tuple[PairedDifference, ...] = ()
    # Where too little was scored for any difference, the recommendation says so in its own words.
    with suppress(EvaluationError):
        differences = paired_differences(candidates, rule.metric, weights=weights, seed=settings.seed)
    conclusion = conclude(candidates, differences, findings, arms_measured, inputs, rule)
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
        findings=tuple(findings),
        settings=settings.to_json()
        | {
            "training_curves": {
                m.arm.pipeline.kind: list(m.arm.training_curve) for m in measured if m.arm.training_curve
            }
        },
        hashes={"dataset": dataset.content_hash, "model": model.fingerprint}
        | {f"pipeline {m.arm.pipeline.kind}": m.arm.pipeline.fingerprint for m in measured},
        versions=library_versions(),
        prices_as_of=prices.as_of,
        prices_source=prices.source,
        wall_s=0.0,
        break_evens=conclusion.break_evens,
        net_values=conclusion.net_values,
        constraints=conclusion.constraints,
        flips=conclusion.flips,
        flip_map=conclusion.flip_map,
    )


def _measured_arms(
    measured: Sequence[_Measured], latencies: Mapping[str, LatencySummary], metric: str, settings: ComparisonSettings
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
    )


def _use(one: _Measured, settings: ComparisonSettings) -> ArmUse:
    index, training = _built(one.arm)
    return measure_use(
        one.records,
        model=one.arm.pipeline.model.name.removeprefix("openai:"),
        embedder=settings.embedder.removeprefix("openai:"),
        device=one.arm.device,
        throughput_per_s=_throughput_per_s(one),
        index=index,
        training=training,
        adapter_slowdown=settings.adapter_slowdown if one.arm.tuned and one.arm.device is not None else None,
        judge=one.judge,
        seed=settings.seed,
    )


def _traits(one: _Measured, latencies: Mapping[str, LatencySummary]) -> ArmTraits:
    latency = latencies.get(one.arm.pipeline.kind)
    p95_s = latency.p95_s if latency else None
    return ArmTraits(one.arm.retrieves, one.arm.tuned, one.arm.device, p95_s, abstention_recall(one.records))


def _throughput_per_s(one: _Measured) -> float:
    return len(one.records) / one.wall_s if one.wall_s > 0 else 0.0


def _summarise(
    one: _Measured,
    dataset: Dataset,
    settings: ComparisonSettings,
    metrics: Sequence[Metric],
    weights: Mapping[str, float],
    latencies: Mapping[str, LatencySummary],
    prices: PriceList,
    uses: Mapping[str, ArmUse],
) -> ArmSummary:
    pipeline = one.arm.pipeline
    test = dataset.split(Split.TEST)
    summaries = tuple(
        summary
        for metric in metrics
        if metric.name not in RETRIEVAL_METRICS or one.arm.retrieves
        for summary in summarise_metric(one.records, metric.name, weights=weights, seed=settings.seed)
    )
    summaries += tuple(
        summarise_corpus_metric(name, CORPUS_METRICS[name], test, one.records, seed=settings.seed)
        for name in dataset.card.metrics
        if name in CORPUS_METRICS
    )
    overall = summaries[0].interval
    use = uses.get(pipeline.kind)
    accuracy = overall.estimate if overall else None
    return ArmSummary(
        kind=pipeline.kind,
        role=one.arm.role,
        label=one.arm.label,
        metrics=summaries,
        usage_per_question=mean_usage(one.records),
        throughput_per_s=_throughput_per_s(one),
        build_usage=pipeline.build_usage,
        latency=latencies.get(pipeline.kind),
        cost=estimate_cost(use, prices, settings.traffic, accuracy=accuracy) if use else None,
        n_questions=len(one.records),
        n_length_stopped=sum(record.answer.finish_reason == "length" for record in one.records),
    )


def _built(arm: Arm) -> tuple[BuildUsage, BuildUsage]:
    """What building an arm took: index and training apart, since documents change at another pace than adapters."""
    whole = arm.pipeline.build_usage
    if not arm.tuned:
        return whole, BuildUsage()
    index = arm.index_usage
    return index, replace(
        whole,
        wall_s=whole.wall_s - index.wall_s,
        device_s=whole.device_s - index.device_s,
        input_tokens=whole.input_tokens - index.input_tokens,
        embedding_tokens=whole.embedding_tokens - index.embedding_tokens,
    )
