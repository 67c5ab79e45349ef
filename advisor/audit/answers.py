"""Answers that say more of a fault than of the method: missing, cut, unscored, or one and the same."""

from collections import Counter
from collections.abc import Mapping, Sequence

from advisor.audit.check import Check
from advisor.data.normalisation import is_abstention, normalise
from advisor.data.wording import listed
from advisor.evidence.evidence import MAX_UNSCORED_SHARE
from advisor.results.comparison import ArmSummary, AuditFinding, QuestionRecord, Severity

CUT_ANSWERS = 0.05
EMPTY_ANSWERS = 0.05
ONE_ANSWER_SHARE = 0.5


def audit_scoring(arms: Sequence[ArmSummary], metric: str) -> list[AuditFinding]:
    """Arms with unscored answers, and those with answers cut at the output limit."""
    findings: list[AuditFinding] = []
    unscored = {arm.id: (s.n_unscored, s.n + s.n_unscored) for arm in arms if (s := arm.metric(metric))}
    if any(n for n, _ in unscored.values()):
        told = ", ".join(f"{n} of {kind}" for kind, (n, _) in unscored.items() if n)
        out = [kind for kind, (n, n_asked) in unscored.items() if n > MAX_UNSCORED_SHARE * n_asked]
        without = f" No verdict on {listed(out)}: more than {MAX_UNSCORED_SHARE:.0%} are missing." if out else ""
        findings.append(
            AuditFinding(
                Check.UNSCORED,
                Severity.WARN,
                f"Answers that could not be scored: {told}. Means leave them out; the verdict holds them against an "
                f"arm.{without}",
                "Read their reasons in results.jsonl; above 5 % an arm gets no verdict.",
            )
        )
    cut = [arm for arm in arms if arm.n_length_stopped > CUT_ANSWERS * arm.n_questions]
    if cut:
        told = ", ".join(f"{arm.n_length_stopped} of {arm.n_questions} by {arm.id}" for arm in cut)
        findings.append(
            AuditFinding(
                Check.CUT,
                Severity.WARN,
                f"Answers cut at max_output_tokens: {told}.",
                "Raise max_output_tokens in dataset.toml if right answers can be that long.",
            )
        )
    return findings


def audit_answers(candidates: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    """Arms that say nothing, or the same to almost everything."""
    return [*_empty(candidates), *_collapsed(candidates)]


def _empty(candidates: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    empty = {
        arm: sum(not record.answer.text.strip() and not record.answer.missing for record in records)
        for arm, records in candidates.items()
    }
    found = {arm: n for arm, n in empty.items() if n > EMPTY_ANSWERS * len(candidates[arm])}
    if not found:
        return []
    told = ", ".join(f"{n} of {len(candidates[arm])} by {arm}" for arm, n in found.items())
    return [
        AuditFinding(
            Check.EMPTY,
            Severity.WARN,
            f"Empty answers: {told}. They count as wrong.",
            "Look at the chat template and the stop texts; a tuned arm may have learnt to end at once from empty rows.",
        )
    ]


def _collapsed(candidates: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    """Arms that give one answer to most questions, more than twice as often as it is right.

    Tuned models fall onto frequent answers when they learn the base rate and no facts (Pletenev et al. 2025,
    arXiv:2502.14502); weak models fall onto abstaining.
    """
    collapsed: dict[str, str] = {}
    for arm, records in candidates.items():
        given = Counter(text for record in records if (text := normalise(record.answer.text)))
        if not given:
            continue
        ((answer, n_given),) = given.most_common(1)
        n_right = sum(_is_right(answer, record) for record in records)
        if n_given > ONE_ANSWER_SHARE * len(records) and n_given > 2 * n_right:
            shown = (
                f"“{answer}” to {n_given / len(records):.0%} of the questions, right for {n_right / len(records):.0%}"
            )
            collapsed[arm] = f"{arm}: {shown}"
    if not collapsed:
        return []
    return [
        AuditFinding(
            Check.COLLAPSE,
            Severity.WARN,
            f"{listed(list(collapsed))} give{'s' * (len(collapsed) == 1)} the same answer to most questions.",
            "Such a score is that answer's share of the test set and shows no skill; compare it with the reference "
            "majority. Tuned arms: balance the training answers. Others: give passages, or use a stronger model.",
            tuple(collapsed.values()),
        )
    ]


def _is_right(answer: str, record: QuestionRecord) -> bool:
    if not record.references:
        return is_abstention(answer)
    return any(normalise(reference) == answer for reference in record.references)
