"""Property tests draw the same examples in every run, so that a failure is always about the change at hand.

The comparison of the fixtures is realistic: five candidates, two references, three slices, unscored answers and hostile
text.
"""

import random
from dataclasses import fields, replace

import pytest
from hypothesis import settings

from advisor.data.dataset import DatasetCard, Slice, Task
from advisor.data.prompt import RetrievedChunk
from advisor.money.break_even import break_evens
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    AuditFinding,
    Comparison,
    ConstraintOutcome,
    CostEstimate,
    Flip,
    FlipMap,
    FlipPoint,
    Interval,
    LatencySummary,
    MetricSummary,
    NetValue,
    PairedDifference,
    QuestionRecord,
    Recommendation,
    Severity,
    Verdict,
)
from advisor.results.score import Score, unscored
from lm.completion import FinishReason, Usage

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</style></title><iframe srcdoc='x'>",
    "{{ 7*7 }}{% raw %}",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "@everyone see https://evil.example and www.evil.example #1",
    "a|b`c`\n\n# heading\n- item\n```\nfence",
    "]]><failure/>",
    "control \x00\x08\x1b[31m\ufffe and \u202ereversed",
    "$x$ $\\frac{1}{0}$",
)
BURMESE = "စက်ကို ဘယ်လိုပြန်စရမလဲ။"
ARABIC = "كيف أعيد تشغيل الجهاز؟"
EMOJI = "👩‍🔧 🔥 naïve"
SLICES = {Slice.SEEN_FACT: 120, Slice.UNSEEN_FACT: 110, Slice.UNANSWERABLE: 30}
QUALITY = {
    "base": (0.12, 0.10, 0.30),
    "few-shot": (0.18, 0.15, 0.43),
    "rag": (0.66, 0.64, 0.53),
    "fine-tuned": (0.58, 0.11, 0.07),
    "hybrid": (0.71, 0.63, 0.37),
    "majority": (0.04, 0.03, 0.0),
    "oracle-context": (0.91, 0.90, 0.60),
}
LABELS = {
    "base": "tiny-7m, question only",
    "few-shot": "tiny-7m + 5 examples",
    "rag": "tiny-7m + 4 retrieved passages",
    "fine-tuned": "tiny-7m tuned on 480 questions, 3 seeds",
    "hybrid": "tuned tiny-7m + 4 retrieved passages",
    "majority": "the most frequent training answer",
    "oracle-context": "tiny-7m + the right document",
}
REFERENCES = ("majority", "oracle-context")


def _interval(estimate: float, n: int) -> Interval:
    half = 1.96 * (max(estimate * (1 - estimate), 0.01) / n) ** 0.5
    return Interval(estimate, max(0.0, estimate - half), min(1.0, estimate + half), method="clustered bootstrap")


def _metrics(kind: str) -> tuple[MetricSummary, ...]:
    values = dict(zip(SLICES, QUALITY[kind], strict=True))
    missing = 3 if kind == "hybrid" else 0
    overall = 0.45 * values[Slice.SEEN_FACT] + 0.45 * values[Slice.UNSEEN_FACT] + 0.1 * values[Slice.UNANSWERABLE]
    summaries = [MetricSummary("exact_match", None, _interval(overall, 260), 260 - missing, 83, missing)]
    for part, n in SLICES.items():
        lost = missing if part is Slice.UNSEEN_FACT else 0
        summaries.append(MetricSummary("exact_match", part, _interval(values[part], n), n - lost, n // 3, lost))
    summaries.append(
        MetricSummary("token_f1", None, _interval(min(1.0, overall + 0.06), 260), 260 - missing, 83, missing)
    )
    summaries.append(MetricSummary("perplexity", None, Interval(12.3456, 11.0, 14.0), 260, 83, 0))
    if kind in ("rag", "hybrid"):
        summaries.append(MetricSummary("recall@5", None, _interval(0.84, 230), 230, 73, 0))
    if kind == "fine-tuned":
        summaries.append(MetricSummary("judge", None, None, 0, 0, 260))
    return tuple(summaries)


SERVE_USD = {"base": 2.1e-6, "few-shot": 4.5e-6, "rag": 9e-6, "fine-tuned": 3e-6, "hybrid": 9.6e-6}
VOLUME = 100_000.0


def _cost(kind: str) -> CostEstimate:
    """The spread of base was not measured."""
    serve = SERVE_USD[kind]
    index, training = 0.0003 * (kind in ("rag", "hybrid")), 0.0092 * (kind in ("fine-tuned", "hybrid"))
    refresh = index + 4 * training
    fixed = (index + training) / 12 + refresh
    spread = 0.1 * serve
    return CostEstimate(
        build_usd=index + training,
        serve_usd_per_query=serve,
        usd_per_correct_answer=serve / QUALITY[kind][0],
        refresh_usd_per_month=refresh,
        monthly_usd=fixed + serve * VOLUME,
        basis=f"own machine at 0.08 USD/h, fully used at {0.08 / 3600 / serve:.1f} questions/s",
        serve_interval=None if kind == "base" else Interval(serve, serve - spread, serve + spread),
        monthly_interval=None
        if kind == "base"
        else Interval(fixed + serve * VOLUME, fixed + 0.9 * serve * VOLUME, fixed + 1.1 * serve * VOLUME),
        fixed_usd_per_month=fixed,
        index_usd=index,
        training_usd=training,
        evaluation_usd=260 * serve,
        merged_serve_usd_per_query=0.8 * serve if training else None,
    )


def _flips() -> tuple[Flip, ...]:
    token_note = "No arm is paid by the token, or the price list has no price for it."
    return (
        Flip("queries_per_month", VOLUME, FlipPoint(3104.2, "few-shot"), FlipPoint(4.2e7, None), 0.0, 1e8),
        Flip("coverage", 0.5, None, FlipPoint(0.8126, "fine-tuned"), 0.0, 1.0),
        Flip("usd_per_million_input_tokens", None, None, None, 1e-4, 1e3, token_note),
        Flip("usd_per_million_output_tokens", None, None, None, 1e-4, 1e3, token_note),
        Flip("machine_usd_per_hour", 0.08, FlipPoint(0.0, "hybrid"), None, 0.0, 1e3),
        Flip("refreshes_per_month", 1.0, None, None, 0.0, 1e4),
        Flip("margin", 0.02, FlipPoint(0.0117, "hybrid"), FlipPoint(0.31, "base"), 0.0, 0.5),
        Flip("right_answer_usd", None, FlipPoint(0.00002, "base"), None, 0.0, 1e3),
    )


def _flip_map() -> FlipMap:
    volumes = tuple(VOLUME * 10 ** (step / 2) for step in range(-6, 7))
    shares = tuple(step / 10 for step in range(11))

    def named(volume: float, share: float) -> str | None:
        if share > 0.81:
            return "fine-tuned"
        return None if volume > 4.2e7 else "few-shot" if volume < 3104 else "rag"

    rows = tuple(tuple(named(volume, share) for volume in volumes) for share in shares)
    return FlipMap("queries_per_month", volumes, VOLUME, "coverage", shares, 0.5, rows)


def _constraints() -> tuple[ConstraintOutcome, ...]:
    """Met by all but base, whose wait is unknown, and fine-tuned, which hardly ever declines."""
    outcomes = []
    for kind in SERVE_USD:
        wait = 0.42 if kind in ("rag", "hybrid") else 0.21
        message = f"p95 latency is {wait} s, at most 0.5 s is allowed"
        if kind == "base":
            message = "p95 latency must be at most 0.5 s and is unknown"
        unknown = kind == "base"
        outcomes.append(
            ConstraintOutcome(
                kind, "max_p95_latency_s", None if unknown else True, 0.5, None if unknown else wait, message
            )
        )
        recall = QUALITY[kind][2]
        message = f"it declines {recall:.1%} of unanswerable questions, at least 10.0% is asked"
        if recall < 0.1:
            message += f": {100 * (0.1 - recall):.1f} points too few"
        outcomes.append(ConstraintOutcome(kind, "min_abstention_recall", recall >= 0.1, 0.1, recall, message))
    return tuple(outcomes)


def _net_value(kind: str) -> NetValue:
    worth = QUALITY[kind][0] * 0.00005
    spent = _cost(kind).monthly_usd
    monthly = Interval(worth * VOLUME - spent, 0.8 * worth * VOLUME - spent, 1.2 * worth * VOLUME - spent)
    return NetValue(kind, Interval(worth, 0.8 * worth, 1.2 * worth), monthly)


def _arm(kind: str) -> ArmSummary:
    reference = kind in REFERENCES
    retrieves = kind in ("rag", "hybrid", "oracle-context")
    tuned = kind in ("fine-tuned", "hybrid")
    tokens_in = 410 if retrieves else 190 if kind == "few-shot" else 38
    return ArmSummary(
        kind=kind,
        role=ArmRole.REFERENCE if reference else ArmRole.CANDIDATE,
        label=LABELS[kind],
        metrics=_metrics(kind),
        usage_per_question=Usage(tokens_in, 9, 21 if retrieves else 0, 0.031 + 0.02 * retrieves),
        throughput_per_s=31.4159 / (1 + retrieves),
        build_usage=BuildUsage(
            412.5 * tuned + 14.2 * retrieves, 400.0 * tuned, 91_000 * tuned, 50_000 * retrieves, "cpu"
        ),
        latency=None
        if kind in ("base", "majority")
        else LatencySummary(0.084 * (1 + retrieves), 0.21 * (1 + retrieves), 50, 1),
        cost=None if reference else _cost(kind),
        n_questions=260,
        n_length_stopped=4 if kind == "base" else 0,
    )


def _difference(first: str, second: str, estimate: float, half: float, p: float) -> PairedDifference:
    interval = Interval(estimate, estimate - half, estimate + half, method="paired bootstrap")
    return PairedDifference(
        "exact_match", first, second, interval, p / 2, p, "clustered paired bootstrap", 257, 83, 3 * ("hybrid" in first)
    )


def make_records(n_per_slice: dict[Slice, int], seed: int = 7) -> list[QuestionRecord]:
    """Records of every arm for that many questions a slice, with hostile and many-scripted text among them."""
    random_numbers = random.Random(seed)
    texts = [*HOSTILE, BURMESE, ARABIC, EMOJI]
    records = []
    for part, n in n_per_slice.items():
        for index in range(n):
            text = texts[index % len(texts)] if index % 3 == 0 else f"How do I clear error E{index} on the washer?"
            example_id = f"{part.value}-{index:04d}"
            references = () if part is Slice.UNANSWERABLE else (f"hold start for {index} seconds", "restart")
            for kind, quality in QUALITY.items():
                right = random_numbers.random() < quality[list(SLICES).index(part)]
                lost = kind == "hybrid" and part is Slice.UNSEEN_FACT and index < 3
                score = unscored("the judge gave no number") if lost else Score(1.0 if right else 0.0)
                answer = (references or ("I do not know",))[0] if right else f"{text} wrong"
                passage = RetrievedChunk("c-1", "d-1", f"Manual {text}", text, 0.7123456789, used=index % 2 == 0)
                records.append(
                    QuestionRecord(
                        arm=kind,
                        example_id=example_id,
                        question=text,
                        references=references,
                        gold_document_ids=() if part is Slice.UNANSWERABLE else ("d-1",),
                        slice=part,
                        group=f"fact-{index}",
                        cluster=f"d-{index % 7}",
                        answer=Answer(
                            "" if lost else answer,
                            Usage(38, 9, 0, 0.031),
                            FinishReason.STOP,
                            (passage,) if kind in ("rag", "hybrid") else (),
                            "ab" * 32,
                        ),
                        scores={"exact_match": score, "token_f1": Score(0.5)},
                        failure="" if right or lost else "retrieved but ignored" if kind == "rag" else "fabricated",
                    )
                )
    return records


@pytest.fixture(scope="session")
def records() -> list[QuestionRecord]:
    return make_records(SLICES)


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    return make_comparison()


@pytest.fixture(scope="session")
def old_comparison(comparison: Comparison) -> Comparison:
    """As it was written before anything said what would change the verdict."""
    later = ("serve_interval", "monthly_interval", "fixed_usd_per_month", "index_usd", "training_usd")
    later += ("evaluation_usd", "merged_serve_usd_per_query")
    unset = {field.name: field.default for field in fields(CostEstimate) if field.name in later}
    arms = tuple(replace(arm, cost=replace(arm.cost, **unset) if arm.cost else None) for arm in comparison.arms)
    return replace(comparison, arms=arms, break_evens=(), net_values=(), constraints=(), flips=(), flip_map=None)


@pytest.fixture(scope="session")
def hostile_comparison(comparison: Comparison) -> Comparison:
    """Every free text of a comparison holds hostile strings, the names of arms included."""
    assert comparison.flip_map is not None
    text = " ".join(HOSTILE)
    arms = tuple(
        replace(arm, id=HOSTILE[index % len(HOSTILE)] + arm.id, label=text) for index, arm in enumerate(comparison.arms)
    )
    renamed = {old.id: new.id for old, new in zip(comparison.arms, arms, strict=True)}
    return replace(
        comparison,
        id=text,
        card=replace(comparison.card, name=text, description=text, licence=text),
        model=text,
        arms=arms,
        differences=tuple(
            replace(d, first=renamed[d.first], second=renamed[d.second], test=text) for d in comparison.differences
        ),
        findings=tuple(replace(f, check=text, message=text, remedy=text, items=HOSTILE) for f in comparison.findings),
        recommendation=replace(
            comparison.recommendation,
            arm=renamed["rag"],
            headline=text,
            reasons=HOSTILE,
            probability_best={
                renamed[kind]: share for kind, share in comparison.recommendation.probability_best.items()
            },
        ),
        settings={text: text, "training_curves": {text: comparison.settings["training_curves"]["hybrid"]}},
        hashes={text: text},
        versions={text: text},
        prices_as_of=text,
        prices_source=text,
        break_evens=tuple(
            replace(
                pair,
                first=renamed[pair.first],
                second=renamed[pair.second],
                cheaper_below=renamed[pair.cheaper_below],
                cheaper_above=renamed[pair.cheaper_above],
            )
            for pair in comparison.break_evens
        ),
        net_values=tuple(replace(value, arm=renamed[value.arm]) for value in comparison.net_values),
        constraints=tuple(
            replace(outcome, arm=renamed[outcome.arm], constraint=HOSTILE[index % 2] + outcome.constraint, message=text)
            for index, outcome in enumerate(comparison.constraints)
        ),
        flips=tuple(
            replace(
                flip,
                axis=flip.axis if index % 2 else HOSTILE[index] + flip.axis,
                note=flip.note and text,
                below=flip.below and replace(flip.below, arm=renamed.get(flip.below.arm or "")),
                above=flip.above and replace(flip.above, arm=renamed.get(flip.above.arm or "")),
            )
            for index, flip in enumerate(comparison.flips)
        ),
        flip_map=replace(
            comparison.flip_map,
            x_axis=text,
            arms=tuple(tuple(renamed.get(arm or "") for arm in row) for row in comparison.flip_map.arms),
        ),
    )


@pytest.fixture(scope="session")
def hostile_records(
    comparison: Comparison, hostile_comparison: Comparison, records: list[QuestionRecord]
) -> list[QuestionRecord]:
    """The records of `hostile_comparison`."""
    renamed = {old.id: new.id for old, new in zip(comparison.arms, hostile_comparison.arms, strict=True)}
    text = " ".join(HOSTILE)
    return [
        replace(record, arm=renamed[record.arm], example_id=text + record.example_id, failure=record.failure and text)
        for record in records
    ]


def make_comparison() -> Comparison:
    return Comparison(
        id="appliance-support-3f9a",
        created_at="2026-03-01T12:00:00Z",
        card=DatasetCard(
            name="appliance-support",
            task=Task.QUESTION_ANSWERING,
            language="en",
            licence="CC-BY-4.0",
            metrics=("exact_match", "token_f1"),
            description="Questions on washing machines",
            instruction="Answer in a few words.",
            schema={"type": "string"},
        ),
        dataset_hash="9f" * 32,
        n_documents=412,
        split_sizes={"train": 480, "validation": 96, "test": 260},
        slice_sizes={part.value: n for part, n in SLICES.items()},
        model="tiny-7m",
        arms=tuple(_arm(kind) for kind in QUALITY),
        differences=(
            _difference("rag", "base", 0.49, 0.07, 0.0002),
            _difference("rag", "few-shot", 0.44, 0.07, 0.0002),
            _difference("rag", "fine-tuned", 0.31, 0.08, 0.0004),
            _difference("hybrid", "rag", 0.012, 0.05, 0.61),
            _difference("oracle-context", "rag", 0.26, 0.06, 0.0002),
            _difference("hybrid", "fine-tuned", 0.32, 0.08, 0.0004),
        ),
        recommendation=Recommendation(
            verdict=Verdict.NO_CLEAR_WINNER,
            arm="rag",
            headline="No clear winner between hybrid and rag: ship rag, the cheaper of the two.",
            reasons=(
                "rag is 31.0 points above fine-tuned on the same questions, far beyond the margin of 2.0.",
                "hybrid scores 1.2 points higher than rag, which chance alone could explain.",
                "rag costs less to keep fresh: a changed document is re-indexed in seconds.",
            ),
            metric="exact_match",
            margin=0.02,
            coverage=0.5,
            slice_weights={"seen-fact": 0.45, "unseen-fact": 0.45, "unanswerable": 0.1},
            probability_best={"hybrid": 0.68, "rag": 0.319, "fine-tuned": 0.001, "few-shot": 0.0, "base": 0.0},
            minimum_detectable_effect=0.062,
            questions_needed=4100,
            leader="hybrid",
        ),
        findings=(
            AuditFinding(
                "power",
                Severity.WARN,
                "The test set cannot see the declared margin of 2.0 points.",
                "Add about 3,800 test questions, or declare a wider margin.",
            ),
            AuditFinding(
                "abstention",
                Severity.WARN,
                "fine-tuned answers 93 % of the questions that no document answers.",
                "Add refusals to the training questions.",
                tuple(f"unanswerable-{index:04d}" for index in range(12)),
            ),
            AuditFinding("judge", Severity.NOTE, "No judge was used.", ""),
        ),
        settings={
            "traffic": {"queries_per_month": VOLUME, "refreshes_per_month": 1.0},
            "decoding": {"temperature": 0.0, "max_output_tokens": 32, "stop": ["\n"]},
            "retrieval": {"top_k": 4, "chunk_tokens": 128},
            "tune_on": "questions",
            "seeds": [1, 2, 3],
            "race": None,
            "training_curves": {
                kind: [
                    {"epoch": epoch, "train_loss": 2.4 / epoch + shift, "validation_loss": 2.3 / epoch + 0.05 * epoch}
                    for epoch in range(1, 7)
                ]
                for kind, shift in (("fine-tuned", 0.1), ("hybrid", 0.2))
            },
        },
        hashes={"dataset": "9f" * 32, "model": "1c" * 32, "prices": "77" * 32, "index": "d0" * 32},
        versions={"tuning-fork": "0.1.0", "torch": "2.13.0", "numpy": "2.4.1"},
        prices_as_of="2026-02-15",
        prices_source="https://prices.example/list",
        wall_s=1834.2,
        break_evens=break_evens({kind: _cost(kind) for kind in SERVE_USD}),
        net_values=tuple(_net_value(kind) for kind in SERVE_USD),
        constraints=_constraints(),
        flips=_flips(),
        flip_map=_flip_map(),
    )
