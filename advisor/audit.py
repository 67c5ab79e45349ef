"""Looks for what would make a comparison unfair or its figures misleading, before a verdict is given."""

from collections import Counter
from collections.abc import Mapping, Sequence

from advisor.comparison import ArmSummary, AuditFinding, QuestionRecord, Severity
from advisor.dataset import Dataset, Slice, Split, Task
from advisor.normalisation import is_abstention, normalise
from advisor.splitting import find_duplicates, find_leaks
from advisor.wording import listed

RETRIEVAL_FLOOR = 0.6
KNOWN_ALREADY = 0.2
CUT_ANSWERS = 0.05
ONE_ANSWER_SHARE = 0.5
MAX_ITEMS = 10


def audit_dataset(dataset: Dataset) -> list[AuditFinding]:
    """Findings that need no model: leakage, duplicates, what the slices can and cannot show."""
    test = dataset.split(Split.TEST)
    training = [*dataset.split(Split.TRAIN), *dataset.split(Split.VALIDATION)]
    findings = []
    leaks = find_leaks(training, test)
    if leaks:
        findings.append(
            AuditFinding(
                "leakage",
                Severity.BLOCK,
                f"Test questions worded as training or validation questions, exactly or nearly: {len(leaks)}.",
                "Remove these questions from one side, or leave `split` out of questions.jsonl to have it made.",
                tuple(f"{leak.test_id} ~ {leak.train_id} ({leak.similarity:.0%} alike)" for leak in leaks[:MAX_ITEMS]),
            )
        )
    duplicates = find_duplicates(dataset.examples)
    if duplicates:
        findings.append(
            AuditFinding(
                "duplicate questions",
                Severity.WARN,
                f"Questions worded like another of the same split, which count twice: {len(duplicates)}.",
                "Remove one of each pair, or give both one `group`.",
                tuple(f"{first} = {second}" for first, second in duplicates[:MAX_ITEMS]),
            )
        )
    slices = {dataset.slice_of(example) for example in test}
    for missing, other in ((Slice.SEEN_FACT, Slice.UNSEEN_FACT), (Slice.UNSEEN_FACT, Slice.SEEN_FACT)):
        if dataset.card.task is Task.QUESTION_ANSWERING and missing not in slices and other in slices:
            findings.append(
                AuditFinding(
                    "slices",
                    Severity.NOTE,
                    f"No test question is of the slice {missing}; the verdict speaks of {other} only.",
                    "Ask the same facts in several wordings and give them one `group`; the split then has both slices.",
                )
            )
    return findings


def audit_answers(candidates: Mapping[str, Sequence[QuestionRecord]]) -> list[AuditFinding]:
    """Arms that give one answer to most questions, more than twice as often as it is right.

    Tuned models fall onto frequent answers when they learn the base rate and no facts (Pletenev et al. 2025,
    arXiv:2502.14502); weak models fall onto abstaining.
    """
    collapsed: dict[str, str] = {}
    for arm, records in candidates.items():
        if not records:
            continue
        ((answer, n_given),) = Counter(normalise(record.answer.text) for record in records).most_common(1)
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
            "one answer to most questions",
            Severity.WARN,
            f"One and the same answer to most questions is given by {listed(list(collapsed))}.",
            "Such a score is that answer's share of the test set and shows no skill; compare it with the reference "
            "majority. Tuned arms: balance the training answers. Others: give passages, or take a stronger model.",
            tuple(collapsed.values()),
        )
    ]


def _is_right(answer: str, record: QuestionRecord) -> bool:
    if not record.references:
        return is_abstention(answer)
    return any(normalise(reference) == answer for reference in record.references)


def audit_arms(arms: Sequence[ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
    """Findings on measured arms: unscored answers, weak retrieval, cut answers, a base model that knew it all along."""
    findings: list[AuditFinding] = []
    by_kind = {arm.kind: arm for arm in arms}
    unscored = [(arm.kind, summary.n_unscored) for arm in arms if (summary := arm.metric(metric))]
    if any(n for _, n in unscored):
        listed = ", ".join(f"{n} of {kind}" for kind, n in unscored if n)
        findings.append(
            AuditFinding(
                "unscored answers",
                Severity.WARN,
                f"Answers that could not be scored: {listed}. Means leave them out; the verdict holds them against an "
                "arm.",
                "Read their reasons in results.jsonl; above 5 % an arm gets no verdict.",
            )
        )
    cut = [arm for arm in arms if arm.n_length_stopped > CUT_ANSWERS * arm.n_questions]
    if cut:
        listed = ", ".join(f"{arm.n_length_stopped} of {arm.n_questions} by {arm.kind}" for arm in cut)
        findings.append(
            AuditFinding(
                "cut answers",
                Severity.WARN,
                f"Answers cut at max_output_tokens: {listed}.",
                "Raise max_output_tokens in dataset.toml if right answers can be that long.",
            )
        )
    findings += _retrieval(by_kind, metric)
    findings += _known_already(by_kind, dataset, metric)
    return findings


def _retrieval(by_kind: Mapping[str, ArmSummary], metric: str) -> list[AuditFinding]:
    rag = by_kind.get("rag")
    recalls = [m for m in rag.metrics if m.metric.startswith("recall@") and m.slice is None] if rag else []
    recall = max(recalls, key=lambda m: int(m.metric.removeprefix("recall@")), default=None)
    if rag is None or recall is None or recall.interval is None or recall.interval.estimate >= RETRIEVAL_FLOOR:
        return []
    ceiling = ""
    oracle = by_kind.get("oracle-context")
    best, own = oracle.metric(metric) if oracle else None, rag.metric(metric)
    if best and own and best.interval and own.interval:
        gap = 100 * (best.interval.estimate - own.interval.estimate)
        if gap > 0:
            ceiling = f" With the right documents in the prompt it would score {gap:.1f} points more."
    return [
        AuditFinding(
            "retrieval floor",
            Severity.WARN,
            f"Retrieval finds the right document for only {recall.interval.estimate:.0%} of questions.{ceiling}",
            "Try another chunk size, a larger top_k or another embedder before judging RAG.",
        )
    ]


def _known_already(by_kind: Mapping[str, ArmSummary], dataset: Dataset, metric: str) -> list[AuditFinding]:
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
                    "known already",
                    Severity.WARN,
                    f"The base model answers {own.interval.estimate:.0%} of {part} questions without any help.",
                    "Part of every arm's score is the base model's own; test on facts it cannot know.",
                )
            ]
    return []
