"""One comparison from settings to report. Knows the order of things and nothing of how arms are built."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path

from sqlalchemy import Engine

from advisor.advice.questionnaire import Answer as GivenAnswer
from advisor.advice.questionnaire import prior, read_answers
from advisor.audit.dataset.audit import audit_dataset
from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset, Task
from advisor.data.files import load_dataset
from advisor.data.splitting import limit_dataset
from advisor.decision.inputs import DecisionInputs
from advisor.decision.prior_check import confront
from advisor.decision.record import record_decision, write_record
from advisor.errors import EvaluationError
from advisor.evidence.human_labels import hash_human_labels, label_values
from advisor.evidence.records import record_line
from advisor.metrics.human import HUMAN_METRICS
from advisor.metrics.registry import JUDGE_METRICS, metrics_for
from advisor.money.prices import PriceList, load_prices
from advisor.report.formats import REPORT_FILES, REPORT_FORMATS
from advisor.report.sections.retrieval_sweep import SWEEP
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.json_report import read_comparison
from advisor.results.score import ScoringResources
from lm.files import write_whole
from service.run.arm import Compose
from service.run.auditing import audit_run, read_labels
from service.run.conclusion import conclude_comparison
from service.run.form import measure_form_gains
from service.run.measuring import ArmMeasurement, ask_arms, score_arms
from service.run.merged_speed import with_measured_slowdown
from service.run.progress import OnProgress, Progress, silent
from service.run.racing import NO_RACE, race_arms
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.store.comparisons.runs import home_database
from service.store.data_directory import (
    DECISION_FILE,
    RECORDS_FILE,
    REPORT_FILE,
    SETTINGS_FILE,
    DataDirectory,
)
from service.store.key_budget import KeyBudget
from service.store.stages.build_alone import build_alone
from service.store.stages.recorded_stages import note_stages, read_stages
from service.store.stages.stage_key import code_digest, library_versions, stage_key


def load_limited_dataset(settings: ComparisonSettings) -> Dataset:
    """The dataset as the settings want it; a judge brings its metrics with it."""
    dataset = load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed)
    if settings.judge is not None and dataset.card.task is Task.QUESTION_ANSWERING:
        metrics = tuple(dict.fromkeys((*dataset.card.metrics, *JUDGE_METRICS, "grounding")))
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
    """Dataset's name and a hash of all that decides the report: the same command gives the same id."""
    digest = code_digest("lm", "rag", "finetune", "advisor", "service.run")
    raw = settings.to_json() | {"dataset": "", "prices": asdict(prices), "prior": answers}
    raw |= {"launch_config": None, "tensorboard": None}
    # Labels come of all questions, those that a limit leaves out of the dataset's hash among them.
    if sources := settings.source_hashes:
        raw["sources"] = sources
    raw["constraint"] = repr(constraint_of(dataset))
    if settings.judge is not None or not HUMAN_METRICS.isdisjoint(dataset.card.metrics):
        raw["human_labels"] = hash_human_labels(settings.dataset_folder)
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
    database: Engine | None = None,
    on_finished: Callable[[Path], None] = lambda folder: None,
    to_be_asked: bool = False,
    budget: KeyBudget | None = None,
) -> Comparison:
    """Build, measure, decide, report. What was already measured is not done again.

    Args:
        database: Holds the answers; left out, it is the data directory's, of which the caller holds the lock.
        on_finished: Given the folder with all reports, before another process may write to it.
        to_be_asked: Whether its arms should be there afterwards, and not the report alone: what was deleted of a
            finished comparison's indexes and adapters is then built again.
        budget: Of the key that pays for answers of endpoints.
    Raises:
        TuningForkError: with what to fix; answers given so far stay on disk, the same call goes on from them.
    """
    started = time.perf_counter()
    prices = load_prices(settings.prices).on_machine(settings.machine)
    answers = read_answers(settings.prior) if settings.prior is not None else None
    dataset = load_limited_dataset(settings)
    run_id = comparison_id(settings, dataset, model_identity, prices, answers)
    folder = directory.comparison(run_id)
    is_missing = to_be_asked and read_stages(run_id, directory, settings.trainings) is None
    if (finished := _read_finished(folder)) and not is_missing:
        on_finished(folder)
        return finished
    metrics = metrics_for(dataset.card, has_embedder=True, has_judge=settings.judge is not None)
    findings = audit_dataset(dataset)
    spending = Spending(settings, prices, budget)
    on_progress = spending.watching(on_progress)
    with ExitStack() as stack:
        answers_in = database or stack.enter_context(home_database(directory))
        sweep = None
        if settings.sweep:
            from service.run.composition.sweep import RetrievalSweep

            sweeping = RetrievalSweep(settings, dataset, directory, answers_in, metrics[0], on_progress, spending)
            sweep = sweeping.run().to_json()
            settings = settings.with_retrieval(sweep)
        composition = compose(settings, directory, on_progress)
        try:
            raced = (
                race_arms(composition, dataset, answers_in, metrics[0], settings, on_progress, spending)
                if settings.race
                else None
            )
            if raced is not None:
                measured, race = raced
            else:
                measured, race = ask_arms(composition, dataset, answers_in, metrics[0], on_progress, spending), None
                findings += [NO_RACE] if settings.race else []
            resources = ScoringResources(dataset.card, composition.embedder, spending.metered(composition.judge))
            measure_form_gains(
                measured, composition, dataset, answers_in, metrics[0], resources, settings.seed, on_progress, spending
            )
            spending.check_judge()
            # Of two comparisons with the same settings in one data directory the first measures the waits and writes
            # the report; the other then finds it.
            waiting = Progress("report", "", 0, 1, "another comparison writes this report")
            stack.enter_context(build_alone(directory, folder, lambda: on_progress(waiting)))
            if (finished := _read_finished(folder)) and _is_of(finished, measured):
                note_stages(run_id, composition.stage_markers, directory)
                on_finished(folder)
                return finished
            labels = read_labels(settings)
            latencies = score_arms(
                measured, composition, dataset, directory, metrics, label_values(labels), on_progress, spending
            )
            findings += audit_run(measured, composition, dataset, settings, metrics, labels)
            models = {spec: composition.model_of(spec) for spec in settings.models}
            markers = composition.stage_markers
            costed = with_measured_slowdown(settings, measured)
        finally:
            composition.close()
        declared = DecisionInputs(
            prices, settings.traffic, settings.coverage, settings.margin, settings.values, settings.constraints
        )
        comparison, arms_measured = conclude_comparison(
            costed, dataset, models, measured, latencies, metrics, findings, declared, run_id, race
        )
        if answers is not None:
            comparison = replace(comparison, prior_check=confront(prior(answers), comparison))
        if sweep is not None:
            comparison = replace(comparison, settings={**comparison.settings, SWEEP: sweep})
        comparison = replace(comparison, wall_s=time.perf_counter() - started)
        records = [record for one in measured for record in one.records]
        results = "".join(record_line(record) + "\n" for record in records)
        decision = record_decision(
            comparison,
            dataset,
            arms_measured,
            declared,
            settings=settings.resolved().to_json(),
            model=model_identity,
            results=results,
            valid_days=settings.valid_days,
        )
        note_stages(run_id, markers, directory)
        write_whole(folder / RECORDS_FILE, results)
        write_whole(folder / DECISION_FILE, write_record(decision))
        _write_reports(folder, settings, comparison, records, on_progress)
        on_finished(folder)
    return comparison


def _read_finished(folder: Path) -> Comparison | None:
    """The comparison in a folder, if all its files are there and the report can be read; otherwise it is made again."""
    needed = (RECORDS_FILE, SETTINGS_FILE, DECISION_FILE, *REPORT_FILES.values())
    if not all((folder / name).is_file() for name in needed):
        return None
    with suppress(EvaluationError, UnicodeDecodeError):
        return read_comparison((folder / REPORT_FILE).read_text(encoding="utf-8"))
    return None


def _is_of(finished: Comparison, measured: Sequence[ArmMeasurement]) -> bool:
    """Whether a report is of these arms: an adapter that was trained again may have come out differently."""
    pipelines = [one.arm.pipeline for one in measured]
    return all(finished.hashes.get(f"pipeline {one.arm}") == one.fingerprint for one in pipelines)


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
