"""What a comparison will take, before it starts: counted from the dataset, timed by earlier comparisons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import regex
from sqlalchemy import Engine, select

from advisor.arms import ARM_KINDS, ARMS, ArmSpec, Circumstances, refuse_unrunnable
from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset, DatasetCard, Split, Task
from advisor.data.splitting import limit_dataset
from advisor.decision.power import DISCORDANCE, expected_power
from advisor.evidence.form_gain import FORM_QUESTIONS
from advisor.money.prices import PriceList, load_prices, priced_name, read_prices, tuned_name
from advisor.results.quantities import usd
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import Estimate, PowerEstimate, StageEstimate, StageProgress
from service.run.hosted_tuning import can_be_tuned
from service.run.measuring import LATENCY_QUESTIONS, LATENCY_WARM_UP
from service.run.progress import answers_label
from service.run.settings import ComparisonSettings, Constrain, TuneOn
from service.run.speeds import CHOSEN_OF_JSON, END_S, HOSTED_S, START_S, Speeds, Work
from service.run.spending import is_hosted
from service.store.comparisons.comparison_store import PRICE_LIST
from service.store.data_directory import DataDirectory
from service.store.reports.stored_reports import readable_report
from service.store.tables import IS_COMPARISON, comparisons

LETTERS_IN_A_TOKEN = 6
TEXTS_COUNTED = 500
"""Of a split or the documents: the mean of so many, evenly spread, stands for all."""
PROMPT_TOKENS = 32
"""What a chat model's template adds to a prompt."""
MESSAGE_TOKENS = 12
"""What it adds to a worked example."""
END_TOKENS = 1
MAX_CONTEXT_TOKENS = 2000
EARLIER_LOOKED_AT = 50


ALWAYS = "what every comparison takes"
_PIECES = regex.compile(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\n+")


@dataclass(frozen=True)
class _Prompt:
    """Tokens of an arm's prompt.

    Attributes:
        shared: What all questions begin with, read once.
        own: Read for each question.
    """

    shared: float
    own: float


def estimate_comparison(
    engine: Engine, directory: DataDirectory, settings: Mapping[str, Any], dataset: Dataset
) -> Estimate:
    """Time, tokens and money of a comparison.

    Args:
        settings: As `check_request` or `ComparisonSettings.to_json` gives them.
        dataset: The whole dataset; the limits of the settings are applied here.

    Raises:
        ConfigError: an arm cannot run with this model or dataset.
    """
    wanted = ComparisonSettings.from_json({**settings, "prices": None, "prior": None})
    path = settings.get("prices")
    prices = read_prices(sent, "prices") if (sent := settings.get(PRICE_LIST)) else load_prices(path and Path(path))
    prices = prices.on_machine(wanted.machine)
    dataset = limit_dataset(
        dataset,
        limit=wanted.limit,
        train_limit=wanted.train_limit,
        coverage=wanted.coverage,
        seed=wanted.seed,
    )
    for model in wanted.models:
        own = [str(arm) for arm in wanted.arm_specs if wanted.model_of(arm) == model]
        refuse_unrunnable(own, Circumstances.of(dataset, model, tunable=can_be_tuned(directory, model)))
    speeds = {model: _speeds(engine, model, wanted.dataset) for model in wanted.models}
    stages = _stages(wanted, dataset, prices, speeds)
    sources = dict.fromkeys(one.source for one in speeds.values() if one.source)
    measured = f"as measured in the comparison {' and '.join(sources)}" if sources else "a guess"
    basis = [
        "Tokens are counted by words, digits and signs; a model's own count differs, most in scripts other than Latin.",
        f"Speeds: {measured}. Stages done in earlier comparisons are not run again and then take no time.",
        "A judge comes on top.",
        f"What can be shown: two arms are assumed to differ in right or wrong on {DISCORDANCE:.0%} of the questions, "
        "those on one document or fact alike; the finished comparison tells what it can show by its own answers.",
    ]
    if new := [model for model, one in speeds.items() if not one.source]:
        name = "this model" if len(speeds) == 1 else " or ".join(new)
        basis.append(f"No comparison with {name} has finished here yet: the time may be off tenfold.")
    return Estimate(
        time_s=sum(stage.time_s for stage in stages),
        input_tokens=sum(stage.input_tokens for stage in stages),
        output_tokens=sum(stage.output_tokens for stage in stages),
        embedding_tokens=sum(stage.embedding_tokens for stage in stages),
        usd=_sum([stage.usd for stage in stages]),
        n_questions=len(dataset.split(Split.TEST)),
        is_rough=any(stage.basis.startswith("guess") for stage in stages),
        basis=basis,
        stages=stages,
        power=_power(dataset, wanted.margin),
    )


def endpoint_sentence(estimate: Estimate, settings: ComparisonSettings) -> str:
    """What the answers of endpoints are expected to take, before the first is asked; "" where no arm asks one."""
    hosted = {arm.id for arm in settings.arm_specs if is_hosted(arm, settings)}
    stages = [stage for stage in estimate.stages if stage.arm.partition(" (seed")[0] in hosted]
    if not stages:
        return ""
    tokens = sum(stage.input_tokens for stage in stages), sum(stage.output_tokens for stage in stages)
    amounts = [stage.usd for stage in stages if stage.usd is not None]
    price = f"about {usd(sum(amounts))}" if amounts else "a price that is not known"
    unknown = {stage.arm for stage in stages if stage.usd is None}
    but = f", without {', '.join(sorted(unknown))}, which has no price" if unknown and amounts else ""
    limit = "no limit is set (--max-spend-usd)"
    if settings.max_spend_usd is not None:
        limit = f"it stops at {usd(settings.max_spend_usd)}"
    return (
        f"Endpoints are asked for {price}{but}: about {tokens[0]:,} tokens in and {tokens[1]:,} out, estimated before "
        f"the first question; {limit}."
    )


def _power(dataset: Dataset, margin: float) -> PowerEstimate | None:
    test = dataset.split(Split.TEST)
    if not test:
        return None
    n_clusters = len({dataset.cluster_of(example) for example in test})
    expected = expected_power(len(test), n_clusters, margin)
    return PowerEstimate(n_questions=len(test), n_clusters=n_clusters, **asdict(expected))


def remaining_s(estimate: Estimate, progress: Sequence[StageProgress], elapsed_s: float) -> float | None:
    """Seconds until the end, by how far the stages are and how long they took; None once there is nothing to go by."""
    total = sum(stage.time_s for stage in estimate.stages)
    if total <= 0:
        return None
    shares = {(one.stage, one.arm): one.done / one.total if one.total else 1.0 for one in progress}
    reached = max((i for i, stage in enumerate(estimate.stages) if (stage.stage, stage.arm) in shares), default=-1)
    done = 0.0
    for i, stage in enumerate(estimate.stages):
        # A stage that was never told of and lies behind was taken over from an earlier comparison.
        done += stage.time_s * shares.get((stage.stage, stage.arm), 1.0 if i < reached else 0.0)
    fraction = min(1.0, done / total)
    if fraction >= 0.05:
        return elapsed_s * (1 - fraction) / fraction
    return max(0.0, estimate.time_s - elapsed_s)


def _stages(
    settings: ComparisonSettings, dataset: Dataset, prices: PriceList, speeds: Mapping[str, Speeds]
) -> list[StageEstimate]:
    # The embedder is the same whatever the model.
    embedding = next((one for one in speeds.values() if one.embedded_s(1.0)[1]), Speeds(settings.model))
    test, train = dataset.split(Split.TEST), dataset.split(Split.TRAIN)
    question = _mean_tokens([example.asked for example in test])
    answer = _mean_tokens([example.answers[0] for example in dataset.examples if example.answers]) or 1.0
    document = _mean_tokens([one.text for one in dataset.documents])
    corpus = len(dataset.documents) * document
    shared_reading, passages = _passages(settings, len(dataset.documents), document, len(test))
    prompts = _prompts(settings, dataset, question, answer, passages, document)
    is_constrained = settings.constrain is Constrain.AUTO and constraint_of(dataset) is not None
    chosen_share = _chosen_share(settings, dataset.card)
    longest = dataset.card.max_output_tokens
    embeds = {arm.name for arm in ARMS if arm.retrieves or arm.embeds_questions}
    embeds_train = next((arm.id for arm in settings.arm_specs if arm.row.embeds_questions), None)
    train_tokens = len(train) * _mean_tokens([example.asked for example in train])
    stages: list[StageEstimate] = []

    def add_answers(
        arm: ArmSpec, n_questions: int, *, stage: str = "answer", label: str = "", to_embed: float = 0.0
    ) -> None:
        kind, model = arm.kind, settings.model_of(arm)
        priced = tuned_name(model) if kind in ARM_KINDS and settings.is_tuned_at_provider(arm) else model
        embedding_tokens = to_embed + (n_questions * question if kind in embeds else 0.0)
        if kind == "answers":
            return
        if kind == "external":
            stages.append(_external_stage(stage, label or arm.id, n_questions))
            return
        if kind in ARM_KINDS and not ARM_KINDS[kind].generates:
            stages.append(_embedding_stage(settings, stage, label or arm.id, embedding_tokens, prices, embedding))
            return
        # Only training, or a form, teaches a model to stop where the answer ends; what form brings is tried by halves.
        free = 0.5 if stage == "form" else float(not is_constrained)
        tuned = kind in ARM_KINDS and ARM_KINDS[kind].tuned
        ended = min(longest, answer + END_TOKENS)
        written = ended if tuned else ended + free * (longest - ended) / 2
        retrieves = kind in ARM_KINDS and ARM_KINDS[kind].retrieves
        prompt = prompts[kind]
        whole = prompt.shared + prompt.own
        work = Work(prompt.own - retrieves * shared_reading, written, whole, chosen_share * written)
        each_s, is_measured = speeds[model].answer_s(kind, work, alone=stage == "latency")
        input_tokens, output_tokens = n_questions * whole, n_questions * written
        seconds = n_questions * each_s
        stages.append(
            StageEstimate(
                stage=stage,
                arm=label or arm.id,
                time_s=seconds,
                input_tokens=round(input_tokens),
                output_tokens=round(output_tokens),
                embedding_tokens=round(embedding_tokens),
                usd=_sum(
                    [
                        _answer_usd(priced, input_tokens, output_tokens, seconds, prices),
                        prices.embedding_usd(settings.embedder, embedding_tokens),
                    ]
                ),
                basis=_basis(speeds[model], is_measured),
            )
        )

    for arm in settings.arm_specs:
        told = {(stage.stage, stage.arm) for stage in stages}
        row = arm.row
        if row.retrieves and ("index", "") not in told:
            stages.append(_embedding_stage(settings, "index", "", corpus, prices, embedding))
        seeds = list(settings.seeds) if row.tuned and not settings.is_tuned_at_provider(arm) else []
        for seed in seeds:
            model = settings.model_of(arm)
            label = settings.training_label((model, row.trains_on, seed))
            if ("tune", label) not in told:
                read = question + (row.trains_on != "questions") * passages
                rows = len(train) * (prompts["base"].shared + read + answer)
                rows += corpus if settings.tune_on is TuneOn.QUESTIONS_AND_DOCUMENTS else 0.0
                epochs = settings.epochs(dataset.card.task, row.trains_on)
                n_trainings = (settings.search or 1) if seed == settings.seed else 1
                stages.append(_tune_stage(label, rows * epochs * n_trainings, prices, speeds[model]))
        # Training questions are embedded once, for the first arm that looks among them.
        to_embed = train_tokens if arm.id == embeds_train else 0.0
        labels = [answers_label(arm.id, seed) for seed in seeds] if len(seeds) > 1 else [arm.id]
        for label in labels:
            add_answers(arm, len(test), label=label, to_embed=to_embed)
    has_gold = any(example.document_ids for example in test)
    if settings.models and dataset.card.task is Task.QUESTION_ANSWERING and has_gold:
        add_answers(settings.arm("oracle-context"), len(test))
    n_validation = min(FORM_QUESTIONS, len(dataset.split(Split.VALIDATION)))
    if is_constrained and n_validation:
        for arm in settings.arm_specs:
            if arm.row.generates:
                add_answers(arm, 2 * n_validation, stage="form")
    n_before = len(stages)
    for arm in settings.arm_specs:
        add_answers(arm, min(LATENCY_QUESTIONS + LATENCY_WARM_UP, len(test)), stage="latency")
    # Arms are timed in turn.
    together = [_together(stages[n_before:])] if stages[n_before:] else []
    start, end = (
        # Charged to no arm.
        StageEstimate(stage=stage, arm="", time_s=seconds, usd=0.0, basis=ALWAYS)
        for stage, seconds in (("load", START_S), ("report", END_S))
    )
    return [start, *stages[:n_before], *together, end]


def _passages(settings: ComparisonSettings, n_documents: int, document: float, n_questions: int) -> tuple[float, float]:
    """Tokens of the passages in a prompt: those not read again, since another question found the same, and all."""
    if not document:
        return 0.0, 0.0
    n_chunks = ceil(document / settings.chunk_tokens)
    passage = document / n_chunks
    # Only a common beginning is read once: the first passage.
    shared = max(0.0, 1 - n_chunks * n_documents / n_questions) if n_questions else 0.0
    return shared * passage, min(settings.top_k, n_chunks * n_documents) * passage


def _prompts(
    settings: ComparisonSettings, dataset: Dataset, question: float, answer: float, passages: float, document: float
) -> dict[str, _Prompt]:
    instruction = _tokens(dataset.card.instruction) + PROMPT_TOKENS
    examples = settings.n_shots * (question + answer + MESSAGE_TOKENS)
    found = {"oracle-context": _Prompt(instruction, question + min(document, MAX_CONTEXT_TOKENS))}
    for arm in ARMS:
        own = question + arm.retrieves * passages
        is_fixed = arm.shows_examples and not arm.embeds_questions
        shown = arm.shows_examples * examples
        found[arm.name] = _Prompt(instruction + is_fixed * shown, own + (not is_fixed) * shown)
    return found


def _basis(speeds: Speeds, is_measured: bool) -> str:
    return f"measured in {speeds.source}" if is_measured else "guess"


def _together(stages: Sequence[StageEstimate]) -> StageEstimate:
    """One stage of what several arms do in turn."""
    return StageEstimate(
        stage=stages[0].stage,
        arm="",
        time_s=sum(stage.time_s for stage in stages),
        input_tokens=sum(stage.input_tokens for stage in stages),
        output_tokens=sum(stage.output_tokens for stage in stages),
        embedding_tokens=sum(stage.embedding_tokens for stage in stages),
        usd=_sum([stage.usd for stage in stages]),
        basis=max((stage.basis for stage in stages), key=lambda basis: basis.startswith("guess")),
    )


def _sum(amounts: Sequence[float | None]) -> float | None:
    """None where one is not known."""
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def _embedding_stage(
    settings: ComparisonSettings, stage: str, arm: str, n_tokens: float, prices: PriceList, speeds: Speeds
) -> StageEstimate:
    seconds, is_measured = speeds.embedded_s(n_tokens)
    is_hosted = settings.embedder.startswith("openai:")
    return StageEstimate(
        stage=stage,
        arm=arm,
        time_s=seconds,
        embedding_tokens=round(n_tokens),
        usd=prices.embedding_usd(settings.embedder, n_tokens) if is_hosted else _machine_usd(seconds, prices),
        basis=_basis(speeds, is_measured),
    )


def _external_stage(stage: str, arm: str, n_questions: int) -> StageEstimate:
    return StageEstimate(
        stage=stage, arm=arm, time_s=n_questions * HOSTED_S, usd=None, basis="guess; its prices are not known"
    )


def _tune_stage(label: str, tokens: float, prices: PriceList, speeds: Speeds) -> StageEstimate:
    seconds, is_measured = speeds.trained_s(tokens)
    return StageEstimate(
        stage="tune",
        arm=label,
        time_s=seconds,
        input_tokens=round(tokens),
        usd=_machine_usd(seconds, prices),
        basis=_basis(speeds, is_measured) + "; training stops early where it can",
    )


def _answer_usd(
    model: str, input_tokens: float, output_tokens: float, seconds: float, prices: PriceList
) -> float | None:
    if not model.startswith("openai:"):
        return _machine_usd(seconds, prices)
    price = prices.models.get(priced_name(model))
    if price is None:
        return None
    usd = input_tokens * price.usd_per_million_input_tokens + output_tokens * price.usd_per_million_output_tokens
    return usd / 1e6


def _machine_usd(seconds: float, prices: PriceList) -> float | None:
    # Whether there is a GPU is not known before torch is loaded; the price of the CPU machine is said in the basis.
    machine = prices.machines.get("cpu")
    return seconds / 3600 * machine.usd_per_hour if machine else None


def _tokens(text: str) -> float:
    """As vocabularies of some 50,000 split text: short words whole, digits one by one, signs in pairs."""
    return sum(map(_piece_tokens, _PIECES.findall(text)))


def _piece_tokens(piece: str) -> float:
    n_bytes = len(piece.encode("utf-8", "replace"))
    if not piece[0].isalpha():
        return max(1.0, len(piece) / 2)
    if n_bytes > len(piece):
        return n_bytes / 3
    return max(1.0, 1 + (n_bytes - LETTERS_IN_A_TOKEN) / (LETTERS_IN_A_TOKEN - 1))


def _mean_tokens(texts: Sequence[str]) -> float:
    counted = texts[:: max(1, len(texts) // TEXTS_COUNTED)]
    return fmean(map(_tokens, counted)) if counted else 0.0


def _chosen_share(settings: ComparisonSettings, card: DatasetCard) -> float:
    is_record = settings.constrain is Constrain.AUTO and card.task is Task.EXTRACTION and card.schema is not None
    return CHOSEN_OF_JSON if is_record else 1.0


def _speeds(engine: Engine, model: str, dataset: str) -> Speeds:
    """By the newest finished comparison with that model, on this dataset if there is one."""
    query = (
        select(comparisons.c.id, comparisons.c.dataset, comparisons.c.settings)
        .where(IS_COMPARISON, comparisons.c.state == ComparisonState.SUCCEEDED)
        .order_by(comparisons.c.finished_at.desc())
        .limit(EARLIER_LOOKED_AT)
    )
    with engine.connect() as connection:
        rows = [(row.id, _as_run(row.dataset, row.settings)) for row in connection.execute(query)]
    alike = sorted((row for row in rows if model in row[1].models), key=lambda row: row[1].dataset != dataset)
    for comparison_id, settings in alike[:3]:
        if finished := readable_report(engine, comparison_id):
            own = [arm for arm in finished.arms if settings.model_of(settings.arm(arm.id)) == model]
            share = _chosen_share(settings, finished.card)
            return Speeds(model, comparison_id, {arm.kind: arm for arm in own}, share)
    return Speeds(model)


def _as_run(dataset: str, settings: str) -> ComparisonSettings:
    """Of a stored comparison; its files of prices and prior do not matter here, and may be gone."""
    return ComparisonSettings.from_json({**json.loads(settings), "dataset": dataset, "prices": None, "prior": None})
