"""Asking the arms, timing them and scoring what they said: all of a comparison that needs models."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from sqlalchemy import Engine

import lm.endpoint
from advisor.data.dataset import Dataset, Example, Split
from advisor.data.normalisation import normalise
from advisor.data.prompt import question_turn, reference_text
from advisor.evidence.arm_use import JudgeUse
from advisor.evidence.failure import ArmNature, classify_failure
from advisor.evidence.form_gain import FormScores
from advisor.metrics.corpus import PERPLEXITY
from advisor.metrics.human import label_key
from advisor.metrics.registry import JUDGE_METRICS, RETRIEVAL_METRICS
from advisor.report.sections.failures import is_wrong
from advisor.results.answer import SECONDS, Answer
from advisor.results.comparison import ArmRole, LatencySummary, QuestionRecord, SeedAnswer
from advisor.results.score import Labels, Metric, Score, ScoringResources, score_answers
from lm.completion import Usage
from lm.errors import LanguageModelError
from lm.files import write_whole
from service.run.arm import AnsweredBlock, Arm, Block, Composition, named
from service.run.progress import OnProgress, Progress
from service.run.spending import Spending
from service.store.data_directory import DataDirectory
from service.store.stages.answer_log import AnswerLog
from service.store.stages.stage_key import formats, stage_key

BLOCK_QUESTIONS = 64
LATENCY_QUESTIONS = 32
LATENCY_WARM_UP = 2
LATENCY_FORMAT = 1
"""Raise it when waits are measured in another way."""
FREQUENT_ANSWERS = 5


@dataclass
class ArmMeasurement:
    """One arm's answers and their scores.

    Attributes:
        questions: What it was asked: all test questions, or in a race those of the blocks until it left.
        answers: In the order of the questions.
        wall_s: Seconds in which all answers were given, in batches.
        by_seed: Answers of the adapters of other training seeds, likewise.
        records: One a question, once they are scored.
        judge: What grading took.
        deciding: Scores by question id that are known before all others are made, as a race needs them.
        form: Scores of validation questions, held to the form of the dataset and free, where answers are held to one.
        n_asked_besides: Validation questions that it answered for this, each way counted.
        unreadable: What of its texts is unknown to a model that it depends on; "" if nothing.
    """

    arm: Arm
    questions: Sequence[Example]
    answers: list[Answer]
    wall_s: float
    by_seed: dict[int, list[Answer]] = field(default_factory=dict)
    records: list[QuestionRecord] = field(default_factory=list)
    judge: JudgeUse | None = None
    deciding: dict[str, Score] = field(default_factory=dict)
    form: FormScores | None = None
    n_asked_besides: int = 0
    unreadable: str = ""

    @property
    def throughput_per_s(self) -> float:
        """Questions a second in batches; 0 where that is not known."""
        if any(SECONDS in answer.unknown for answer in self.answers):
            return 0.0
        return len(self.answers) / self.wall_s if self.wall_s > 0 else 0.0


def ask_arms(
    composition: Composition,
    dataset: Dataset,
    database: Engine,
    metric: Metric,
    on_progress: OnProgress,
    spending: Spending,
) -> list[ArmMeasurement]:
    """Answers of all arms to all test questions.

    Args:
        metric: Watched while answers come in, where it needs no model.
    """
    test = dataset.split(Split.TEST)
    built: list[Arm] = []

    def trained() -> Iterator[Arm]:
        for arm in composition.arms(dataset):
            if arm.generates and not any(
                one.generates and one.base.fingerprint == arm.base.fingerprint for one in built
            ):
                check_questions_fit(arm, dataset)
            built.append(arm)
            yield from (arm, *arm.other_seeds)

    logs = iter(answer_questions(composition, trained(), test, dataset, database, metric, on_progress, spending))
    measured = []
    for arm in built:
        log = next(logs)
        by_seed = {one.training_seed: next(logs).in_order(test) for one in arm.other_seeds}
        seeds = {seed: answers for seed, answers in by_seed.items() if seed is not None}
        measured.append(ArmMeasurement(with_told(arm, log.in_order(test)), test, log.in_order(test), log.wall_s, seeds))
    return measured


def with_told(arm: Arm, answers: Sequence[Answer]) -> Arm:
    """The arm, knowing whether it retrieves, which outside arms tell by their answers alone."""
    return replace(arm, retrieves=True) if arm.outside and any(answer.retrieved for answer in answers) else arm


def score_arms(
    measured: Sequence[ArmMeasurement],
    composition: Composition,
    dataset: Dataset,
    directory: DataDirectory,
    metrics: Sequence[Metric],
    labels: Labels,
    on_progress: OnProgress,
    spending: Spending,
) -> dict[str, LatencySummary]:
    """Give each arm its records, people's labels among the scores; what one caller waits for each candidate."""
    latencies = _measure_latencies(measured, composition, directory, on_progress, spending)
    for i, one in enumerate(measured):
        on_progress(Progress("score", one.arm.id, i, len(measured)))
        if PERPLEXITY in dataset.card.metrics:
            ask_for_likelihoods(one, spending)
        judge = spending.metered(composition.judge)
        resources = ScoringResources(dataset.card, composition.embedder, judge, labels)
        one.records = _attribute(_record(one, dataset, metrics, resources), one.arm, dataset, metrics[0].name)
        spending.check_judge()
        if judge is not None:
            device = getattr(composition.judge, "device", None)
            one.judge = JudgeUse(judge.name.removeprefix("openai:"), device and device.type, judge.usage)
    on_progress(Progress("score", "", len(measured), len(measured)))
    return latencies


def ask_for_likelihoods(one: ArmMeasurement, spending: Spending) -> None:
    """Of the first references, by the deployed adapter and by those of other training seeds."""
    spending.check(one.arm, one.questions)
    questions = [example.asked for example in one.questions]
    references = [reference_text(example) for example in one.questions]
    one.answers = one.arm.pipeline.with_likelihoods(questions, references, one.answers)
    told = [(answer, answer.reference) for answer in one.answers if answer.reference is not None]
    # Each prompt is read once more, with the reference behind it.
    read = [replace(a, usage=Usage(a.usage.input_tokens + reference.n_tokens)) for a, reference in told]
    spending.add(one.arm, read)
    for arm in one.arm.other_seeds:
        seed = arm.training_seed
        if seed is not None and seed in one.by_seed:
            one.by_seed[seed] = arm.pipeline.with_likelihoods(questions, references, one.by_seed[seed])


def check_questions_fit(arm: Arm, dataset: Dataset) -> None:
    """Refuse a question that leaves no room for an answer before hours are spent on the others.

    Passages and worked examples give way to a long question, so that its bare prompt decides for every arm. Hosted
    models only estimate their tokens and are left to refuse it themselves.
    """
    model, output_tokens = arm.pipeline.model, arm.pipeline.generation.max_output_tokens
    if arm.device is None:
        return
    room = model.context_tokens - output_tokens
    lengths = {
        e.id: model.count_tokens((question_turn(dataset.card.instruction, e.asked),)) for e in dataset.split(Split.TEST)
    }
    too_long = [example_id for example_id, n_tokens in lengths.items() if n_tokens > room]
    if too_long:
        others = f"; {len(too_long) - 1} more are too long: {', '.join(too_long[1:6])}" if len(too_long) > 1 else ""
        raise LanguageModelError(
            f"the question {too_long[0]} has {lengths[too_long[0]]} tokens with the instruction, and the context of "
            f"{model.name} ({model.context_tokens} tokens) has room for {room} beside an answer of {output_tokens}; "
            f"shorten or remove it, lower max_output_tokens in dataset.toml, or choose another model{others}"
        )


def answer_questions(
    composition: Composition,
    arms: Iterable[Arm],
    questions: Sequence[Example],
    dataset: Dataset,
    database: Engine,
    metric: Metric,
    on_progress: OnProgress,
    spending: Spending,
    stage: str = "answer",
) -> list[AnswerLog]:
    """Answers of each arm to all questions, of which those are asked that nobody has answered.

    The questions alone decide the blocks, and with them which prompts share a batch: not their order in a file, nor
    where an interrupted run goes on.

    Args:
        stage: As which progress is told; running scores are of test questions alone.
    """
    examples = {example.id: example for example in questions}
    # Questions of like length make prompts of like length: little padding. The longest come first, as in a batch.
    ids = [example.id for example in sorted(questions, key=lambda e: (-len(e.asked), e.id))]
    block_ids = [ids[start : start + BLOCK_QUESTIONS] for start in range(0, len(ids), BLOCK_QUESTIONS)]
    asked = sorted((e.id, e.asked) for e in questions)
    logs: dict[str, AnswerLog] = {}
    keys = []
    drawn: list[str] = []

    def tell(arm: Arm, key: str) -> None:
        log = logs[key]
        score = _mean_so_far(log, questions, metric, dataset) if stage == "answer" and not metric.needs else None
        # Which adapter is deployed is not known before it is trained; one arm answers within the form and freely.
        told = named(arm) if stage == "answer" else arm.id
        on_progress(Progress(stage, told, len(log.answers), len(questions), score=score, key=key))

    def blocks() -> Iterator[Block]:
        for arm in arms:
            keys.append(key := answers_key(arm, asked))
            is_new = key not in logs
            if is_new:
                logs[key] = AnswerLog(database, key)
                spending.add(arm, list(logs[key].answers.values()), are_new=False)
            tell(arm, key)
            for block in logs[key].unanswered(block_ids) if is_new else ():
                spending.check(arm, block)
                drawn.append(key)
                yield Block(arm, [examples[i] for i in block], key)

    for n_answered, answered in enumerate(composition.answered(blocks()), 1):
        keep(answered, logs[answered.block.stage])
        spending.add(answered.block.arm, answered.answers)
        tell(answered.block.arm, answered.block.stage)
        if n_answered < len(drawn):
            # A cluster draws all blocks before it answers one.
            spending.check(answered.block.arm, ())
    return [logs[key] for key in keys]


def keep(answered: AnsweredBlock, log: AnswerLog) -> None:
    """Commit the answers of a block."""
    log.append([example.id for example in answered.block.examples], answered.answers, answered.wall_s)


def answers_key(arm: Arm, asked: object) -> str:
    """The stage that an arm's answers are kept in; `asked` is all that decides which questions are batched together."""
    # What is computed here does not change with how replies of endpoints are read.
    hosted = {"lm.endpoint": lm.endpoint.FORMAT} if arm.device is None else {}
    return stage_key(arm.pipeline.fingerprint, formats("answers") | hosted, asked)


def _mean_so_far(log: AnswerLog, test: Sequence[Example], metric: Metric, dataset: Dataset) -> float | None:
    answered = [example for example in test if example.id in log.answers and metric.applies(example)]
    answers = [log.answers[e.id] for e in answered]
    scores = score_answers(metric, answered, answers, ScoringResources(dataset.card))
    values = [score.value for score in scores if score.value is not None]
    return sum(values) / len(values) if values else None


def _measure_latencies(
    measured: Sequence[ArmMeasurement],
    composition: Composition,
    directory: DataDirectory,
    on_progress: OnProgress,
    spending: Spending,
) -> dict[str, LatencySummary]:
    """Latency for one caller, one question at a time, the arms in turn so that a busy moment hits all of them.

    Also counts answers that differ from those given in batches.
    """
    given = {m.arm.id: _given_latency(m) for m in measured if m.arm.given is not None}
    candidates = [m for m in measured if m.arm.role is ArmRole.CANDIDATE and m.arm.given is None]
    if not candidates:
        return {arm: latency for arm, latency in given.items() if latency is not None}
    # In a race all arms begin with the same questions, and one that left early was asked only those.
    test = min((m.questions for m in candidates), key=len, default=())
    step = max(1, len(test) // (LATENCY_QUESTIONS + LATENCY_WARM_UP))
    chosen = list(range(0, len(test), step))[: LATENCY_QUESTIONS + LATENCY_WARM_UP]
    fingerprints = [m.arm.pipeline.fingerprint for m in candidates]
    asked = [test[i].asked for i in chosen]
    key = stage_key(fingerprints, formats("answers"), LATENCY_FORMAT, LATENCY_WARM_UP, asked)
    path = directory.stage("latency", f"{key}.json")
    with suppress(OSError, ValueError, TypeError, AttributeError):
        measured_before = json.loads(path.read_text(encoding="utf-8"))
        return _all({kind: LatencySummary(**raw) for kind, raw in measured_before.items()}, given)
    waits: dict[str, dict[str, float]] = {m.arm.id: {} for m in candidates}
    changed = dict.fromkeys(waits, 0)
    for turn, i in enumerate(chosen):
        on_progress(Progress("latency", "", turn, len(chosen)))
        for one in candidates:
            spending.check(one.arm, [test[i]])
            (answered,) = composition.answered([Block(one.arm, [test[i]])])
            spending.add(one.arm, answered.answers)
            if turn >= LATENCY_WARM_UP or len(chosen) <= LATENCY_WARM_UP:
                waits[one.arm.id][test[i].id] = answered.wall_s
                changed[one.arm.id] += answered.answers[0].text != one.answers[i].text
    on_progress(Progress("latency", "", len(chosen), len(chosen)))
    summaries = {kind: _latency(by_question, changed[kind]) for kind, by_question in waits.items()}
    write_whole(path, json.dumps({kind: asdict(summary) for kind, summary in summaries.items()}))
    return _all(summaries, given)


def _given_latency(one: ArmMeasurement) -> LatencySummary | None:
    """Of answers that were given elsewhere, as they tell; None where one does not."""
    if any(SECONDS in answer.unknown for answer in one.answers):
        return None
    waits = {e.id: answer.usage.latency_s for e, answer in zip(one.questions, one.answers, strict=True)}
    return _latency(waits, 0)


def _all(
    measured: Mapping[str, LatencySummary], given: Mapping[str, LatencySummary | None]
) -> dict[str, LatencySummary]:
    return {**measured, **{arm: latency for arm, latency in given.items() if latency is not None}}


def _latency(waits_s: Mapping[str, float], n_changed: int) -> LatencySummary:
    p50_s, p95_s = np.quantile(list(waits_s.values()), (0.5, 0.95))
    return LatencySummary(float(p50_s), float(p95_s), len(waits_s), n_changed, waits_s)


def _record(
    one: ArmMeasurement, dataset: Dataset, metrics: Sequence[Metric], resources: ScoringResources
) -> list[QuestionRecord]:
    scores = _score(one.arm, one.questions, one.answers, metrics, resources, one.deciding)
    others = {
        seed: (answers, _score(one.arm, one.questions, answers, metrics, resources, {}))
        for seed, answers in one.by_seed.items()
    }
    return [
        replace(
            QuestionRecord.of(example, dataset, one.arm.id, one.answers[i], scores[i]),
            training_seed=one.arm.training_seed,
            other_seeds=tuple(SeedAnswer(seed, answers[i], rows[i]) for seed, (answers, rows) in others.items()),
        )
        for i, example in enumerate(one.questions)
    ]


def _score(
    arm: Arm,
    questions: Sequence[Example],
    answers: Sequence[Answer],
    metrics: Sequence[Metric],
    resources: ScoringResources,
    deciding: Mapping[str, Score],
) -> list[dict[str, Score]]:
    """Every metric that applies to each answer; the first is taken from `deciding` where it is there."""
    scores: list[dict[str, Score]] = [{} for _ in questions]
    for metric in metrics:
        if metric.name in RETRIEVAL_METRICS and not arm.retrieves:
            continue
        known = deciding if metric is metrics[0] else {}
        applicable = [i for i, example in enumerate(questions) if metric.applies(example)]
        unknown = [i for i in applicable if questions[i].id not in known]
        values = score_answers(metric, [questions[i] for i in unknown], [answers[i] for i in unknown], resources)
        made = dict(zip(unknown, values, strict=True))
        for i in applicable:
            scores[i][metric.name] = made[i] if i in made else known[questions[i].id]
            label = resources.labels.get((questions[i].id, metric.name, answers[i].text))
            if label is not None and metric.name in JUDGE_METRICS:
                scores[i][label_key(metric.name)] = Score(label)
    return scores


def _attribute(records: Sequence[QuestionRecord], arm: Arm, dataset: Dataset, metric: str) -> list[QuestionRecord]:
    """The records with each wrong answer's kind of failure."""
    answers = Counter(normalise(reference_text(example)) for example in dataset.split(Split.TRAIN))
    frequent = frozenset(text for text, n in answers.most_common(FREQUENT_ANSWERS) if n > 1)
    taught = arm.tuned or (arm.role is ArmRole.CANDIDATE and not arm.generates and not arm.outside)
    nature = ArmNature(arm.retrieves, taught, frequent, arm.read_documents)
    return [
        replace(record, failure=classify_failure(record, nature)) if is_wrong(record, metric) else record
        for record in records
    ]
