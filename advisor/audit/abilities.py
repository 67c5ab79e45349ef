"""What the base model could do all along, and what tuning took from it."""

from collections.abc import Mapping, Sequence

import numpy as np

from advisor.arms import ARMS
from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Slice, Task
from advisor.data.normalisation import is_abstention
from advisor.evidence.statistics import mcnemar_exact
from advisor.results.comparison import ArmSummary, AuditFinding, QuestionRecord, Severity

KNOWN_ALREADY = 0.2
LOST_SHARE = 0.1
SIGNIFICANCE = 0.05


def audit_known_already(by_kind: Mapping[str, ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
    """A base model that answers facts without help, far more often than guessing would."""
    if dataset.card.task is not Task.QUESTION_ANSWERING:
        return []
    base, majority = by_kind.get("base"), by_kind.get("majority")
    for part in (Slice.UNSEEN_FACT, Slice.SEEN_FACT):
        own = base.metric(metric, part) if base else None
        floor = majority.metric(metric, part) if majority else None
        if own is None or own.interval is None:
            continue
        floor_low = floor.interval.estimate if floor and floor.interval else 0.0
        if own.interval.low > floor_low + KNOWN_ALREADY:
            return [
                AuditFinding(
                    Check.KNOWN_ALREADY,
                    Severity.WARN,
                    f"The base model answers {own.interval.estimate:.0%} of {part} questions without any help.",
                    "Part of every arm's score is the base model's own; test on facts it cannot know.",
                )
            ]
    return []


def audit_lost_abstention(candidates: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    """Tuned arms that no longer decline what nothing answers, beside the same arm untuned.

    Lost is what falls by `LOST_SHARE` or more with p below `SIGNIFICANCE` (McNemar). An arm that declines answerable
    questions as readily had no such ability to lose.

    Source:
        Gekhman et al. 2024, arXiv:2405.05904, and Pletenev et al. 2025, arXiv:2502.14502, who saw refusals vanish.
    """
    lost = []
    for tuned, untuned in ((arm.name, arm.untuned) for arm in ARMS if arm.tuned):
        before, after = _declined(candidates.get(untuned, ())), _declined(candidates.get(tuned, ()))
        shared = sorted(before.keys() & after.keys())
        told = _fall([before[i] for i in shared], [after[i] for i in shared])
        if told and told[0] >= _declined_share_of_answerable(candidates[untuned]) + LOST_SHARE:
            lost.append(
                f"{tuned} declines {told[1]:.0%} of {len(shared)} unanswerable questions, {untuned} {told[0]:.0%}"
            )
    if not lost:
        return []
    return [
        AuditFinding(
            Check.LOST_ABSTENTION,
            Severity.WARN,
            "Tuning took away the ability to say that nothing answers a question.",
            "Add unanswerable questions to the training split; see abstention_recall.",
            tuple(lost),
        )
    ]


def audit_off_domain(base: Sequence[bool], tuned: Mapping[str, Sequence[bool]]) -> list[AuditFinding]:
    """Tuned models that lost general abilities.

    Args:
        base: Whether the base model answered each probe rightly; tuned: the same of each tuned model, same order.
    """
    lost = []
    for name, after in tuned.items():
        if told := _fall(base, after):
            lost.append(f"{name}: {told[1]:.0%} of {len(after)} general questions right, {told[0]:.0%} before tuning")
    if not lost:
        return []
    return [
        AuditFinding(
            Check.OFF_DOMAIN,
            Severity.WARN,
            "Tuning took away general abilities outside the domain.",
            "Serve the adapter for this domain only, or mix general questions into training; lower the learning rate.",
            tuple(lost[:MAX_ITEMS]),
        )
    ]


def _declined(records: Sequence[QuestionRecord]) -> dict[str, bool]:
    return {r.example_id: is_abstention(r.answer.text) for r in records if r.slice is Slice.UNANSWERABLE}


def _declined_share_of_answerable(records: Sequence[QuestionRecord]) -> float:
    declined = [is_abstention(record.answer.text) for record in records if record.slice is not Slice.UNANSWERABLE]
    return sum(declined) / len(declined) if declined else 0.0


def _fall(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float] | None:
    """The shares before and after where they fell beyond chance, None otherwise."""
    if not before:
        return None
    first, second = np.array(before, np.float64), np.array(after, np.float64)
    fell = first.mean() - second.mean() >= LOST_SHARE and mcnemar_exact(first, second) < SIGNIFICANCE
    return (float(first.mean()), float(second.mean())) if fell else None
