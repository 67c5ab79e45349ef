"""What the base model could do all along, what tuning took from it, and whether any arm can do anything."""

from collections.abc import Mapping, Sequence

import numpy as np

from advisor.audit.check import MAX_ITEMS, Check
from advisor.data.dataset import Dataset, Slice, Task
from advisor.data.normalisation import is_abstention
from advisor.evidence.statistics import mcnemar_exact
from advisor.results.comparison import ArmRole, ArmSummary, AuditFinding, QuestionRecord, Severity

KNOWN_ALREADY = 0.2
LOST_SHARE = 0.1
SIGNIFICANCE = 0.05


def audit_known_already(arms: Sequence[ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
    """Base models that answer facts without help, far more often than guessing would."""
    if dataset.card.task is not Task.QUESTION_ANSWERING:
        return []
    majority = next((arm for arm in arms if arm.kind == "majority"), None)
    bases = [arm for arm in arms if arm.kind == "base"]
    return [
        finding
        for base in bases
        for finding in _known_already(base, base.model if len(bases) > 1 else "The base model", majority, metric)
    ]


def audit_no_skill(arms: Sequence[ArmSummary], metric: str) -> list[AuditFinding]:
    """Comparisons of which no arm is shown to beat the most frequent answer given to everything."""
    floors = [one.interval for arm in arms if arm.kind == "majority" and (one := arm.metric(metric))]
    best = max(
        (one.interval for arm in arms if arm.role is ArmRole.CANDIDATE if (one := arm.metric(metric)) and one.interval),
        key=lambda interval: interval.estimate,
        default=None,
    )
    if best is None or not floors or floors[0] is None or best.low > floors[0].estimate:
        return []
    return [
        AuditFinding(
            Check.NO_SKILL,
            Severity.WARN,
            "No arm is shown to be better than always giving the most frequent answer.",
            "Do not ship on these figures: try a stronger model, add training questions, or check the references.",
        )
    ]


def _known_already(base: ArmSummary, name: str, majority: ArmSummary | None, metric: str) -> list[AuditFinding]:
    for part in (Slice.UNSEEN_FACT, Slice.SEEN_FACT):
        own = base.metric(metric, part)
        floor = majority.metric(metric, part) if majority else None
        if own is None or own.interval is None:
            continue
        floor_low = floor.interval.estimate if floor and floor.interval else 0.0
        if own.interval.low > floor_low + KNOWN_ALREADY:
            return [
                AuditFinding(
                    Check.KNOWN_ALREADY,
                    Severity.WARN,
                    f"{name} answers {own.interval.estimate:.0%} of {part} questions without any help.",
                    "Part of every arm's score is the base model's own; test on facts it cannot know.",
                )
            ]
    return []


def audit_lost_abstention(
    candidates: Mapping[str, Sequence[QuestionRecord]], pairs: Sequence[tuple[str, str]]
) -> list[AuditFinding]:
    """Tuned arms that no longer decline what nothing answers, beside the same arm untuned.

    Lost is what falls by `LOST_SHARE` or more with p below `SIGNIFICANCE` (McNemar). An arm that declines answerable
    questions as readily had no such ability to lose.

    Args:
        pairs: Each tuned arm and the one that differs from it in the tuning alone.

    Source:
        Gekhman et al. 2024, arXiv:2405.05904, and Pletenev et al. 2025, arXiv:2502.14502, who saw refusals vanish.
    """
    lost = []
    for tuned, untuned in pairs:
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


def audit_off_domain(tuned: Mapping[str, tuple[Sequence[bool], Sequence[bool]]]) -> list[AuditFinding]:
    """Tuned models that lost general abilities.

    Args:
        tuned: Of each tuned arm, whether its base model answered each probe rightly, and whether it does, same order.
    """
    lost = []
    for name, (before, after) in tuned.items():
        if told := _fall(before, after):
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
