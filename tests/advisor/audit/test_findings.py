from dataclasses import replace

from advisor.audit.answers import audit_answers
from advisor.audit.arms import audit_arms
from advisor.audit.check import MAX_ITEMS, Check
from advisor.audit.dataset.audit import audit_dataset as audit_whole_dataset
from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    AuditFinding,
    Interval,
    MetricSummary,
    QuestionRecord,
    Severity,
)
from lm.completion import FinishReason, Usage

CARD = DatasetCard("x", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "", "")
DATASET = Dataset(
    CARD,
    (Document("d", "", "text"),),
    (
        Example("a", "How long does the warranty of the kettle last?", ("two years",), ("d",), "w", Split.TRAIN),
        Example("b", "For what time is the kettle under guarantee?", ("two years",), ("d",), "w", Split.TEST),
        Example("c", "Which colours are sold in the north?", ("red",), ("d",), "c", Split.TEST),
    ),
)


def with_examples(*examples: Example) -> Dataset:
    return replace(DATASET, examples=DATASET.examples + examples)


def summary(metric: str, estimate: float, part: Slice | None = None, n_unscored: int = 0) -> MetricSummary:
    interval = Interval(estimate, estimate - 0.05, estimate + 0.05)
    return MetricSummary(metric, part, interval, 100 - n_unscored, 50, n_unscored)


def arm(kind: str, *metrics: MetricSummary, n_length_stopped: int = 0) -> ArmSummary:
    role = ArmRole.REFERENCE if kind in ("majority", "oracle-context") else ArmRole.CANDIDATE
    return ArmSummary(kind, role, "", metrics, Usage(), 1.0, BuildUsage(), None, None, 100, n_length_stopped)


def audit_dataset(dataset: Dataset) -> list[AuditFinding]:
    """These datasets are too small for a verdict, and meant to be."""
    return [finding for finding in audit_whole_dataset(dataset) if finding.check != Check.TOO_FEW_QUESTIONS]


def audit_of(arms: list[ArmSummary]) -> list[AuditFinding]:
    return audit_arms(arms, {}, DATASET, "exact_match", held_to_form=False)


def only(findings: list[AuditFinding]) -> AuditFinding:
    (finding,) = findings
    return finding


def test_a_clean_data_set_and_clean_arms_give_no_finding() -> None:
    assert audit_dataset(DATASET) == []
    arms = [arm("base", summary("exact_match", 0.1)), arm("rag", summary("exact_match", 0.7), summary("recall@5", 0.9))]
    assert audit_of(arms) == []


def test_a_test_question_worded_as_a_training_question_blocks_and_is_named() -> None:
    leaked = Example("z", "how long does the WARRANTY of the kettle last", ("two years",), ("d",), "w", Split.TEST)
    finding = only(audit_dataset(with_examples(leaked)))
    assert (finding.check, finding.severity) == ("leakage", Severity.BLOCK)
    assert finding.items == ("z ~ a (100% alike)",)


def test_many_leaks_are_counted_whole_and_listed_in_part() -> None:
    question = DATASET.examples[0].question
    leaked = [Example(f"z{i}", f"{question}{' ' * i}", ("x",), ("d",), f"g{i}", Split.TEST) for i in range(30)]
    finding = next(f for f in audit_dataset(with_examples(*leaked)) if f.check == "leakage")
    assert ": 30." in finding.message
    assert len(finding.items) == MAX_ITEMS


def test_the_same_wording_twice_in_a_split_is_a_warning() -> None:
    twin = replace(DATASET.examples[2], id="c2")
    finding = only(audit_dataset(with_examples(twin)))
    assert (finding.check, finding.severity, finding.items) == ("duplicate questions", Severity.WARN, ("c = c2",))


def test_a_test_set_of_one_slice_is_noted() -> None:
    finding = only(audit_dataset(replace(DATASET, examples=DATASET.examples[:2])))
    assert finding.severity is Severity.NOTE
    assert "no test question is in the slice unseen-fact" in finding.message.lower()


def test_slices_of_facts_are_not_asked_of_a_label_task() -> None:
    cases = tuple(replace(example, group=example.id, answers=("red",)) for example in DATASET.examples)
    labels = replace(DATASET, card=replace(CARD, task=Task.CLASSIFICATION), examples=cases)
    assert audit_dataset(labels) == []


def test_unscored_answers_are_counted_by_arm() -> None:
    arms = [arm("base", summary("exact_match", 0.1)), arm("rag", summary("exact_match", 0.5, n_unscored=7))]
    finding = only(audit_of(arms))
    assert finding.check == "unscored answers"
    assert "7 of rag" in finding.message
    assert "base" not in finding.message


def test_cut_answers_are_a_warning_above_one_in_twenty() -> None:
    few, many = arm("base", n_length_stopped=5), arm("rag", n_length_stopped=6)
    finding = only(audit_of([few, many]))
    assert "6 of 100 by rag." in finding.message
    assert "base" not in finding.message


def test_weak_retrieval_is_told_with_what_the_right_documents_would_give() -> None:
    arms = [
        arm("rag", summary("exact_match", 0.3), summary("recall@1", 0.2), summary("recall@5", 0.45)),
        arm("oracle-context", summary("exact_match", 0.8)),
    ]
    finding = only(audit_of(arms))
    assert finding.check == "retrieval floor"
    assert (
        "only 45% of questions (recall@5). With the right documents in the prompt it would score 50.0 points more"
        in (finding.message)
    )


def test_a_ceiling_below_rag_is_not_told() -> None:
    arms = [
        arm("rag", summary("exact_match", 0.3), summary("recall@5", 0.45)),
        arm("oracle-context", summary("exact_match", 0.2)),
    ]
    assert "right documents in the prompt" not in only(audit_of(arms)).message


def test_a_base_model_that_knows_the_facts_is_told_unless_guessing_explains_it() -> None:
    base = arm("base", summary("exact_match", 0.6, Slice.UNSEEN_FACT))
    finding = only(audit_of([base]))
    assert finding.check == "known already"
    assert "60% of unseen-fact questions" in finding.message
    guess = arm("majority", summary("exact_match", 0.5, Slice.UNSEEN_FACT))
    assert audit_of([base, guess]) == []


def said(text: str, *references: str) -> QuestionRecord:
    part = Slice.UNSEEN_FACT if references else Slice.UNANSWERABLE
    answer = Answer(text, Usage(), FinishReason.STOP, (), "")
    return QuestionRecord("arm", "q", "Who?", references, (), part, "g", "c", answer, {})


def test_an_arm_that_says_the_frequent_answer_to_everything_is_named_with_both_shares() -> None:
    records = [said("Politician.", "politician" if i < 2 else "painter") for i in range(10)]
    finding = only(audit_answers({"fine-tuned": records, "rag": [said(f"answer {i}", "x") for i in range(10)]}))
    assert finding.severity is Severity.WARN
    assert finding.items == ("fine-tuned: “politician” to 100% of the questions, right for 20%",)


def test_abstaining_from_answerable_questions_is_a_collapse_and_from_unanswerable_ones_is_not() -> None:
    assert audit_answers({"base": [said("I don't know.", "x") for _ in range(10)]})
    assert audit_answers({"base": [said("I don't know.") for _ in range(10)]}) == []


def test_a_label_that_most_cases_have_is_no_collapse() -> None:
    assert audit_answers({"rag": [said("yes", "yes" if i < 6 else "no") for i in range(10)]}) == []
