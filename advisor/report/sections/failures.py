"""Answers that were not fully right, question by question."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.data.dataset import Slice
from advisor.evidence.failure import NEXT_STEPS
from advisor.report.arms import arm_name, candidates, pivot_arm, shown_arms
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.quantities import MISSING, count

UNCLASSIFIED = "not classified"
_NEXT_STEPS = {str(failure): step for failure, step in NEXT_STEPS.items()}


@dataclass(frozen=True, slots=True)
class FailedQuestion:
    """A question some candidate did not answer with full marks.

    Attributes:
        records: Every arm's record of it, candidates first.
    """

    example_id: str
    question: str
    references: tuple[str, ...]
    slice: Slice
    records: tuple[QuestionRecord, ...]


def main_score(record: QuestionRecord, metric: str) -> float | None:
    """The deciding score of a record; None where it is unscored or the metric does not apply."""
    score = record.scores.get(metric)
    return None if score is None else score.value


def is_unscored(record: QuestionRecord, metric: str) -> bool:
    """Whether the deciding metric applies but gave no value."""
    return metric in record.scores and record.scores[metric].value is None


def is_wrong(record: QuestionRecord, metric: str) -> bool:
    """Whether the answer was scored below full marks."""
    value = main_score(record, metric)
    return value is not None and value < 1


def failed_questions(comparison: Comparison, records: Sequence[QuestionRecord]) -> list[FailedQuestion]:
    """Failed questions, those first that the recommended arm answers worst, then those that most candidates miss."""
    metric = comparison.recommendation.metric
    order = {arm.id: position for position, arm in enumerate(shown_arms(comparison))}
    contenders = {arm.id for arm in candidates(comparison)}
    by_question: dict[str, list[QuestionRecord]] = {}
    for record in records:
        by_question.setdefault(record.example_id, []).append(record)
    pivot = pivot_arm(comparison)
    ranked = []
    for example_id, answers in by_question.items():
        missed = [r for r in answers if r.arm in contenders and (is_wrong(r, metric) or is_unscored(r, metric))]
        if not missed:
            continue
        of_pivot = [main_score(r, metric) for r in missed if r.arm == pivot]
        # An unscored answer is not the worst one: nobody knows. It follows those known to be wrong.
        worst = min((1.0 if value is None else value for value in of_pivot), default=2.0)
        first = answers[0]
        failed = FailedQuestion(
            example_id=example_id,
            question=first.question,
            references=first.references,
            slice=first.slice,
            records=tuple(sorted(answers, key=lambda r: order.get(r.arm, len(order)))),
        )
        ranked.append((worst, -len(missed), example_id, failed))
    return [failed for *_, failed in sorted(ranked, key=lambda item: item[:3])]


def failure_class_table(comparison: Comparison, records: Sequence[QuestionRecord]) -> Table | None:
    """How often each arm failed in which way."""
    metric = comparison.recommendation.metric
    classes: Counter[str] = Counter()
    per_arm: dict[str, Counter[str]] = {}
    unscored: Counter[str] = Counter()
    for record in records:
        if is_unscored(record, metric):
            unscored[record.arm] += 1
        elif is_wrong(record, metric):
            name = record.failure or UNCLASSIFIED
            classes[name] += 1
            per_arm.setdefault(record.arm, Counter())[name] += 1
    if not classes and not unscored:
        return None
    arms = shown_arms(comparison)
    rows = [
        (name, [per_arm.get(arm.id, Counter())[name] for arm in arms], _NEXT_STEPS.get(name, MISSING))
        for name in sorted(classes, key=lambda name: (-classes[name], name))
    ]
    if unscored:
        rows.append(("unscored", [unscored[arm.id] for arm in arms], "read the reasons in results.jsonl"))
    return Table(
        caption="Why answers lost marks",
        columns=("Kind", *(arm_name(comparison, arm) for arm in arms), "What to do"),
        rows=tuple(Row((Cell(name), *(Cell(count(n)) for n in counts), Cell(step))) for name, counts, step in rows),
        note="Each answer below full marks is counted once, under the likeliest cause.",
    )
