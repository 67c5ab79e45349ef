"""The freshness experiment: documents change after a comparison, and its arms are asked again."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from advisor.arms import ARM_KINDS
from advisor.data.dataset import Dataset, Example, Split
from advisor.data.normalisation import is_abstention
from advisor.data.revision import REVISION_FOLDER, Revision, load_revision
from advisor.decision.freshness import ArmState, Freshness, ReaskedQuestion, Refresh, summarise_state
from advisor.errors import DatasetError
from advisor.evidence.arm_use import NO_SPREAD, ArmUse
from advisor.metrics.containment import contains_any
from advisor.metrics.registry import metrics_for
from advisor.money.cost import estimate_cost
from advisor.money.prices import PriceList, load_prices
from advisor.report.freshness import freshness_markdown
from advisor.results.answer import Answer, BuildUsage, Pipeline
from advisor.results.comparison import Interval
from advisor.results.plain_data import to_json, to_plain
from advisor.results.score import Metric, ScoringResources, score_answers
from lm.errors import ConfigError
from lm.files import write_whole
from service.run.arm import Arm, Compose, Composition, minus_index
from service.run.finished.asking import FinishedComparison
from service.run.finished.base_model import check_base_model
from service.run.progress import OnProgress, Progress, silent
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.run.workflow import load_limited_dataset
from service.store.data_directory import DataDirectory
from service.store.key_budget import KeyBudget
from service.store.stages.recorded_stages import note_stages

JSON_FILE = "freshness.json"
MARKDOWN_FILE = "freshness.md"
BLOCK_QUESTIONS = 64
_AFTER = "new documents"


@dataclass(frozen=True)
class _Step:
    """An arm after a refresh, and what that took."""

    refresh: Refresh
    pipeline: Pipeline
    index: BuildUsage = BuildUsage()
    training: BuildUsage = BuildUsage()

    def paid(self, arm: Arm) -> Arm:
        """The arm with what this refresh built of it, as its cost is counted: what was there before is paid for."""
        pipeline = replace(self.pipeline, build_usage=self.index + self.training)
        return replace(arm, pipeline=pipeline, index_usage=self.index)


@dataclass(frozen=True)
class _Asked:
    """An arm's answers to all questions."""

    answers: Sequence[Answer]
    seconds: float


@dataclass(frozen=True)
class Change:
    """Documents that changed after a comparison.

    Attributes:
        before: What was compared.
        questions: Test questions on changed facts, and those of the comparison whose facts did not change.
    """

    before: Dataset
    revision: Revision
    questions: Sequence[Example]


def read_change(finished: FinishedComparison, folder: Path | None = None) -> Change:
    """The later editions of a comparison's documents, and what they change.

    Args:
        folder: Holds the later editions; the folder `v2` of the dataset if not given.
    Raises:
        ConfigError: the data are no longer those that were compared.
        DatasetError: the later editions are missing, wrong, or change nothing that a test question asks.
    """
    settings = finished.settings
    before = load_limited_dataset(settings)
    if before.content_hash != finished.comparison.dataset_hash:
        raise ConfigError(_changed(finished.comparison.id, f"the dataset {settings.dataset} has changed"))
    folder = folder or settings.dataset_folder / REVISION_FOLDER
    revision = load_revision(folder, load_limited_dataset(replace(settings, limit=None, train_limit=None)))
    whole = load_limited_dataset(replace(settings, limit=None))
    return Change(before, revision, _questions(whole, before, revision, folder))


def measure_freshness(
    finished: FinishedComparison,
    directory: DataDirectory,
    compose: Compose,
    *,
    revision_folder: Path | None = None,
    on_progress: OnProgress = silent,
    budget: KeyBudget | None = None,
    run_id: str | None = None,
) -> Freshness:
    """Ask the arms of a comparison again after its documents changed.

    Each arm is asked as it was built; where it retrieves, with the new documents indexed; where training
    questions decide its answers, also trained again on those of today. All test questions on changed facts are asked,
    and those of the comparison whose facts did not change. Indexes and adapters are kept; answers are not, so that an
    interrupted run asks again.

    Args:
        revision_folder: As for `read_change`.
        budget: Of the key that pays for answers of endpoints.
        run_id: What was built is noted under it, to be deleted with it; left out, it stays.
    Raises:
        ConfigError: data or model are no longer those that were compared.
        DatasetError: as `read_change`.
        KeySpentError: the key that pays has spent what it may.
    """
    started = time.perf_counter()
    comparison, settings = finished.comparison, finished.settings
    change = read_change(finished, revision_folder)
    before, revision = change.before, change.revision
    after = revision.apply(before)
    metric = metrics_for(before.card, has_embedder=True, has_judge=settings.judge is not None)[0]
    questions = [e for e in change.questions if metric.applies(e) and metric.applies(revision.revise(e))]
    prices = load_prices(settings.prices).on_machine(settings.machine)
    # The limit that was declared for the comparison is used up by it.
    spending = Spending(replace(settings, max_spend_usd=None), prices, budget)
    names = _Stages(on_progress)
    composition = compose(settings, directory, names)
    try:
        used = dict.fromkeys(settings.model_of(spec) for spec in settings.arm_specs if spec.row.generates)
        for model in used:
            check_base_model(composition.model_of(model), model, settings, comparison, None)
        states: list[ArmState] = []
        for spec in settings.arm_specs:
            names.after = ""
            arm = composition.arm(spec.id, before)
            if arm.pipeline.fingerprint != comparison.hashes.get(f"pipeline {spec.id}"):
                model = settings.model_of(spec)
                raise ConfigError(
                    _changed(comparison.id, f"the model {model} or what {spec.id} is built of has changed")
                )
            names.after = _AFTER
            states += _states(
                arm, composition, questions, before, after, revision, metric, settings, prices, names, spending
            )
        if run_id is not None:
            note_stages(run_id, composition.stage_markers, directory)
    finally:
        composition.close()
    return Freshness(
        comparison=comparison.id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=before.card.name,
        model=comparison.model,
        metric=metric.name,
        margin=settings.margin,
        revision_hash=revision.content_hash,
        n_documents=len(revision.documents),
        n_facts=len(revision.facts),
        prices_as_of=prices.as_of,
        prices_source=prices.source,
        wall_s=time.perf_counter() - started,
        states=tuple(states),
    )


def freshness_json(freshness: Freshness) -> str:
    """As it is kept."""
    return to_json(to_plain(freshness), indent=2)


def write_freshness(freshness: Freshness, reports: Path) -> Path:
    """Write what was found into the folder of the comparison's reports; the Markdown."""
    write_whole(reports / JSON_FILE, freshness_json(freshness))
    write_whole(reports / MARKDOWN_FILE, freshness_markdown(freshness))
    return reports / MARKDOWN_FILE


class _Stages:
    """Progress under names that tell what is built again from what was there."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.after = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage == "answer" or not self.after:
            self._on_progress(progress)
        else:
            self._on_progress(replace(progress, arm=f"{progress.arm}, {self.after}" if progress.arm else self.after))


def _questions(whole: Dataset, before: Dataset, revision: Revision, folder: Path) -> list[Example]:
    changed = [example for example in whole.split(Split.TEST) if example.group in revision.facts]
    if not changed:
        raise DatasetError(
            f"{folder}: no test question asks for any of the {len(revision.facts)} changed facts, so nothing can go "
            "stale; name facts of test questions, or mark some of their questions as test"
        )
    return changed + [example for example in before.split(Split.TEST) if example.group not in revision.facts]


def _states(
    arm: Arm,
    composition: Composition,
    questions: Sequence[Example],
    before: Dataset,
    after: Dataset,
    revision: Revision,
    metric: Metric,
    settings: ComparisonSettings,
    prices: PriceList,
    on_progress: OnProgress,
    spending: Spending,
) -> Iterator[ArmState]:
    resources = ScoringResources(before.card, composition.embedder, spending.metered(composition.judge))
    revised = [revision.revise(example) for example in questions]
    asked: dict[str, _Asked] = {}
    was_right: list[float | None] = []
    for step in _steps(arm, composition, after):
        key = step.pipeline.fingerprint
        if key not in asked:
            asked[key] = _ask(step, step.paid(arm), questions, on_progress, spending)
        answers = asked[key].answers
        if not was_right:
            was_right = [score.value for score in score_answers(metric, questions, answers, resources)]
        is_right = [score.value for score in score_answers(metric, revised, answers, resources)]
        spending.check_judge()
        rows = [
            ReaskedQuestion(
                example_id=then.id,
                changed=then.group in revision.facts,
                trained=then.group in before.trained_groups,
                cluster=before.cluster_of(then),
                answer=answer.text,
                was_right=was,
                is_right=now,
                is_stale=_is_stale(answer.text, then.answers, today.answers),
            )
            for then, today, answer, was, now in zip(questions, revised, answers, was_right, is_right, strict=True)
        ]
        index_usd, training_usd = _price(step, arm, asked[key], settings, prices)
        yield summarise_state(
            arm.id,
            step.refresh,
            rows,
            index_s=step.index.wall_s,
            training_s=step.training.wall_s,
            index_usd=index_usd,
            training_usd=training_usd,
            margin=settings.margin,
            seed=settings.seed,
        )


def _steps(arm: Arm, composition: Composition, after: Dataset) -> Iterator[_Step]:
    """The refreshes an arm can have, the cheapest first."""
    yield _Step(Refresh.NOTHING, arm.pipeline)
    index = BuildUsage()
    if arm.retrieves:
        retrieving = composition.arm("rag", after).pipeline
        index = retrieving.build_usage
        yield _Step(Refresh.REINDEXED, replace(arm.pipeline, prompt_builder=retrieving.prompt_builder), index)
    if arm.tuned or ARM_KINDS[arm.kind].embeds_questions:
        tuned = composition.arm(arm.id, after)
        yield _Step(Refresh.RETUNED, tuned.pipeline, index, minus_index(tuned))


def _ask(step: _Step, arm: Arm, questions: Sequence[Example], on_progress: OnProgress, spending: Spending) -> _Asked:
    kind = step.pipeline.arm
    name = kind if step.refresh is Refresh.NOTHING else f"{kind}, {step.refresh}"
    answers: list[Answer] = []
    started = time.perf_counter()
    for start in range(0, len(questions), BLOCK_QUESTIONS):
        on_progress(Progress("answer", name, start, len(questions)))
        block = questions[start : start + BLOCK_QUESTIONS]
        spending.check(arm, block)
        new = step.pipeline.answer([e.asked for e in block])
        spending.add(arm, new)
        answers += new
    on_progress(Progress("answer", name, len(questions), len(questions)))
    return _Asked(answers, time.perf_counter() - started)


def _is_stale(text: str, then: Sequence[str], today: Sequence[str]) -> bool:
    """Whether an answer is one of then that no longer holds, or still declines what is answered today."""
    if set(then) == set(today):
        return False
    if not then:
        return is_abstention(text)
    return contains_any(text, then) and not contains_any(text, today)


def _price(
    step: _Step, arm: Arm, asked: _Asked, settings: ComparisonSettings, prices: PriceList
) -> tuple[float | None, float | None]:
    """USD of index and of training; None for both where the price list does not know what the arm runs on."""
    usages = [answer.usage for answer in asked.answers]
    use = ArmUse(
        model=arm.priced_as,
        embedder=settings.embedder,
        device=arm.device,
        input_tokens=_mean([usage.input_tokens for usage in usages]),
        output_tokens=_mean([usage.output_tokens for usage in usages]),
        embedding_tokens=_mean([usage.embedding_tokens for usage in usages]),
        seconds=_mean([asked.seconds / len(usages)]),
        index=step.index,
        training=step.training,
    )
    cost = estimate_cost(use, prices, settings.traffic)
    return (cost.index_usd, cost.training_usd) if cost else (None, None)


def _mean(amounts: Sequence[float]) -> Interval:
    value = sum(amounts) / len(amounts)
    return Interval(value, value, value, method=NO_SPREAD)


def _changed(comparison_id: str, what: str) -> str:
    return f"{what} since the comparison {comparison_id}, so its arms are no longer those; compare again, then ask"
