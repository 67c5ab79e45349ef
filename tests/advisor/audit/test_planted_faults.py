"""Faults planted one at a time in a clean dataset or a clean run: each is found and named, the clean twin is not."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pytest

from advisor.audit.abilities import audit_lost_abstention, audit_off_domain
from advisor.audit.answers import audit_answers
from advisor.audit.arms import audit_arms, audit_model_ends
from advisor.audit.check import Check
from advisor.audit.dataset.audit import audit_dataset
from advisor.audit.fairness import ArmSetup, audit_fairness
from advisor.audit.form import audit_form, audit_output_room
from advisor.audit.judge import (
    Agreement,
    LabelNeeds,
    ModelIdentity,
    audit_judge,
    audit_labels,
    measure_agreement,
)
from advisor.audit.outside import audit_outside
from advisor.audit.retrieval import audit_index, audit_passages
from advisor.audit.training import EpochLoss, TrainingLog, audit_training
from advisor.audit.unknown_tokens import UnknownTokens, audit_unknown_tokens
from advisor.audit.verdict import audit_other_metrics, audit_power
from advisor.data.dataset import (
    Dataset,
    DatasetCard,
    Document,
    Example,
    Slice,
    Split,
    Task,
    UnreadField,
    hash_documents,
)
from advisor.data.prompt import RetrievedChunk
from advisor.decision.recommendation import DecisionRule
from advisor.money.prices import ModelPrice, PriceList
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    AuditFinding,
    Interval,
    MetricSummary,
    MetricVerdict,
    QuestionRecord,
    Recommendation,
    Severity,
    Verdict,
)
from advisor.results.score import Score, unscored
from benchmarks.simulations.replays import recommended as recommend
from lm.completion import FinishReason, GenerationConfig, Usage
from lm.constraint import OneOf

# ---- The clean datasets -------------------------------------------------------------------------------------------

N_FACTS = 60
_COLOURS = ("amber", "beige", "crimson", "dun", "ebony", "fawn", "green", "hazel", "indigo", "jade")
_THINGS = ("lamp", "chair", "table", "shelf", "stool", "bench")


def thing(i: int) -> str:
    return f"{_COLOURS[i % 10]} {_THINGS[i // 10]}"


def year(i: int) -> str:
    return str(1901 + i)


FACTS = Dataset(
    DatasetCard("furniture", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "", "Answer in a few words."),
    tuple(Document(f"d{i}", "", f"The {thing(i)} is sold with a cloth. It was made in {year(i)}.") for i in range(60)),
    tuple(
        example
        for i in range(N_FACTS)
        for example in (
            *(
                Example(f"a{i}", f"In what year was the {thing(i)} made?", (year(i),), (f"d{i}",), f"g{i}", split)
                for split in (Split.TRAIN,)
                if i % 2
            ),
            Example(f"t{i}", f"How old is our {thing(i)}, by year?", (year(i),), (f"d{i}",), f"g{i}", Split.TEST),
        )
    ),
)

_MESSAGES = ("The bill for {} is wrong.", "How do I send {} back to you?", "Where is my parcel with {}?")
_LABELS = ("billing", "return", "delivery")
LABELS = Dataset(
    replace(FACTS.card, name="desk", task=Task.CLASSIFICATION, metrics=("accuracy",)),
    (Document("rules", "", "What the label of a message is and how it is found."),),
    tuple(
        Example(
            f"m{i}",
            _MESSAGES[i % 3].format(f"the {thing(i)} of order {700 + i}"),
            (_LABELS[i % 3],),
            ("rules",),
            f"c{i}",
            Split.TEST if i % 4 < 2 else Split.TRAIN,
        )
        for i in range(N_FACTS)
    ),
)

RECORDS = Dataset(
    replace(FACTS.card, name="claims", task=Task.EXTRACTION, metrics=("json_exact",)),
    (Document("guide", "", "How a record of a claim is made from what the caller says of it."),),
    tuple(
        Example(
            f"r{i}",
            f"My {thing(i)} was hit by a falling pan, the repair is {100 + 7 * i} euros, policy HM-{4000 + i}.",
            (json.dumps({"item": thing(i), "amount": 100 + 7 * i, "policy": f"HM-{4000 + i}"}),),
            ("guide",),
            f"c{i}",
            Split.TEST if i % 2 else Split.TRAIN,
        )
        for i in range(N_FACTS)
    ),
)


def changed(dataset: Dataset, change: Callable[[Example], Example], *, only: Split | None = None) -> Dataset:
    examples = tuple(change(e) if only is None or e.split is only else e for e in dataset.examples)
    return replace(dataset, examples=examples)


def added(dataset: Dataset, *examples: Example) -> Dataset:
    return replace(dataset, examples=dataset.examples + examples)


def of(dataset: Dataset, example_id: str) -> Example:
    return next(example for example in dataset.examples if example.id == example_id)


def with_shifted_answers(dataset: Dataset) -> Dataset:
    """Answers slid by two rows against their questions, as when two tables are joined badly."""
    answers = [example.answers for example in dataset.examples]
    shifted = answers[2:] + answers[:2]
    return replace(
        dataset,
        examples=tuple(replace(e, answers=own) for e, own in zip(dataset.examples, shifted, strict=True)),
    )


def in_german(example: Example) -> Example:
    return replace(example, question=f"In welchem Jahr ist der Entwurf für {example.id} von uns gemacht worden?")


# ---- The clean run -------------------------------------------------------------------------------------------------


def chunk(document: Document, *, used: bool = True) -> RetrievedChunk:
    return RetrievedChunk(f"{document.id}#0", document.id, "", document.text, 0.9, used)


def said(text: str, example: Example, *chunks: RetrievedChunk, score: Score | None = None) -> QuestionRecord:
    answer = Answer(text, Usage(20, 3, 0, 0.01), FinishReason.STOP, chunks, "")
    right = Score(float(text in example.answers))
    return QuestionRecord(
        "arm",
        example.id,
        example.question,
        example.answers,
        example.document_ids,
        FACTS.slice_of(example),
        example.group,
        FACTS.cluster_of(example),
        answer,
        {"exact_match": score or right},
    )


TEST = FACTS.split(Split.TEST)
RIGHT = [said(e.answers[0], e) for e in TEST]
READ = [said(e.answers[0], e, chunk(FACTS.documents[i])) for i, e in enumerate(TEST)]
UNANSWERABLE = [Example(f"u{i}", f"Who sat on the {thing(i)}?", (), (), f"u{i}", Split.TEST) for i in range(20)]
DECLINED = [said("I don't know.", e) for e in UNANSWERABLE]
PAIRS = (("fine-tuned", "base"), ("raft", "rag"))
MADE_UP = [said(f"Queen {i}", e) for i, e in enumerate(UNANSWERABLE)]


def without_passages(records: Iterable[QuestionRecord]) -> list[QuestionRecord]:
    return [replace(record, answer=replace(record.answer, retrieved=())) for record in records]


def unknown_tokens(share: float) -> UnknownTokens:
    return UnknownTokens("embedder", "small", {"documents": share}, "Use words.")


def setup(arm: str, **changes: object) -> ArmSetup:
    decoding = GenerationConfig(max_output_tokens=24)
    return replace(
        ArmSetup(arm, arm, "small", "Answer in a few words.", decoding, "small, float32", "f" * 64), **changes
    )


SETUPS = [setup(arm) for arm in ("base", "few-shot", "rag", "fine-tuned", "hybrid")]


def audit_odd_arm(**changes: object) -> list[AuditFinding]:
    return audit_fairness([*SETUPS[:-1], setup("hybrid", **changes)])


def log(validation: Sequence[float | None], train: Sequence[float] | None = None, **changes: object) -> TrainingLog:
    losses = train or [2.0 - 0.1 * i for i in range(len(validation))]
    epochs = [EpochLoss(*pair) for pair in zip(losses, validation, strict=True)]
    known = [loss if loss is not None else 9.0 - i for i, loss in enumerate(validation)]
    best = known.index(min(known)) + 1
    return replace(TrainingLog("fine-tuned", 400, (), epochs, best, 20), **changes)


CLEAN_LOG = log([1.0, 0.8, 0.75, 0.76, 0.79, 0.82])


def summary(metric: str, estimate: float, part: Slice | None = None, n_unscored: int = 0) -> MetricSummary:
    return MetricSummary(
        metric, part, Interval(estimate, estimate - 0.05, estimate + 0.05), 100 - n_unscored, 50, n_unscored
    )


def arm(kind: str, *metrics: MetricSummary, n_length_stopped: int = 0) -> ArmSummary:
    role = ArmRole.REFERENCE if kind in ("majority", "oracle-context") else ArmRole.CANDIDATE
    return ArmSummary(kind, role, "", metrics, Usage(), 1.0, BuildUsage(), None, None, 100, n_length_stopped)


ARMS = [
    arm("base", summary("exact_match", 0.1), summary("exact_match", 0.1, Slice.UNSEEN_FACT)),
    arm("rag", summary("exact_match", 0.7), summary("recall@3", 0.9)),
    arm("oracle-context", summary("exact_match", 0.9)),
]


def audit_of(arms: list[ArmSummary]) -> list[AuditFinding]:
    return audit_arms(arms, {}, FACTS, "exact_match", held_to_form=False)


def audit_changed_arms(*replaced: ArmSummary) -> list[AuditFinding]:
    kinds = {one.kind for one in replaced}
    return audit_of([*replaced, *(one for one in ARMS if one.kind not in kinds)])


JUDGE = ModelIdentity("openai:gpt-5-mini", "judge")
CONTESTANT = ModelIdentity("hf:Qwen/Qwen3-0.6B", "contestant")
GRADED = {"faithfulness": measure_agreement([True, False] * 30, [0.9, 0.1] * 30)}
WRONGLY_GRADED = {"faithfulness": measure_agreement([True, False] * 30, [0.9, 0.1, 0.1, 0.9] * 15)}


FEW = LabelNeeds("faithfulness", {"rag": 40.0, "hybrid": 11.6}, raced=False)
ENOUGH = LabelNeeds("faithfulness", {"rag": 40.0, "hybrid": 30.0}, raced=False)


def judged(judge: ModelIdentity = JUDGE, agreements: dict[str, Agreement] = GRADED) -> list[AuditFinding]:
    return audit_judge(judge, [CONTESTANT], agreements, ["faithfulness"], FEW)


def blocking_labels(needs: LabelNeeds) -> list[AuditFinding]:
    return [finding for finding in audit_labels(needs) if finding.severity is BLOCK]


def recommended(verdict: Verdict, detectable: float) -> Recommendation:
    return Recommendation(verdict, "rag", "", (), "exact_match", 0.02, 0.5, {}, {}, detectable, 4000)


def by_metric(arm: str) -> MetricVerdict:
    lead = Interval(0.1, 0.05, 0.15)
    scores = {"hybrid": 0.4, "rag": 0.3}
    return MetricVerdict("token_f1", Verdict.WINNER, arm, arm != "rag", scores, "hybrid", "rag", lead)


def ending(day: str) -> PriceList:
    price = ModelPrice(1.0, 1.0, "2026-11-20", "s", shutdown_on=day, shutdown_source="the vendor")
    return PriceList("2026-11-20", "s", {}, {"m": price}, {})


# ---- The faults ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    name: str
    check: Check
    severity: Severity
    planted: Callable[[], list[AuditFinding]]
    clean: Callable[[], list[AuditFinding]]
    named: str = ""
    """What the finding must mention."""


def in_data(
    name: str, check: Check, severity: Severity, plant: Callable[[], Dataset], clean: Dataset = FACTS, named: str = ""
) -> Fault:
    return Fault(name, check, severity, lambda: audit_dataset(plant()), lambda: audit_dataset(clean), named)


def test_question(**changes: object) -> Example:
    return replace(of(FACTS, "t0"), id="planted", **changes)


test_question.__test__ = False  # type: ignore[attr-defined]

BLOCK, WARN, NOTE = Severity.BLOCK, Severity.WARN, Severity.NOTE
DATA_FAULTS = [
    in_data(
        "leaked question",
        Check.LEAKAGE,
        BLOCK,
        lambda: added(FACTS, replace(of(FACTS, "a1"), id="planted", split=Split.TEST)),
        named="planted ~ a1 (100% alike)",
    ),
    in_data(
        "trivially changed question",
        Check.LEAKAGE,
        BLOCK,
        lambda: added(
            FACTS,
            replace(of(FACTS, "a1"), id="planted", question="What year was the beige lamp made?", split=Split.TEST),
        ),
        named="planted ~ a1",
    ),
    in_data(
        "leaked paraphrase",
        Check.LEAKED_PARAPHRASE,
        BLOCK,
        lambda: added(
            FACTS,
            replace(
                of(FACTS, "a1"),
                id="planted",
                group="another",
                split=Split.TEST,
                question="The beige lamp was made in what year?",
            ),
        ),
        named="planted ~ a1",
    ),
    in_data(
        "leaked group",
        Check.LEAKED_GROUP,
        BLOCK,
        lambda: changed(LABELS, lambda e: replace(e, group="c2") if e.id == "m0" else e),
        LABELS,
        "c2",
    ),
    in_data("duplicate questions", Check.DUPLICATES, WARN, lambda: added(FACTS, test_question()), named="t0 = planted"),
    in_data(
        "one slice alone",
        Check.SLICES,
        NOTE,
        lambda: replace(FACTS, examples=tuple(e for e in FACTS.examples if e.split is Split.TEST)),
        named="seen-fact",
    ),
    in_data(
        "too few questions",
        Check.TOO_FEW_QUESTIONS,
        WARN,
        lambda: replace(FACTS, examples=FACTS.examples[:40]),
        named="27 test questions",
    ),
    in_data(
        "many questions on few documents",
        Check.TOO_FEW_QUESTIONS,
        WARN,
        lambda: changed(FACTS, lambda e: replace(e, document_ids=(f"d{int(e.id[1:]) % 5}",))),
        named="60 test questions on 5 documents",
    ),
    in_data(
        "swapped gold documents",
        Check.SWAPPED_GOLD,
        BLOCK,
        lambda: changed(FACTS, lambda e: replace(e, document_ids=(f"d{(int(e.id[1:]) + 7) % N_FACTS}",))),
        named="t0: found in d0",
    ),
    in_data("swapped answers", Check.SWAPPED_GOLD, BLOCK, lambda: with_shifted_answers(FACTS), named="found in"),
    in_data(
        "swapped records", Check.SWAPPED_GOLD, BLOCK, lambda: with_shifted_answers(RECORDS), RECORDS, "r0: found in r2"
    ),
    in_data(
        "a few swapped answers",
        Check.SWAPPED_GOLD,
        WARN,
        lambda: changed(
            FACTS, lambda e: replace(e, document_ids=("d3",)) if e.id in {f"t{i}" for i in range(4, 18)} else e
        ),
        named="14 of the 90",
    ),
    in_data(
        "chat marks in training rows",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: changed(FACTS, lambda e: replace(e, answers=(f"{e.answers[0]}<|im_end|>",)), only=Split.TRAIN),
        named="<|im_end|>",
    ),
    in_data(
        "unfilled template",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: added(FACTS, test_question(question="What do you say to {question}?")),
        named="{question}",
    ),
    in_data(
        "answers lost in a spreadsheet",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: added(FACTS, test_question(question="Who made it?", answers=("nan",))),
        named="'nan'",
    ),
    in_data(
        "unreadable text",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: added(FACTS, test_question(question="Is the caf\ufffd table old?")),
        named="U+FFFD",
    ),
    in_data(
        "records that are no JSON",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: changed(RECORDS, lambda e: replace(e, answers=(e.answers[0][:-1],)) if e.id == "r4" else e),
        RECORDS,
        "r4: its answer is not a JSON object",
    ),
    in_data(
        "one label in two spellings",
        Check.MALFORMED_ROWS,
        WARN,
        lambda: changed(LABELS, lambda e: replace(e, answers=("Billing",)) if e.id == "m3" else e),
        LABELS,
        "'Billing' and 'billing'",
    ),
    in_data(
        "a label that training never shows",
        Check.UNSHOWN_LABELS,
        WARN,
        lambda: changed(LABELS, lambda e: replace(e, answers=("praise",)) if e.id == "m5" else e, only=Split.TEST),
        LABELS,
        "praise",
    ),
    in_data(
        "answers that are refusals",
        Check.DECLINING_REFERENCES,
        WARN,
        lambda: added(
            FACTS,
            *(
                test_question(question=f"Who owns the {thing(i)}?", answers=(said,), document_ids=(), group=f"n{i}")
                for i, said in enumerate(("Insufficient information.", "N/A", "keine Angabe", "-", "Not known"))
            ),
        ),
        named="5",
    ),
    in_data(
        "refusals in any language",
        Check.DECLINING_REFERENCES,
        WARN,
        lambda: added(
            FACTS,
            *(
                test_question(
                    question=f"Who owns the {thing(i)}?", answers=("資料になし",), document_ids=(), group=f"n{i}"
                )
                for i in range(3)
            ),
        ),
        named="'資料になし'",
    ),
    in_data(
        "fields under other names",
        Check.UNREAD_FIELDS,
        WARN,
        lambda: replace(FACTS, unread_fields=(UnreadField("is_impossible", "answerable", 7),)),
        named="is_impossible, on 7 rows, looks like answerable",
    ),
    in_data(
        "no documents named",
        Check.NO_DOCUMENTS_NAMED,
        NOTE,
        lambda: changed(FACTS, lambda e: replace(e, document_ids=())),
    ),
    in_data(
        "training in another language",
        Check.LANGUAGES,
        WARN,
        lambda: changed(FACTS, in_german, only=Split.TRAIN),
        named="German: 0% of the test questions, 100% of the training questions",
    ),
    in_data(
        "documents in another script",
        Check.LANGUAGES,
        WARN,
        lambda: replace(
            FACTS,
            documents=tuple(
                replace(d, text=f"Лампа была сделана в {year(i)} году.") for i, d in enumerate(FACTS.documents)
            ),
        ),
        named="Cyrillic: 0% of the questions, 100% of the documents",
    ),
    in_data(
        "a document twice, but for a word",
        Check.DUPLICATE_DOCUMENTS,
        WARN,
        lambda: replace(
            FACTS,
            documents=(
                *FACTS.documents,
                replace(FACTS.documents[3], id="copy", text=f"{FACTS.documents[3].text}\nOld."),
            ),
        ),
        named="d3 and copy",
    ),
    in_data(
        "questions by a model",
        Check.MADE_QUESTIONS,
        WARN,
        lambda: replace(
            FACTS, examples=(replace(FACTS.examples[0], made_by="m", split=Split.TEST), *FACTS.examples[1:])
        ),
        named="written by a model (m): 1 of",
    ),
    in_data(
        "navigation in every document",
        Check.BOILERPLATE,
        NOTE,
        lambda: replace(
            FACTS,
            documents=tuple(replace(d, text=f"Home | Products | Cart | Sign in\n{d.text}") for d in FACTS.documents),
        ),
        named="60 times: home | products | cart | sign in",
    ),
]

_PERHAPS = [Score(1.0)] * 4 + [unscored("the judge gave NaN")]
RUN_FAULTS = [
    Fault(
        "unequal prompt",
        Check.UNEQUAL_PROMPT,
        BLOCK,
        lambda: audit_odd_arm(instruction="Answer briefly; think hard."),
        lambda: audit_fairness(SETUPS),
        "hybrid differ",
    ),
    Fault(
        "unequal decoding",
        Check.UNEQUAL_DECODING,
        BLOCK,
        lambda: audit_odd_arm(decoding=GenerationConfig(max_output_tokens=24, temperature=0.7)),
        lambda: audit_fairness(SETUPS),
        "temperature=0.7",
    ),
    Fault(
        "shorter answers",
        Check.UNEQUAL_DECODING,
        BLOCK,
        lambda: audit_odd_arm(decoding=GenerationConfig(max_output_tokens=8)),
        lambda: audit_fairness(SETUPS),
        "max_output_tokens=8",
    ),
    Fault(
        "an arm that is held to labels alone",
        Check.UNEQUAL_DECODING,
        BLOCK,
        lambda: audit_odd_arm(decoding=GenerationConfig(max_output_tokens=24, constraint=OneOf(("a", "b")))),
        lambda: audit_fairness(SETUPS),
        "OneOf",
    ),
    Fault(
        "another base",
        Check.UNEQUAL_BASE,
        BLOCK,
        lambda: audit_odd_arm(base="large, float32", base_fingerprint="0" * 64),
        lambda: audit_fairness(SETUPS),
        "large, float32",
    ),
    Fault(
        "another quantisation",
        Check.UNEQUAL_BASE,
        BLOCK,
        lambda: audit_odd_arm(base="small, int4"),
        lambda: audit_fairness(SETUPS),
        "small, int4",
    ),
    Fault(
        "arms on two models",
        Check.MIXED_MODELS,
        NOTE,
        lambda: audit_odd_arm(model="large", base="large, float32", base_fingerprint="0" * 64),
        lambda: audit_fairness(SETUPS),
        "mixed: rag and hybrid",
    ),
    Fault(
        "an arm worded apart",
        Check.OWN_PROMPT,
        NOTE,
        lambda: audit_odd_arm(kind="prompt", instruction="Think hard."),
        lambda: audit_fairness(SETUPS),
        "hybrid",
    ),
    Fault(
        "an arm made elsewhere",
        Check.OUTSIDE,
        WARN,
        lambda: audit_outside({"app": "its training"}),
        lambda: audit_outside({}),
        "app: its training is not known",
    ),
    Fault(
        "index of other documents",
        Check.OTHER_DOCUMENTS,
        BLOCK,
        lambda: audit_index({"rag": hash_documents(FACTS.documents[1:])}, FACTS.documents),
        lambda: audit_index({"rag": hash_documents(FACTS.documents)}, FACTS.documents),
        "rag",
    ),
    Fault(
        "passages of earlier documents",
        Check.OTHER_DOCUMENTS,
        BLOCK,
        lambda: audit_passages(
            {"rag": [said("x", TEST[0], chunk(replace(FACTS.documents[0], text="An earlier text.")))]}, FACTS.documents
        ),
        lambda: audit_passages({"rag": READ}, FACTS.documents),
        "d0#0",
    ),
    Fault(
        "passages of unknown documents",
        Check.OTHER_DOCUMENTS,
        BLOCK,
        lambda: audit_passages(
            {"rag": [said("x", TEST[0], chunk(replace(FACTS.documents[0], id="elsewhere")))]}, FACTS.documents
        ),
        lambda: audit_passages({"rag": READ}, FACTS.documents),
        "elsewhere#0",
    ),
    Fault(
        "documents in a script that the embedder does not know",
        Check.UNKNOWN_TOKENS,
        WARN,
        lambda: audit_unknown_tokens([(unknown_tokens(0.6), ["rag"])]),
        lambda: audit_unknown_tokens([(unknown_tokens(0.2), ["rag"])]),
        "documents: 60.0% unknown tokens",
    ),
    Fault(
        "k = 0",
        Check.NO_PASSAGES,
        BLOCK,
        lambda: audit_passages({"rag": without_passages(READ)}, FACTS.documents),
        lambda: audit_passages({"rag": READ}, FACTS.documents),
        "rag: no passage for 60 of 60",
    ),
    Fault(
        "passages that fit no context",
        Check.NO_PASSAGES,
        WARN,
        lambda: audit_passages({"rag": [*READ[:50], *without_passages(READ[50:])]}, FACTS.documents),
        lambda: audit_passages({"rag": READ}, FACTS.documents),
        "10 of 60",
    ),
    Fault(
        "truncated training rows",
        Check.TRUNCATED_ROWS,
        WARN,
        lambda: audit_training(replace(CLEAN_LOG, left_out=("a7", "a9"))),
        lambda: audit_training(CLEAN_LOG),
        "a7",
    ),
    Fault(
        "too few training examples",
        Check.TOO_FEW_ROWS,
        WARN,
        lambda: audit_training(replace(CLEAN_LOG, n_rows=12)),
        lambda: audit_training(CLEAN_LOG),
        "12 rows",
    ),
    Fault(
        "loss that became NaN",
        Check.DIVERGED,
        BLOCK,
        lambda: audit_training(log([None] * 3, [2.0, 5.0, float("nan")])),
        lambda: audit_training(CLEAN_LOG),
        "diverged",
    ),
    Fault(
        "loss that rose",
        Check.DIVERGED,
        BLOCK,
        lambda: audit_training(log([None] * 3, [2.0, 2.6, 4.1])),
        lambda: audit_training(CLEAN_LOG),
        "4.1",
    ),
    Fault(
        "loss not converged",
        Check.NOT_CONVERGED,
        WARN,
        lambda: audit_training(log([3.0, 2.0, 1.2], max_epochs=3)),
        lambda: audit_training(log([3.0, 1.21, 1.2], max_epochs=3)),
        "by 40%",
    ),
    Fault(
        "over-fitted from the first epoch",
        Check.OVER_FITTED,
        WARN,
        lambda: audit_training(log([1.0, 1.2, 1.5, 1.9])),
        lambda: audit_training(CLEAN_LOG),
        "from 1 to 1.9",
    ),
    Fault(
        "the wrong epoch kept",
        Check.OVER_FITTED,
        WARN,
        lambda: audit_training(replace(CLEAN_LOG, kept_epoch=6)),
        lambda: audit_training(CLEAN_LOG),
        "0.82",
    ),
    Fault(
        "a model that ends",
        Check.MODEL_ENDS,
        WARN,
        lambda: audit_model_ends({"rag": "m"}, ending("2027-01-14"), date(2026, 12, 1), 12),
        lambda: audit_model_ends({"rag": "m"}, ending("2028-01-14"), date(2026, 12, 1), 12),
        "m is shut down on 2027-01-14",
    ),
    Fault(
        "judge of the same family",
        Check.JUDGE_FAMILY,
        BLOCK,
        lambda: judged(ModelIdentity("openai:qwen3-max", "judge")),
        judged,
        "qwen3-max",
    ),
    Fault(
        "judge that is the contestant",
        Check.JUDGE_FAMILY,
        BLOCK,
        lambda: judged(ModelIdentity("a-copy", "contestant")),
        judged,
        "a-copy",
    ),
    Fault(
        "judge nobody checked",
        Check.JUDGE_UNCALIBRATED,
        NOTE,
        lambda: judged(agreements={}),
        judged,
        "no human labels",
    ),
    Fault(
        "judge that people disagree with",
        Check.JUDGE_UNCALIBRATED,
        NOTE,
        lambda: judged(agreements=WRONGLY_GRADED),
        judged,
        "kappa 0.00 [",
    ),
    Fault(
        "too few labels of an arm",
        Check.HUMAN_LABELS,
        BLOCK,
        lambda: blocking_labels(FEW),
        lambda: blocking_labels(ENOUGH),
        "hybrid: 11 labels, 19 more needed",
    ),
    Fault(
        "labels that come after a race",
        Check.HUMAN_LABELS,
        BLOCK,
        lambda: blocking_labels(replace(ENOUGH, raced=True)),
        lambda: blocking_labels(ENOUGH),
        "A race decides while answers come in",
    ),
    Fault(
        "retrieval that finds little",
        Check.RETRIEVAL_FLOOR,
        WARN,
        lambda: audit_changed_arms(arm("rag", summary("exact_match", 0.3), summary("recall@3", 0.4))),
        lambda: audit_of(ARMS),
        "60.0 points more",
    ),
    Fault(
        "base knows it already",
        Check.KNOWN_ALREADY,
        WARN,
        lambda: audit_changed_arms(
            arm("base", summary("exact_match", 0.6), summary("exact_match", 0.6, Slice.UNSEEN_FACT))
        ),
        lambda: audit_of(ARMS),
        "60%",
    ),
    Fault(
        "no arm better than one answer to everything",
        Check.NO_SKILL,
        WARN,
        lambda: audit_changed_arms(arm("majority", summary("exact_match", 0.66))),
        lambda: audit_changed_arms(arm("majority", summary("exact_match", 0.64))),
        "most frequent answer",
    ),
    Fault(
        "NaN judge",
        Check.UNSCORED,
        WARN,
        lambda: audit_changed_arms(arm("rag", summary("exact_match", 0.9, n_unscored=7), summary("recall@3", 0.9))),
        lambda: audit_of(ARMS),
        "No verdict on rag",
    ),
    Fault(
        "cut answers",
        Check.CUT,
        WARN,
        lambda: audit_changed_arms(replace(ARMS[1], n_length_stopped=20)),
        lambda: audit_of(ARMS),
        "20 of 100 by rag",
    ),
    Fault(
        "an endpoint that takes no constraint",
        Check.CONSTRAINT_REFUSED,
        WARN,
        lambda: audit_form([replace(ARMS[1], n_constraint_refused=100, n_outside_form=3)]),
        lambda: audit_form(ARMS),
        "answered unconstrained were 100 of 100 by rag",
    ),
    Fault(
        "answers outside the labels",
        Check.OUTSIDE_FORM,
        WARN,
        lambda: audit_form([ARMS[0], replace(ARMS[1], n_outside_form=3), replace(ARMS[2], n_outside_form=9)]),
        lambda: audit_form([replace(one, n_outside_form=0) for one in ARMS]),
        "3 of 100 by rag.",
    ),
    Fault(
        "labels that no answer can hold",
        Check.OUTPUT_ROOM,
        WARN,
        lambda: audit_output_room(FACTS, {"t0": "x " * 40, "t1": "x"}, lambda text: len(text.split())),
        lambda: audit_output_room(FACTS, {"t0": "x " * 32, "t1": "x"}, lambda text: len(text.split())),
        "1 of 2 questions take more than max_output_tokens (32), the longest 40",
    ),
    Fault(
        "empty answers",
        Check.EMPTY,
        WARN,
        lambda: audit_answers({"fine-tuned": [said("", e) for e in TEST[:6]] + RIGHT[6:]}),
        lambda: audit_answers({"fine-tuned": RIGHT}),
        "6 of 60 by fine-tuned",
    ),
    Fault(
        "constant answers",
        Check.COLLAPSE,
        WARN,
        lambda: audit_answers({"fine-tuned": [said("1950", e) for e in TEST]}),
        lambda: audit_answers({"fine-tuned": RIGHT}),
        "“1950” to 100%",
    ),
    Fault(
        "lost abstention",
        Check.LOST_ABSTENTION,
        WARN,
        lambda: audit_lost_abstention({"base": DECLINED, "fine-tuned": MADE_UP}, PAIRS),
        lambda: audit_lost_abstention({"base": DECLINED, "fine-tuned": DECLINED}, PAIRS),
        "fine-tuned declines 0% of 20 unanswerable questions, base 100%",
    ),
    Fault(
        "lost abstention beside passages",
        Check.LOST_ABSTENTION,
        WARN,
        lambda: audit_lost_abstention({"rag": DECLINED, "raft": MADE_UP}, PAIRS),
        lambda: audit_lost_abstention({"rag": MADE_UP, "raft": DECLINED}, PAIRS),
        "raft",
    ),
    Fault(
        "off-domain regression",
        Check.OFF_DOMAIN,
        WARN,
        lambda: audit_off_domain({"fine-tuned": ([True] * 24, [True] * 14 + [False] * 10)}),
        lambda: audit_off_domain({"fine-tuned": ([True] * 24, [True] * 23 + [False])}),
        "58% of 24 general questions right, 100% before",
    ),
    Fault(
        "power below the margin",
        Check.POWER,
        NOTE,
        lambda: audit_power(recommended(Verdict.NO_CLEAR_WINNER, 0.09)),
        lambda: audit_power(recommended(Verdict.NO_CLEAR_WINNER, 0.015)),
        "about 9.0 points; the margin is 2.0",
    ),
    Fault(
        "a verdict that hangs on its metric",
        Check.OTHER_METRIC,
        WARN,
        lambda: audit_other_metrics(recommended(Verdict.WINNER, 0.01), [by_metric("hybrid"), by_metric("rag")]),
        lambda: audit_other_metrics(recommended(Verdict.WINNER, 0.01), [by_metric("rag")]),
        "By token_f1 hybrid would win: hybrid 40.0 points, rag 30.0, difference 10.0 [5.0, 15.0].",
    ),
]

FAULTS = DATA_FAULTS + RUN_FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_and_named(fault: Fault) -> None:
    findings = fault.planted()
    (found,) = (finding for finding in findings if finding.check == fault.check)
    assert found.severity is fault.severity
    assert fault.named in " ".join((found.message, *found.items))
    assert found.remedy


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_clean_twin_of_a_fault_has_no_finding_at_all(fault: Fault) -> None:
    assert fault.clean() == []


def test_a_fault_is_planted_for_every_check() -> None:
    assert {fault.check for fault in FAULTS} == set(Check)


@pytest.mark.parametrize("dataset", [FACTS, LABELS, RECORDS], ids=lambda dataset: dataset.card.task)
def test_the_clean_data_sets_are_clean(dataset: Dataset) -> None:
    assert audit_dataset(dataset) == []


def test_an_arm_that_a_nan_judge_could_not_score_gets_no_verdict_and_no_gain() -> None:
    good = [said(e.answers[0], e) for e in TEST]
    poor = [said("1800", e) for e in TEST]
    failed = [replace(r, scores={"exact_match": _PERHAPS[i % 5]}) for i, r in enumerate(good)]
    rule, weights = DecisionRule("exact_match"), {"seen-fact": 0.5, "unseen-fact": 0.5}
    arms = {"base": poor, "rag": failed, "few-shot": [*good[:30], *poor[30:]]}
    recommendation = recommend(arms, (), (), dict.fromkeys(arms, 1.0), rule, weights)
    assert recommendation.arm == "few-shot"
    assert any("rag is out: 20% of its answers could not be scored" in reason for reason in recommendation.reasons)


def test_an_arm_that_declines_everything_has_no_ability_to_lose() -> None:
    declines_all = [*DECLINED, *(said("I don't know.", example) for example in TEST)]
    assert audit_lost_abstention({"base": declines_all, "fine-tuned": [*MADE_UP, *RIGHT]}, PAIRS) == []
    assert audit_lost_abstention({"base": [*DECLINED, *RIGHT], "fine-tuned": [*MADE_UP, *RIGHT]}, PAIRS)


def test_another_fact_of_the_same_document_with_the_same_answer_is_no_paraphrase() -> None:
    other = Example("x", "When did the maker of the cloth close its doors?", (year(1),), ("d1",), "x", Split.TEST)
    assert audit_dataset(added(FACTS, other)) == []


def test_a_passage_that_continues_a_table_is_of_its_document() -> None:
    document = replace(FACTS.documents[0], text="| Year | Name |\n| :--- | --- |\n| 1 | a |\n| 2 | b |\n")
    passage = chunk(replace(document, text="| Year | Name |\n|-|-|\n| 2 | b |"))
    assert audit_passages({"rag": [said("x", TEST[0], passage)]}, [document]) == []


@pytest.mark.parametrize("answer", ["Na", "no", "yes", "Not before 9 a.m.", "Unknown Pleasures", "n"])
def test_an_answer_that_resembles_a_refusal_is_none(answer: str) -> None:
    planted = test_question(question="What does the label of the crimson chair say?", answers=(answer,), group="n")
    assert Check.DECLINING_REFERENCES not in {finding.check for finding in audit_dataset(added(FACTS, planted))}


def test_a_slight_rise_of_the_validation_loss_is_no_over_fitting() -> None:
    assert audit_training(log([1.0, 1.01, 1.02])) == []


def test_too_few_questions_bear_no_verdict() -> None:
    arms = {"base": RIGHT[:20], "rag": RIGHT[:20]}
    recommendation = recommend(arms, (), (), dict.fromkeys(arms, 1.0), DecisionRule("exact_match"), {"seen-fact": 1.0})
    assert recommendation.verdict is Verdict.INSUFFICIENT_DATA


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.severity is BLOCK], ids=lambda fault: fault.name)
def test_a_blocking_fault_makes_the_comparison_invalid(fault: Fault) -> None:
    arms = {"base": RIGHT, "rag": RIGHT}
    recommendation = recommend(
        arms, (), fault.planted(), dict.fromkeys(arms, 1.0), DecisionRule("exact_match"), {"seen-fact": 1.0}
    )
    assert recommendation.verdict is Verdict.INVALID_COMPARISON
    assert recommendation.arm is None
